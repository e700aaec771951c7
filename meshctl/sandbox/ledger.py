"""The journal of everything a sandbox makes, written before it is made.

One JSON object a line, synced to disk before the thing itself exists, so that a `kill -9` at any
moment leaves nothing that the next run does not know of. A line cut short by a crash is ignored:
what it would have named was not made yet.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Begun:
    """`up` began: what was asked for (`Settings.to_json`), which slot, and whether in light mode."""

    settings: dict[str, Any]
    slot: int
    light: bool


@dataclass(frozen=True, slots=True)
class Process:
    """A process.

    Attributes:
        name: component and place, such as `c1/etcd`.
        pid: its number.
        start: its start in clock ticks since boot; with `boot` it tells a reused number apart.
        boot: the kernel's boot id.
    """

    name: str
    pid: int
    start: int
    boot: str


@dataclass(frozen=True, slots=True)
class NetworkNamespace:
    """A named network namespace."""

    name: str


@dataclass(frozen=True, slots=True)
class Link:
    """A bridge or the machine's end of a cable."""

    name: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount in the machine's own mount namespace."""

    path: str


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A control group and all below it, from the root of each hierarchy.

    Every process in it goes with it.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A file or a folder with all in it, outside the state folder."""

    path: str


@dataclass(frozen=True, slots=True)
class Ready:
    """`up` came to its end."""


Entry: TypeAlias = Begun | Process | NetworkNamespace | Link | Mount | ControlGroup | Folder | Ready

_KINDS: dict[str, type[Entry]] = {
    kind.__name__: kind
    for kind in (Begun, Process, NetworkNamespace, Link, Mount, ControlGroup, Folder, Ready)
}


class Ledger:
    """An append-only journal; safe to write from several threads."""

    def __init__(self, path: Path) -> None:
        """Use the journal at `path`; it and its folder are made with the first entry."""
        self.path = path
        self._lock = threading.Lock()

    @classmethod
    def of(cls, state: Path) -> Ledger:
        """The journal of the sandbox whose state folder this is."""
        return cls(state / "ledger.jsonl")

    def record(self, entry: Entry) -> None:
        """Write `entry` and wait until it is on disk. Call it before making the thing."""
        line = json.dumps({"kind": type(entry).__name__, **asdict(entry)}, sort_keys=True) + "\n"
        with self._lock:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.open("a+b") as file:
                if _cut_short(file):
                    file.write(b"\n")
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            if new:
                _sync_folder(self.path.parent)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first; empty when there is no journal."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(entry for line in lines if (entry := _read(line)) is not None)

    def begun(self) -> Begun | None:
        """What the run that wrote this journal was asked for."""
        return next((entry for entry in self.entries() if isinstance(entry, Begun)), None)

    def is_ready(self) -> bool:
        """Whether `up` came to its end."""
        return any(isinstance(entry, Ready) for entry in self.entries())

    def processes(self) -> tuple[Process, ...]:
        """The processes, oldest first."""
        return tuple(entry for entry in self.entries() if isinstance(entry, Process))


def _read(line: bytes) -> Entry | None:
    try:
        data = json.loads(line)
        return _KINDS[data.pop("kind")](**data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # cut short by a crash: the thing it names was not made


def _cut_short(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
