"""What a payload says that it holds, read with suspicion: nothing of it may lead outside its own folder."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from meshctl.errors import FailedError, UnsupportedError

FILE = "manifest.json"
LARGEST = 1 << 20
"""Bytes of a manifest, at most."""
_FORMAT = 1
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_TOP = ("lib/", "envoy")


@dataclass(frozen=True)
class Entry:
    """One archive of a payload; see `meshctl.model.bundle.Entry`."""

    path: str
    sha256: str
    size: int
    unpacked: int
    takes: tuple[tuple[str, str], ...]
    architectures: tuple[str, ...]
    pythons: tuple[str, ...]
    glibc: str

    def fits(self, architecture: str, python: str) -> bool:
        """Whether such a host needs it."""
        return architecture in (self.architectures or (architecture,)) and python in (
            self.pythons or (python,)
        )


@dataclass(frozen=True)
class Manifest:
    """What a payload holds; see `meshctl.model.bundle.Manifest`."""

    version: str
    envoy: str
    targets: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]


def read(raw: bytes, name: str) -> Manifest:
    """The manifest of the payload of this name, which is the manifest's hash.

    Raises:
        FailedError: it is another's, or was changed.
        UnsupportedError: it is of another time.
    """
    found = hashlib.sha256(raw).hexdigest()
    if found != name:
        raise FailedError(
            "payload-differs",
            f"the payload is {found[:12]}, and this installer is for {name[:12]}",
            hint="send installer and payload of one bundle, both whole",
        )
    data = json.loads(raw)
    if data.get("format") != _FORMAT:
        raise UnsupportedError(
            "payload-format",
            f"the payload is of format {data.get('format')!r}",
            hint="make installer and payload with one meshctl",
        )
    try:
        entries = tuple(_entry(each) for each in data["entries"])
        targets = tuple((str(architecture), str(python)) for architecture, python in data["targets"])
        return Manifest(str(data["version"]), str(data["envoy"]), targets, entries)
    except (KeyError, TypeError, ValueError) as fault:
        raise FailedError("payload-damaged", f"the payload's manifest is not one: {fault!r}") from fault


def is_safe(path: str) -> bool:
    """Whether a relative path stays below where it begins, and means the same to everybody."""
    return bool(_NAME.fullmatch(path)) and ".." not in path.split("/") and len(path) < 256


def _entry(data: dict[str, Any]) -> Entry:
    entry = Entry(
        data["path"],
        data["sha256"],
        int(data["size"]),
        int(data["unpacked"]),
        tuple((str(begin), str(to)) for begin, to in data["takes"]),
        tuple(map(str, data["architectures"])),
        tuple(map(str, data["pythons"])),
        str(data["glibc"]),
    )
    if not is_safe(entry.path) or entry.path == FILE or not _HASH.fullmatch(entry.sha256):
        raise ValueError(entry.path)
    if not all(to in _TOP for _, to in entry.takes):
        raise ValueError(entry.takes)
    return entry
