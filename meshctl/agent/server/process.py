"""What Linux knows of this process. Source: proc(5)."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

_SELF: Final = Path("/proc/self")


@dataclass(frozen=True)
class Usage:
    """What this process uses of the host.

    Attributes:
        cpu: seconds of processor time, its own and the kernel's for it.
        resident: bytes of memory.
        virtual: bytes of addresses.
        files: that are open.
        most_files: that may be open; 0 is without limit.
        started: epoch seconds.
    """

    cpu: float
    resident: int
    virtual: int
    files: int
    most_files: int
    started: float


def usage() -> Usage:
    """What it uses now."""
    fields = _fields()
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / _ticks(),
        resident=int(fields[21]) * resource.getpagesize(),
        virtual=int(fields[20]),
        files=len(list((_SELF / "fd").iterdir())) - 1,  # the listing's own is one
        most_files=0 if most == resource.RLIM_INFINITY else most,
        started=_started(),
    )


def age() -> float:
    """Seconds since this process was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_fields()[19]) / _ticks()


@lru_cache(maxsize=1)
def _started() -> float:
    return time.time() - age()


@lru_cache(maxsize=1)
def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def _fields() -> list[str]:
    """Of `stat`, from its third on: the second, the program's name, may have spaces in it."""
    return (_SELF / "stat").read_text(errors="replace").rpartition(")")[2].split()
