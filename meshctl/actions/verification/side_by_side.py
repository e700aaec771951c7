"""Work in several clusters at once that has no order, told as it happens."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshctl.model.fleet import Told

Tell: TypeAlias = "Callable[[Told], None]"
Job: TypeAlias = "Callable[[Tell, threading.Event], None]"
"""Does its work, tells what happens, and ends early once the event is set."""

_AT_ONCE = 16


def side_by_side(jobs: Sequence[Job]) -> Iterator[Told]:
    """Do all jobs, each in a thread of its own.

    Closing the iterator asks all to end, and waits until they have. What a job raises is raised here.
    """
    inbox: queue.SimpleQueue[Told | Exception | None] = queue.SimpleQueue()
    stop = threading.Event()

    def one(job: Job) -> None:
        try:
            job(inbox.put, stop)
            inbox.put(None)
        except Exception as fault:  # noqa: BLE001 - carried to the caller's thread, and raised there
            inbox.put(fault)

    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(jobs)))) as pool:
        try:
            left = len([pool.submit(one, job) for job in jobs])
            while left:
                news = inbox.get()
                if isinstance(news, Exception):
                    raise news
                if news is None:
                    left -= 1
                else:
                    yield news
        finally:
            stop.set()
