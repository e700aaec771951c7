"""Mounts in the machine's own mount namespace."""

from __future__ import annotations

import re
from pathlib import Path

from meshctl.sandbox.process import run

_OCTAL = re.compile(r"\\([0-7]{3})")


def unmount(path: str) -> None:
    """Take away every mount at `path` and below, the last made first."""
    for point in reversed(below(path)):
        run(["umount", "--lazy", "--", point])


def below(path: str) -> list[str]:
    """Mount points at `path` and below, in the order in which they were made.

    Source: proc(5), /proc/self/mountinfo: field 5, with blanks and backslashes in octal.
    """
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4])
        if point == path or point.startswith(path.rstrip("/") + "/"):
            found.append(point)
    return found


def is_point(path: Path) -> bool:
    """Whether something is mounted right at `path`.

    `os.path.ismount` does not see a folder that is mounted on itself, as `ip netns` does it.
    """
    return str(path) in below(str(path))
