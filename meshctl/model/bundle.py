"""The payload of a host: agent, wheels, Envoy; each is known by its hash, the whole by that of its list.

    Bundle
    └── Manifest         what is in it; its hash is the bundle's name
        └── Entry…       a zip archive: for which hosts, and what of it goes where on them

A host is sent no more than what it can use; the name stays that of the whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ARCHITECTURES: Final = ("x86_64", "aarch64")
"""As `uname -m` says them."""
PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A kind of host: what its wheels have to fit.

    Attributes:
        architecture: one of `ARCHITECTURES`.
        python: minor version of CPython, one of `PYTHONS`.
    """

    architecture: str
    python: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package whose wheels the payload has.

    Attributes:
        name: as the index has it, in lower case with dashes.
        version: the one that was tried.
        hashes: SHA-256, in hex, of every wheel of it that may be taken.
    """

    name: str
    version: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One archive of a payload.

    Attributes:
        path: within the payload.
        sha256: of its bytes, in hex.
        size: its bytes.
        unpacked: bytes of what it holds.
        takes: beginnings of names in the archive, with what stands in their place on the host, under the
            payload's folder: `("", "lib/")` is everything.
        architectures: of hosts that need it; none: all.
        pythons: of hosts that need it; none: all.
        glibc: the oldest C library with which it works, such as `2.28`; empty: any.
    """

    path: str
    sha256: str
    size: int
    unpacked: int
    takes: tuple[tuple[str, str], ...]
    architectures: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    glibc: str = ""

    def fits(self, target: Target) -> bool:
        """Whether hosts of this kind need it."""
        return (not self.architectures or target.architecture in self.architectures) and (
            not self.pythons or target.python in self.pythons
        )

    def data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size,
            "unpacked": self.unpacked,
            "takes": [list(each) for each in self.takes],
            "architectures": list(self.architectures),
            "pythons": list(self.pythons),
            "glibc": self.glibc,
        }


@dataclass(frozen=True)
class Manifest:
    """What a payload holds.

    Attributes:
        version: of meshctl, and so of the agent.
        envoy: what Envoy it is: a version, or the name of a file.
        targets: kinds of hosts that it is for.
        entries: by path.
    """

    version: str
    envoy: str
    targets: tuple[Target, ...]
    entries: tuple[Entry, ...]

    def text(self) -> bytes:
        """Its JSON; the same content gives the same bytes."""
        data = {
            "format": FORMAT,
            "version": self.version,
            "envoy": self.envoy,
            "targets": [[each.architecture, each.python] for each in sorted(self.targets)],
            "entries": [each.data() for each in sorted(self.entries, key=lambda each: each.path)],
        }
        return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()

    @property
    def name(self) -> str:
        """SHA-256 of the JSON, in hex: what the payload is called everywhere."""
        return hashlib.sha256(self.text()).hexdigest()

    def needed(self, targets: Iterable[Target]) -> tuple[Entry, ...]:
        """Entries that hosts of these kinds need, by path."""
        wanted = tuple(targets)
        found = (each for each in self.entries if any(each.fits(target) for target in wanted))
        return tuple(sorted(found, key=lambda each: each.path))


@dataclass(frozen=True)
class Bundle:
    """A payload that can be sent.

    Attributes:
        manifest: what is in it.
        files: of this machine, by the paths of the manifest's entries.
        installer: the script that installs it on a host, of which it knows the name.
    """

    manifest: Manifest
    files: Mapping[str, Path]
    installer: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called everywhere."""
        return self.manifest.name

    @property
    def short(self) -> str:
        """The beginning of its name, for names of files and for people."""
        return self.name[:12]
