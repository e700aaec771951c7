"""sprig's semantic versions and constraints on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.values import Struct, Uint64

_SUFFIX = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_SUFFIX}")
_PART = r"[0-9|xX*]+"
_LOOSE = rf"v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?{_SUFFIX}"
_PLAIN = re.sub(r"\((?!\?)", "(?:", _LOOSE)
_OPERATOR = r"(?:=>|=<|~>|!=|>=|<=|=|>|<|~|\^)?"
_ONE = re.compile(rf"\s*({_OPERATOR})\s*{_LOOSE}\s*")
_ALL = re.compile(rf"\s*{_OPERATOR}\s*{_PLAIN}\s*(?:(?:\s+|,\s*){_OPERATOR}\s*{_PLAIN}\s*)*")
_EACH = re.compile(rf"{_OPERATOR}\s*{_PLAIN}")
_RANGE = re.compile(rf"\s*({_PLAIN})\s+-\s+({_PLAIN})\s*")
_LONGEST, _LONGEST_CONSTRAINT, _MOST_GROUPS = 256, 512, 32


@dataclass(frozen=True, slots=True)
class Version:
    """A version; `pre` is empty for a release."""

    major: int
    minor: int
    patch: int
    pre: str
    metadata: str = ""

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Major, minor and patch."""
        return self.major, self.minor, self.patch

    def __str__(self) -> str:
        pre = f"-{self.pre}" if self.pre else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{metadata}"


@dataclass(frozen=True, slots=True)
class _Constraint:
    """`given` is how many of the three numbers are said: 2 in `~1.2`, 0 in `*`."""

    operator: str
    version: Version
    given: int

    def allows(self, version: Version, *, prereleases: bool) -> bool:
        if version.pre and not prereleases:
            return False
        order = compare(version, self.version)
        match self.operator:
            case "" | "=":
                return order == 0 if self.given == 3 else self._same_minor(version, order)
            case "!=":
                return self._differs(version, order)
            case ">":
                return self._above(version, order)
            case "<":
                return order < 0
            case ">=" | "=>":
                return order >= 0
            case "<=" | "=<":
                return self._at_most(version, order)
            case "~" | "~>":
                return self._same_minor(version, order)
            case _:
                return self._compatible(version, order)

    def _differs(self, version: Version, order: int) -> bool:
        if self.given == 3:
            return order != 0
        mine, theirs = self.version, version
        if mine.major != theirs.major:
            return True
        if mine.minor != theirs.minor and self.given != 1:
            return True
        if self.given == 1:
            return False
        if self.given == 0 and mine.patch != theirs.patch:
            return True
        return self.given == 2 and mine.pre != theirs.pre

    def _above(self, version: Version, order: int) -> bool:
        if self.given in (0, 3) or version.major > self.version.major:
            return order > 0
        if version.major < self.version.major or self.given == 1:
            return False
        return version.minor > self.version.minor

    def _at_most(self, version: Version, order: int) -> bool:
        if self.given == 3:
            return order <= 0
        if version.major != self.version.major:
            return version.major < self.version.major
        return version.minor <= self.version.minor or self.given == 1

    def _same_minor(self, version: Version, order: int) -> bool:
        if order < 0:
            return False
        if self.version.numbers == (0, 0, 0) and self.given in (0, 3):
            return True
        same = version.minor == self.version.minor or self.given == 1
        return version.major == self.version.major and same

    def _compatible(self, version: Version, order: int) -> bool:
        if order < 0:
            return False
        mine = self.version
        if mine.major > 0 or self.given == 1:
            return version.major == mine.major
        if version.major > 0:
            return False
        if mine.minor > 0 or self.given == 2:
            return version.minor == mine.minor
        return version.minor == 0 and version.patch == mine.patch


