"""What traffic capture has done to this host, on disk before it is done, so that a crash loses nothing.

applied.json   the rules that are wanted, and all that is needed to take them away
pending.json   a change that is taken back unless somebody confirms it, and what was before
refused.json   there was such a change, and nobody confirmed it
lock           held by whoever changes any of this
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from meshctl.agent.capture.settings import FLAVOURS
from meshctl.errors import AccessError

T = TypeVar("T")

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Placed:
    """One of the kernel's tables, for one family.

    Attributes:
        family: 4 or 6.
        table: `nat`, `raw`, `mangle`.
        lines: what was put there, in the tool's language.
        listed: how the tool lists it; empty until it is there.
    """

    family: int
    table: str
    lines: tuple[str, ...]
    listed: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[int, str]:
        """Family and table."""
        return self.family, self.table


@dataclass(frozen=True, slots=True)
class Applied:
    """What is done to this host.

    Attributes:
        flavour: by which tool.
        digest: of the rules that were wanted, which are more than there are where the host lacks something.
        tables: in the order to make them.
        before: tables and chains of nftables that were there before anything of ours.
        loopback: addresses that `lo` got from us.
        origin: which boot and network namespace this is of; after another one, nothing of it is left.
        complete: all of it is done; else some of it may be.
        notes: what an operator should know of what is not captured.
    """

    flavour: str
    digest: str
    tables: tuple[Placed, ...]
    before: tuple[str, ...] = ()
    loopback: tuple[str, ...] = ()
    origin: str = ""
    complete: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits to be confirmed.

    Attributes:
        number: by which the timer knows it.
        digest: of what was put there.
        until: seconds since this host's boot, when it is taken back.
        origin: which boot that is.
        previous: what to have then; None is nothing.
    """

    number: str
    digest: str
    until: float
    origin: str
    previous: Applied | None


def digest(flavour: str, tables: tuple[Placed, ...]) -> str:
    """A short name for some rules: the same rules, the same name."""
    parts = [flavour, *([each.family, each.table, *each.lines] for each in tables)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Journal:
    """The files, for root alone.

    Attributes:
        folder: that they are in.
    """

    folder: Path

    @contextmanager
    def locked(self) -> Iterator[int]:
        """While nobody else changes what is captured; the file that holds the lock as long as it is open.

        Raises:
            AccessError: we are not root.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            message = "traffic capture is for root alone"
            raise AccessError("not-root", message, hint="run it with sudo") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield held
        finally:
            os.close(held)

    def applied(self) -> Applied | None:
        """What is done; None when nothing is, or the file is none of ours."""
        return _read(self.folder / "applied.json", _applied)

    def write_applied(self, applied: Applied | None) -> None:
        """Keep what is done, before it is done; None when nothing is left."""
        _write(self.folder / "applied.json", asdict(applied) if applied else None)

    def pending(self) -> Pending | None:
        """The change that waits to be confirmed."""
        return _read(self.folder / "pending.json", _pending)

    def write_pending(self, pending: Pending | None) -> None:
        """Keep a change that waits; None when none does any more."""
        _write(self.folder / "pending.json", asdict(pending) if pending else None)

    def refused(self) -> Pending | None:
        """The change that was taken back, as nobody had confirmed it; None once another one is confirmed."""
        return _read(self.folder / "refused.json", _pending)

    def write_refused(self, refused: Pending | None) -> None:
        """Keep which change was taken back."""
        _write(self.folder / "refused.json", asdict(refused) if refused else None)


def _write(path: Path, content: dict[str, Any] | None) -> None:
    """Have a file whole and on disk, or gone."""
    part = path.with_suffix(".part")
    if content is None:
        path.unlink(missing_ok=True)
        part.unlink(missing_ok=True)  # of a process that died as it wrote
    else:
        held = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(held, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, **content}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, made: Callable[[dict[str, Any]], T]) -> T | None:
    """What a file says; None when there is none, or one that we have not written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return made(content) if content.pop("version") == _VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _applied(content: dict[str, Any]) -> Applied:
    tables = tuple(
        Placed(int(each["family"]), str(each["table"]), _texts(each["lines"]), _texts(each["listed"]))
        for each in content["tables"]
    )
    if content["flavour"] not in FLAVOURS:
        raise ValueError("by no tool that we know")
    return Applied(
        flavour=str(content["flavour"]),
        digest=str(content["digest"]),
        tables=tables,
        before=_texts(content["before"]),
        loopback=_texts(content["loopback"]),
        origin=str(content["origin"]),
        complete=content["complete"] is True,
        notes=_texts(content["notes"]),
    )


def _pending(content: dict[str, Any]) -> Pending:
    return Pending(
        number=str(content["number"]),
        digest=str(content["digest"]),
        until=float(content["until"]),
        origin=str(content["origin"]),
        previous=_applied(content["previous"]) if content["previous"] else None,
    )


def _texts(said: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in said)
