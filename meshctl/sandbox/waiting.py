"""Waiting for something to come right, telling the live cause, and working on several parts at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from meshctl.errors import FailedError
from meshctl.model.event import Event, Waiting
from meshctl.sandbox.ledger import Process
from meshctl.sandbox.process import alive, clock, log_tail, pause

_LOOK_AGAIN = 0.1  # seconds between two looks


def until(
    group: str,
    subject: str,
    cause: Callable[[], str],
    *,
    process: Process | None = None,
    log: Path | None = None,
    seconds: float = 120,
) -> Iterator[Event]:
    """Wait until `cause` gives an empty string; an event each time the cause changes.

    Args:
        group: line of progress.
        subject: what is waited for.
        cause: why it is not there yet, seen just now.
        process: when it ends, waiting is over.
        log: its log, whose end goes into the error.
        seconds: how long to wait at most.

    Raises:
        FailedError: the process ended, or the time is over.
    """
    told = ""
    end = clock() + seconds
    while why := cause():
        if why != told:
            told = why
            yield Waiting(group, subject, why)
        if process is not None and not alive(process):
            raise FailedError(
                "component-ended",
                f"{process.name} ended while it was coming up",
                details=log_tail(log) if log else (),
            )
        if clock() > end:
            raise FailedError(
                "component-slow",
                f"{subject} did not come up in {seconds:.0f} s: {why}",
                details=log_tail(log) if log else (),
            )
        pause(_LOOK_AGAIN)


def together(parts: Sequence[Iterator[Event]]) -> Iterator[Event]:
    """The events of all parts as they come; each part works in a thread of its own.

    When a part fails, the others stop at their next event, and the first error is raised. When the
    caller stops reading, all stop.
    """
    events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def work(part: Iterator[Event]) -> None:
        try:
            for event in part:
                events.put(event)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - carried to the reading thread and raised there
            events.put(error)
        finally:
            if isinstance(part, Generator):
                part.close()  # here, so that what it cleans up is clean when all have been joined
            events.put(None)

    threads = [threading.Thread(target=work, args=(part,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    try:
        yield from _merged(events, len(threads), stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _merged(
    events: queue.SimpleQueue[Event | BaseException | None], running: int, stop: threading.Event
) -> Iterator[Event]:
    failure: BaseException | None = None
    while running:
        item = events.get()
        if item is None:
            running -= 1
        elif isinstance(item, BaseException):
            failure = failure or item
            stop.set()
        elif failure is None:
            yield item
    if failure is not None:
        raise failure
