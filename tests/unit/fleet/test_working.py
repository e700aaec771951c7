"""Work in several clusters at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import pytest

from meshctl.actions.fleet.working import Heed, work
from meshctl.errors import FailedError, StoppedError, UnreachableError
from meshctl.model.event import Changed, Event, Unchanged
from meshctl.model.fleet import Ended, Needs, Task, Told, Work

WEST, EAST, NORTH = (Task(Work.INSTALL, name) for name in ("west", "east", "north"))
Act = Callable[[Task, Heed], Generator[Event, None, None]]


def ended(needs: Needs, act: Act) -> dict[Task, Ended]:
    return {each.task: each for each in work(needs, act) if isinstance(each, Ended)}


def sending(task: Task, _heed: Heed) -> Generator[Event, None, None]:
    yield Changed("istiod", task.cluster, "created")


def test_clusters_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=20)

    def act(task: Task, _heed: Heed) -> Generator[Event, None, None]:
        together.wait()  # passed only when both are here
        yield Changed("istiod", task.cluster)

    found = ended({WEST: frozenset(), EAST: frozenset()}, act)
    assert all(each.is_done and each.changed for each in found.values())


def test_what_happens_is_told_with_its_cluster_before_how_it_ended() -> None:
    news = list(work({WEST: frozenset()}, sending))
    assert news == [Told("west", Changed("istiod", "west", "created")), Ended(WEST, changed=True)]


def test_a_task_begins_when_what_it_needs_is_done() -> None:
    done: list[str] = []

    def act(task: Task, _heed: Heed) -> Generator[Event, None, None]:
        done.append(task.cluster)
        yield Unchanged("istiod", "x")

    ended({NORTH: frozenset(), EAST: frozenset({NORTH}), WEST: frozenset({EAST})}, act)
    assert done == ["north", "east", "west"]


def test_a_cluster_that_fails_keeps_back_only_those_that_need_it() -> None:
    def act(task: Task, heed: Heed) -> Generator[Event, None, None]:
        if task is WEST:
            raise FailedError("broken", "it is broken")
        yield from sending(task, heed)

    found = ended({WEST: frozenset(), EAST: frozenset({WEST}), NORTH: frozenset()}, act)
    assert found[NORTH].is_done
    assert found[WEST].error
    assert (found[EAST].error, found[EAST].lacking) == (None, (WEST,))
    assert not found[EAST].is_done


@pytest.mark.parametrize(
    ("error", "cut_off"),
    [
        (UnreachableError("unreachable", "no answer"), True),
        (StoppedError("stopped-part-way", "no answer any more"), True),
        (FailedError("not-ready-in-time", "it is not ready"), False),
    ],
)
def test_a_lost_connection_is_told_from_a_failure(error: Exception, cut_off: bool) -> None:
    def act(task: Task, _heed: Heed) -> Generator[Event, None, None]:
        yield Changed("istiod", task.cluster)
        raise error

    found = ended({WEST: frozenset()}, act)[WEST]
    assert (found.is_cut_off, found.changed) == (cut_off, True)


def test_a_fault_of_ours_is_not_swallowed() -> None:
    def act(_task: Task, _heed: Heed) -> Generator[Event, None, None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        ended({WEST: frozenset(), EAST: frozenset()}, act)


def test_work_that_is_no_longer_wanted_stops_and_begins_nothing_new() -> None:
    begun, closed = [], threading.Event()

    def act(task: Task, heed: Heed) -> Generator[Event, None, None]:
        begun.append(task.cluster)
        try:
            while True:
                yield Unchanged("istiod", "x")
                heed()
        finally:
            closed.set()

    news = work({WEST: frozenset(), EAST: frozenset({WEST})}, act)
    next(news)
    news.close()  # as an interrupt does
    assert closed.is_set()
    assert begun == ["west"]
