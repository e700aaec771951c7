"""Control groups, version 1 and 2: each process of a sandbox is in one, and so is found again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NEEDED = ("cpu", "cpuset", "memory", "pids")

# A kubelet on version 2 wants this one handed down too, where the machine has it.
# Source: kubelet's pkg/kubelet/cm/cgroup_v2_manager_linux.go, Validate.
_WANTED = (*_NEEDED, "hugetlb")


def is_v2() -> bool:
    """Whether the machine has the one hierarchy of version 2 only."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> tuple[Path, ...]:
    """The roots of all hierarchies: one on version 2, one for each controller on version 1."""
    if is_v2():
        return (ROOT,)
    return tuple(sorted(path.parent for path in ROOT.glob("*/cgroup.procs")))


def missing_controllers() -> tuple[str, ...]:
    """Controllers that a kubelet needs and the machine does not have."""
    if is_v2():
        known = (ROOT / "cgroup.controllers").read_text().split()
    else:
        known = [name for path in hierarchies() for name in path.name.split(",")]
    return tuple(name for name in _NEEDED if name not in known)


def make(path: str) -> None:
    """Make the group `path` and those above it in every hierarchy; fine if they exist.

    On version 2 the controllers are handed down to it, which needs that no group above it holds
    processes of its own (the root may).
    """
    for root in hierarchies():
        (root / path).mkdir(parents=True, exist_ok=True)
    if is_v2():
        for parent in reversed(Path(path).parents):
            _hand_down(ROOT / parent)


def why_not_handed_down() -> str:
    """Why version 2 does not let a new group have controllers; empty when it does, or on version 1.

    A group that holds processes cannot hand controllers down, unless it is the machine's own root: a
    container whose processes are all in its root group is such a case.
    """
    if not is_v2():
        return ""
    try:
        _hand_down(ROOT)
    except OSError as error:
        return f"control groups cannot be divided here ({error.strerror})"
    return ""


def enter(path: str, pid: int) -> None:
    """Move the process into the group.

    On version 1 only in the hierarchy that counts processes: that is enough to find it again, and
    the cpuset hierarchy takes no process before it is set up.
    """
    (_tracking() / path / "cgroup.procs").write_text(str(pid))


def members(path: str) -> set[int]:
    """Numbers of all processes in the group and below it, in any hierarchy."""
    found: set[int] = set()
    for root in hierarchies():
        for folder in _below(root / path):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return found - {0}


def kill(path: str) -> None:
    """End every process in the group and below it at once."""
    for pid in members(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove(path: str) -> bool:
    """Remove the group and those below it; False while the kernel still holds one."""
    for root in hierarchies():
        for folder in reversed(list(_below(root / path))):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True


def _hand_down(folder: Path) -> None:
    known = (ROOT / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in _WANTED if name in known)
    (folder / "cgroup.subtree_control").write_text(wanted)


def _tracking() -> Path:
    roots = hierarchies()
    return next((root for root in roots if "pids" in root.name.split(",")), roots[0])


def _below(folder: Path) -> Iterator[Path]:
    """The folder and those below it, each before its children."""
    if not folder.is_dir():
        return
    yield folder
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.is_symlink():
            yield from _below(child)
