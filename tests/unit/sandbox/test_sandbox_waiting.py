"""Waiting: the cause is told when it changes, and several parts at once end together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.errors import FailedError
from meshctl.model.event import Changed, Event, Started, Waiting
from meshctl.sandbox.ledger import Process
from meshctl.sandbox.waiting import together, until


def test_a_cause_is_told_once_until_it_changes() -> None:
    causes = iter(["starting", "starting", "no leader", ""])
    events = list(until("c1", "etcd", lambda: next(causes)))
    assert events == [Waiting("c1", "etcd", "starting"), Waiting("c1", "etcd", "no leader")]


def test_waiting_ends_when_the_process_has() -> None:
    gone = Process("c1/etcd", 1, 0, "another boot")
    with pytest.raises(FailedError) as failed:
        list(until("c1", "etcd", lambda: "starting", process=gone))
    assert "c1/etcd ended" in failed.value.message


def test_waiting_ends_when_time_is_over_with_the_last_cause() -> None:
    with pytest.raises(FailedError) as failed:
        list(until("c1", "etcd", lambda: "no leader", seconds=0))
    assert "no leader" in failed.value.message


def part(name: str, count: int) -> Iterator[Event]:
    for number in range(count):
        yield Changed(name, str(number))


def test_together_gives_the_events_of_every_part_each_in_its_order() -> None:
    events = list(together([part("a", 50), part("b", 50)]))
    for name in "ab":
        assert [one.subject for one in events if one.group == name] == [str(n) for n in range(50)]


def test_together_raises_the_error_of_a_part_and_ends_the_others() -> None:
    closed = []

    def endless() -> Iterator[Event]:
        try:
            while True:
                yield Started("endless", "step")
        finally:
            closed.append(True)

    def failing() -> Iterator[Event]:
        yield Started("failing", "step")
        raise FailedError("x", "it broke")

    with pytest.raises(FailedError, match="it broke"):
        list(together([endless(), failing()]))
    assert closed == [True]


def test_together_stops_all_parts_when_nobody_listens_any_more() -> None:
    def endless() -> Iterator[Event]:
        while True:
            yield Started("endless", "step")

    events = together([endless()])
    next(events)
    events.close()
