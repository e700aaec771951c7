"""Computing on all of a machine's processors."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_WORTH = 8
"""Pieces of work from which on it pays to begin processes."""
_work: Callable[[Any], Any] | None = None


def in_processes(work: Callable[[str], T], names: Iterable[str]) -> Iterator[T]:
    """What `work` gives for each name, in their order, computed by as many processes as there are processors.

    They begin as copies of this one, so that only results are carried over; these must be plain data, and so
    must the errors that they hold. Where a system cannot make such copies, or it is not worth it, this
    process does the work itself. `work` must reach nothing that a copy would disturb.
    """
    global _work
    wanted = list(names)
    count = min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1, len(wanted))
    if count < 2 or len(wanted) < _WORTH:
        yield from map(work, wanted)
        return
    _work = work
    gc.freeze()  # else each copy looks through what it shares with this process, which copies it for good
    try:
        with multiprocessing.get_context("fork").Pool(count, _begin) as pool:
            yield from pool.imap(_one, wanted)
    finally:
        gc.unfreeze()
        _work = None


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is asked to stop, and stops its copies


def _one(name: str) -> Any:
    assert _work is not None
    return _work(name)
