"""Does tasks in several clusters side by side, each as soon as what it needs is done."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from meshctl.errors import MeshctlError, StoppedError
from meshctl.model.event import Changed, Failed
from meshctl.model.fleet import Ended, Told
from meshctl.stages.fleet.waves import Agenda

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from meshctl.model.event import Event
    from meshctl.model.fleet import Needs, Task

Heed: TypeAlias = "Callable[[], None]"
"""Raises `StoppedError` once the work is to stop; asked every few seconds."""
Act: TypeAlias = "Callable[[Task, Heed], Generator[Event, None, None]]"
"""Does a task, telling what happens; closing it stops it cleanly."""

CLUSTERS = 16
"""Clusters that are worked on at once."""


def work(needs: Needs, act: Act) -> Generator[Told | Ended, None, None]:
    """Do all tasks that can be done; one that fails keeps back only those that need it.

    Never do two change one cluster at once. Closing the iterator stops cleanly: steps under way end, and
    nothing new begins.

    Args:
        needs: the tasks, and what each needs.
        act: does one; runs in a thread of its own.
    """
    inbox: queue.SimpleQueue[Told | Ended | Exception] = queue.SimpleQueue()
    stop = threading.Event()
    agenda = Agenda(needs)
    running = 0
    pool = ThreadPoolExecutor(CLUSTERS)
    try:
        while True:
            for task in agenda.begin():
                running += 1
                pool.submit(_one, task, act, inbox, stop)
            if not running:
                return
            news = inbox.get()
            if isinstance(news, Exception):
                raise news
            yield news
            if isinstance(news, Told):
                continue
            running -= 1
            if news.is_done:
                agenda.done(news.task)
            else:
                for task, missing in agenda.failed(news.task).items():
                    yield Ended(task, lacking=missing)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _one(
    task: Task, act: Act, inbox: queue.SimpleQueue[Told | Ended | Exception], stop: threading.Event
) -> None:
    """Do one task; what it tells, and how it ends, goes into the inbox."""

    def heed() -> None:
        if stop.is_set():
            raise StoppedError("interrupted", "interrupted", hint="run the same command again to continue")

    changed = False
    try:
        heed()
        with closing(act(task, heed)) as events:
            for event in events:
                changed = changed or isinstance(event, Changed | Failed)
                inbox.put(Told(task.cluster, event))
                heed()
        inbox.put(Ended(task, changed))
    except MeshctlError as error:
        inbox.put(Ended(task, changed, error))
    except Exception as fault:  # noqa: BLE001 - carried to the caller's thread, and raised there
        inbox.put(fault)
