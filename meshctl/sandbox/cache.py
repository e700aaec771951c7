"""The cache: each entry is made whole under another name and then renamed, so none is ever half there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshctl.model.event import Event, Waiting
from meshctl.sandbox.paths import cache_root
from meshctl.sandbox.process import clock, pause


def key(*parts: str | bytes) -> str:
    """A short name for what is made from `parts`: the same parts, the same name."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]


def entry(kind: str, name: str) -> Path:
    """Where the entry `name` of a kind is, or will be."""
    return cache_root() / kind / name


@contextmanager
def filling(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes the entry `path` when the block ends without an error.

    What an earlier run left half filled is removed first, as far as its last children let go of it;
    hold `locked` meanwhile.
    """
    for left in path.parent.glob(f"{path.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def _held(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # which also gives the lock back, as does the end of the process


def locked(path: Path, group: str, work: Iterator[Event]) -> Iterator[Event]:
    """The events of `work`, done while no other process holds the lock file `path`."""
    with _held(path) as descriptor:
        begun = clock()
        told = 0.0
        while not _try_lock(descriptor):
            if clock() - told > 5:
                told = clock()
                yield Waiting(group, "lock", f"another run is at it, {clock() - begun:.0f} s")
            pause(0.2)
        yield from work


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