def parse(text: str) -> Version:
    """A version; missing numbers are 0.

    Raises:
        CallError: it is none.
    """
    found = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or "\n" in text:
        raise CallError(f"{text!r} is no semantic version")
    major, minor, patch = (int(found[place] or 0) for place in (1, 2, 3))
    pre = found[4] or ""
    zeros = any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in pre.split("."))
    if zeros or max(major, minor, patch) >= 1 << 64:
        raise CallError(f"{text!r} is no semantic version")
    return Version(major, minor, patch, pre, found[5] or "")


def compare(left: Version, right: Version) -> int:
    """-1, 0 or 1; metadata does not count."""
    if left.numbers != right.numbers:
        return -1 if left.numbers < right.numbers else 1
    if not left.pre or not right.pre:
        return bool(right.pre) - bool(left.pre)
    mine, theirs = _rank(left.pre), _rank(right.pre)
    return (mine > theirs) - (mine < theirs)


def _rank(pre: str) -> list[tuple[int, int, str]]:
    """Numbers stand before words."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")]


def allows(constraint: str, version: Version) -> bool:
    """Whether a version is one of `constraint`, such as `>=1.2, <2 || ^3`.

    Raises:
        CallError: the constraint is none.
    """
    if len(constraint) > _LONGEST_CONSTRAINT:
        raise CallError("the constraint is too long")
    alternatives = _RANGE.sub(r">= \1, <= \2 ", constraint).split("||")
    if len(alternatives) > _MOST_GROUPS:
        raise CallError("the constraint has too many alternatives")
    groups = [_constraints(each) for each in alternatives]
    return any(
        all(each.allows(version, prereleases=any(one.version.pre for one in group)) for each in group)
        for group in groups
    )


def _constraints(text: str) -> list[_Constraint]:
    if not _ALL.fullmatch(text):
        raise CallError(f"improper constraint {text!r}")
    return [_constraint(each.group()) for each in _EACH.finditer(text)]


def _constraint(text: str) -> _Constraint:
    found = _ONE.fullmatch(text)
    if found is None:
        raise CallError(f"improper constraint {text!r}")
    operator, *numbers, pre, _ = found.groups()
    given = next((place for place, each in enumerate(numbers) if each in (None, "x", "X", "*")), 3)
    said = ".".join([*numbers[:given], *["0"] * (3 - given)])
    return _Constraint(operator, parse(f"{said}-{pre}" if pre else said), given)


def _semver(text: str) -> Struct:
    return _struct(parse(text), text)


def _struct(version: Version, original: str) -> Struct:
    prefix = "v" if original.startswith("v") else ""

    def next_version(numbers: tuple[int, int, int]) -> Struct:
        following = Version(*numbers, "")
        return _struct(following, f"{prefix}{following}")

    major, minor, patch = version.numbers
    methods: dict[str, Callable[..., object]] = {
        "Compare": lambda other: compare(version, _of(other)),
        "Equal": lambda other: compare(version, _of(other)) == 0,
        "GreaterThan": lambda other: compare(version, _of(other)) > 0,
        "GreaterThanEqual": lambda other: compare(version, _of(other)) >= 0,
        "IncMajor": lambda: next_version((major + 1, 0, 0)),
        "IncMinor": lambda: next_version((major, minor + 1, 0)),
        "IncPatch": lambda: next_version((major, minor, patch if version.pre else patch + 1)),
        "LessThan": lambda other: compare(version, _of(other)) < 0,
        "LessThanEqual": lambda other: compare(version, _of(other)) <= 0,
        "Major": lambda: Uint64(major),
        "Metadata": lambda: version.metadata,
        "Minor": lambda: Uint64(minor),
        "Original": lambda: original,
        "Patch": lambda: Uint64(patch),
        "Prerelease": lambda: version.pre,
        "String": lambda: str(version),
    }
    return Struct("*semver.Version", {}, methods, text=str(version))


def _of(other: object) -> Version:
    if not isinstance(other, Struct) or other.go_type != "*semver.Version" or other.text is None:
        raise CallError("only a version can be compared with a version")
    return parse(other.text)


def _semver_compare(constraint: str, version: str) -> bool:
    return allows(constraint, parse(version))


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {"semver": _semver, "semverCompare": _semver_compare}
