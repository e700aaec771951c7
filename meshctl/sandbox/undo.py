"""Unmaking what the journal lists: processes first, all at once, then the rest in reverse.

Everything here is tolerant: what is gone already is fine, so it may be killed and run again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import assert_never

from meshctl.errors import FailedError
from meshctl.model.event import Changed, Event, Started, Waiting
from meshctl.sandbox import cgroups, mounts, network
from meshctl.sandbox.ledger import (
    Begun,
    ControlGroup,
    Entry,
    Folder,
    Ledger,
    Link,
    Mount,
    NetworkNamespace,
    Process,
    Ready,
)
from meshctl.sandbox.process import alive, clock, kill, pause

GROUP = "clean up"
_PATIENCE = 30  # seconds for the kernel to let go


def undo(ledger: Ledger) -> Iterator[Event]:
    """Unmake all that the journal lists, then the state folder, the journal last of all.

    Raises:
        FailedError: a process, mount, namespace, link or control group would not go.
    """
    yield Started(GROUP, "processes")
    yield from _end_processes(ledger.entries())
    # Before it ended, a light cluster's companion may have started another.
    entries = ledger.entries()
    yield from _end_processes(entries)
    made = [entry for entry in reversed(entries) if not isinstance(entry, Begun | Process | Ready)]
    for entry in made:
        _remove(entry)
    if any(isinstance(entry, NetworkNamespace) for entry in entries):
        network.remove_namespaces_folder()
    yield Changed(GROUP, "processes, namespaces, links and control groups", "removed")
    _remove_state(ledger)


def _end_processes(entries: Sequence[Entry]) -> Iterator[Event]:
    """End every recorded process and every member of a recorded control group.

    Runtime shims and pods are nobody's children any more: only their control group tells whose
    they are.
    """
    processes = [entry for entry in reversed(entries) if isinstance(entry, Process)]
    groups = [entry.path for entry in entries if isinstance(entry, ControlGroup)]
    end = clock() + _PATIENCE
    while True:
        for process in processes:
            kill(process)
        for group in groups:
            cgroups.kill(group)
        left = sum(map(alive, processes)) + sum(len(cgroups.members(group)) for group in groups)
        if not left:
            return
        if clock() > end:
            raise FailedError(
                "processes-remain",
                f"{left} processes of the sandbox would not end",
                hint="run `meshctl sandbox down` again; a process that waits for a disk ends later",
                details=[one.name for one in processes if alive(one)],
            )
        yield Waiting(GROUP, "processes", f"{left} are ending")
        pause(0.1)


def _remove(entry: Entry) -> None:
    match entry:
        case NetworkNamespace(name):
            network.remove_namespace(name)
        case Link(name):
            network.remove_link(name)
        case Mount(path):
            mounts.unmount(path)
        case ControlGroup(path):
            _remove_group(path)
        case Folder(path):
            remove_tree(Path(path))
        case Begun() | Process() | Ready():
            pass  # nothing in the world, or ended before
        case _:
            assert_never(entry)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, or anything else by that name; fine if it is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_group(path: str) -> None:
    end = clock() + _PATIENCE
    # The kernel empties a group a moment after its last process ended.
    while not cgroups.remove(path):
        cgroups.kill(path)
        if clock() > end:
            raise FailedError("cgroup-remains", f"control group {path!r} would not go")
        pause(0.05)


def _remove_state(ledger: Ledger) -> None:
    state = ledger.path.parent
    if not state.exists():
        return
    mounts.unmount(str(state))
    for child in state.iterdir():
        if child != ledger.path:
            remove_tree(child)
    ledger.path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others may keep a file of theirs beside ours
        state.rmdir()
