"""Names of wheels, and which hosts they fit. Source: PyPA's binary distribution format and platform tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.bundle import Target

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._+!]+)(-(?P<build>\d[^-]*))?"
    r"-(?P<pythons>[\w.]+)-(?P<abis>[\w.]+)-(?P<platforms>[\w.]+)\.whl"
)
_LINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_FORMER: Final = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
"""Tags that stand for a C library by the year of their making. Source: PEP 600."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """What a wheel's name says.

    Attributes:
        file: the name itself.
        name: of the package, in lower case with dashes.
        version: of the package.
        pythons: tags such as `cp311`, `py3`.
        abis: tags such as `cp311`, `abi3`, `none`.
        platforms: tags such as `manylinux_2_28_x86_64`, `any`.
    """

    file: str
    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def named(cls, file: str) -> Wheel | None:
        """The wheel of a file's name; None where it is none."""
        found = _NAME.fullmatch(file)
        if found is None:
            return None
        tags = (tuple(found[key].split(".")) for key in ("pythons", "abis", "platforms"))
        return cls(file, normal(found["name"]), found["version"], *tags)

    def rank(self, target: Target) -> int | None:
        """How near its binary interface is to a target's, 0 the nearest; None: it does not fit."""
        minor = int(target.python.partition(".")[2])
        if f"cp3{minor}" in self.pythons and f"cp3{minor}" in self.abis:
            return 0
        if "abi3" in self.abis:
            since = [int(tag[3:]) for tag in self.pythons if re.fullmatch(r"cp3\d+", tag)]
            fitting = [each for each in since if each <= minor]
            return 1 + minor - max(fitting) if fitting else None
        if "none" in self.abis and {"py3", f"py3{minor}", f"cp3{minor}"} & set(self.pythons):
            return 100
        return None

    def glibc(self, architecture: str) -> str | None:
        """The oldest C library with which it works there, empty: any; None: it does not work there."""
        if "any" in self.platforms:
            return ""
        found = [each for tag in self.platforms if (each := _glibc(tag, architecture))]
        return min(found, key=number) if found else None


def best(wheels: Iterable[Wheel], target: Target) -> Wheel | None:
    """Of a package's wheels the one for hosts of a kind: the nearest, then that of the oldest C library."""
    fitting = [
        ((rank, number(glibc), each.file), each)
        for each in wheels
        if (rank := each.rank(target)) is not None and (glibc := each.glibc(target.architecture)) is not None
    ]
    return min(fitting)[1] if fitting else None


def normal(name: str) -> str:
    """A package's name as indexes compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def number(version: str) -> tuple[int, ...]:
    """A version such as `2.28`, to be compared; empty is before all."""
    return tuple(int(each) for each in version.split(".") if each)


def _glibc(tag: str, architecture: str) -> str:
    former, _, rest = tag.partition("_")
    if former in _FORMER:
        return _FORMER[former] if rest == architecture else ""
    found = _LINUX.fullmatch(tag)
    return f"{found[1]}.{found[2]}" if found and found[3] == architecture else ""
