"""Which objects and fields are compared: `--select`, `--ignore` and `--rename`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where
from meshctl.model.objects import Object

if TYPE_CHECKING:
    from meshctl.model.objects import Ref

_FORM = "write Kind:namespace:name; a part that is left out, or `*`, fits all"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`Kind:namespace:name`, each part a glob."""

    kind: str = "*"
    namespace: str = "*"
    name: str = "*"

    @classmethod
    def parse(cls, said: str, flag: str) -> Pattern:
        """From the words of a flag.

        Raises:
            ConfigError: it has too many parts.
        """
        parts = said.strip().split(":")
        if len(parts) > 3 or not said.strip():
            raise ConfigError("pattern-invalid", f"{said!r} names no objects", where=Where(flag), hint=_FORM)
        return cls(*(part or "*" for part in parts))

    def within(self, namespace: str) -> Pattern:
        """The same in one namespace, where it names none itself; empty leaves it as it is."""
        return replace(self, namespace=namespace) if namespace and self.namespace == "*" else self

    def fits(self, ref: Ref) -> bool:
        """Whether an object is meant; the case of its kind does not matter."""
        return (
            fnmatchcase(ref.kind.lower(), self.kind.lower())
            and (self.namespace == "*" or fnmatchcase(ref.namespace, self.namespace))
            and fnmatchcase(ref.name, self.name)
        )


@dataclass(frozen=True, slots=True)
class Ignored:
    """Fields that are not compared: a path with all below it, in some objects or in all."""

    of: Pattern
    path: re.Pattern[str]

    @classmethod
    def parse(cls, said: str) -> Ignored:
        """From `PATH` or `Kind:namespace:name:PATH`; in a path `*` is one step and `**` any number.

        Raises:
            ConfigError: there is no path.
        """
        head, sep, path = _split(said)
        if not path.strip():
            hint = "write a path such as metadata.labels or Deployment:::spec.replicas"
            raise ConfigError(
                "pattern-invalid", f"{said!r} names no field", where=Where("--ignore"), hint=hint
            )
        return cls(Pattern.parse(head, "--ignore") if sep else Pattern(), _expression(path.strip()))

    def fits(self, ref: Ref, path: str) -> bool:
        """Whether this field of this object is not compared."""
        return self.of.fits(ref) and bool(self.path.match(path))


@dataclass(frozen=True, slots=True)
class Renamed:
    """Objects of the left side that are to be compared under another name."""

    old: Pattern
    new: Pattern

    @classmethod
    def parse(cls, said: str) -> Renamed:
        """From `OLD=NEW` or `OLD->NEW`, each `Kind:namespace:name`; parts left out of NEW stay.

        Raises:
            ConfigError: it has not two sides.
        """
        old, arrow, new = said.partition("->")
        if not arrow:
            old, arrow, new = said.partition("=")
        if not arrow or not old.strip() or not new.strip():
            raise ConfigError(
                "pattern-invalid",
                f"{said!r} names no two objects",
                where=Where("--rename"),
                hint="write Kind:namespace:name=Kind:namespace:name; parts left out of the new name stay",
            )
        return cls(Pattern.parse(old, "--rename"), Pattern.parse(new, "--rename"))

    def apply(self, obj: Object) -> Object:
        """The object under its new name, if it is meant."""
        if not self.old.fits(obj.ref):
            return obj
        meta = dict(obj.content.get("metadata") or {})
        if self.new.name != "*":
            meta["name"] = self.new.name
        if self.new.namespace != "*":
            meta["namespace"] = self.new.namespace
        kind = obj.ref.kind if self.new.kind == "*" else self.new.kind
        return Object({**obj.content, "kind": kind, "metadata": meta})


@dataclass(frozen=True)
class Picked:
    """What is compared.

    Attributes:
        chosen: objects; none: all of them.
        left_out: objects that are not compared.
        ignored: fields that are not compared.
        renamed: objects of the left side with other names on the right.
    """

    chosen: tuple[Pattern, ...] = ()
    left_out: tuple[Pattern, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    renamed: tuple[Renamed, ...] = ()

    def has(self, ref: Ref) -> bool:
        """Whether an object is compared."""
        wanted = not self.chosen or any(each.fits(ref) for each in self.chosen)
        return wanted and not any(each.fits(ref) for each in self.left_out)

    def ignores(self, ref: Ref, path: str) -> bool:
        """Whether a field of an object is not compared."""
        return any(each.fits(ref, path) for each in self.ignored)

    def under_new_name(self, obj: Object) -> Object:
        """The object as the right side calls it; the first renaming that fits counts."""
        return next((new for each in self.renamed if (new := each.apply(obj)) is not obj), obj)


def _split(said: str) -> tuple[str, str, str]:
    """Object and path; a colon may also stand within the path, where a text is itself a document."""
    parts = said.split(":", 3)
    if len(parts) == 4:
        return ":".join(parts[:3]), ":", parts[3]
    return "", "", said


_TOKEN = re.compile(r"\*\*\.|\*\*|\[\*\]|\*|\\.|[^*\[\\]+|\[|\\")
_PLACES = {
    "**.": r"(?:.*[.\]:])?",
    "**": r".*",
    "[*]": r"\[[^\]]*\]",
    "*": r"(?:\\.|[^.\[\]:\\])*",
}


def _expression(path: str) -> re.Pattern[str]:
    """A regular expression for a path and all below it."""
    told = "".join(_PLACES.get(token) or re.escape(token) for token in _TOKEN.findall(path))
    return re.compile(f"{told}(?=$|[.\\[:])")
