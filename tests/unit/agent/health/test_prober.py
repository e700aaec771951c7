"""When a workload's health is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.agent.health import prober as room
from meshctl.agent.health.prober import Health, Prober, judged
from meshctl.agent.health.settings import HealthSettings, TcpSocket

CHECK = TcpSocket(80)


def told(probes: str, successes: int = 1, failures: int = 1) -> list[tuple[int, bool]]:
    """After which probe what is told: `+` is one that finds the workload healthy, `-` one that does not."""
    settings = HealthSettings(CHECK, successes=successes, failures=failures)
    health, events = Health(), []
    for at, probe in enumerate(probes, 1):
        before, health = health.healthy, judged(health, "" if probe == "+" else "why", settings)
        if health.healthy is not before and health.healthy is not None:
            events.append((at, health.healthy))
    return events


@pytest.mark.parametrize(
    ("probes", "successes", "failures", "events"),
    [
        ("+", 1, 1, [(1, True)]),
        ("-", 1, 1, [(1, False)]),
        ("++++", 1, 1, [(1, True)]),
        ("+-+-", 1, 1, [(1, True), (2, False), (3, True), (4, False)]),
        ("++-", 3, 1, [(3, False)]),
        ("+++", 3, 1, [(3, True)]),
        ("+--+---", 1, 3, [(1, True), (7, False)]),
        ("---", 1, 3, [(3, False)]),
        ("+---++-+++", 3, 2, [(3, False), (10, True)]),
        ("++++----++++", 4, 4, [(4, True), (8, False), (12, True)]),
        ("+++++++-+", 2, 2, [(2, True)]),
    ],
)
def test_health_changes_after_so_many_in_a_row(
    probes: str, successes: int, failures: int, events: list[tuple[int, bool]]
) -> None:
    assert told(probes, successes, failures) == events


def upstream(probes: str, successes: int, failures: int) -> list[tuple[int, bool]]:
    """The same, by the counters of Istio's own checker."""
    good = bad = 0
    last, events = None, []
    for at, probe in enumerate(probes, 1):
        if probe == "+":
            good, bad = good + 1, 0
            if good == successes and last is not True:
                events.append((at, True))
                good, last = 0, True
        else:
            good, bad = 0, bad + 1
            if bad == failures and last is not False:
                events.append((at, False))
                bad, last = 0, False
    return events


@given(probes=st.text("+-", max_size=40), successes=st.integers(1, 4), failures=st.integers(1, 4))
def test_health_changes_when_istios_own_agent_would_change_it(
    probes: str, successes: int, failures: int
) -> None:
    assert told(probes, successes, failures) == upstream(probes, successes, failures)


class Time:
    """A clock that goes on when somebody sleeps, and ends the test after a while."""

    def __init__(self, ends: float) -> None:
        self.now = 0.0
        self._ends = ends

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds
        await asyncio.sleep(0)
        if self.now >= self._ends:
            raise asyncio.CancelledError


def ran(
    monkeypatch: pytest.MonkeyPatch,
    settings: HealthSettings,
    failing: Callable[[float], str],
    ends: float,
    proxy: Callable[[float], str] = lambda _: "",
    takes: float = 0.0,
) -> tuple[list[tuple[float, bool, str]], list[float]]:
    """What is told when, and when probes were made."""
    time, reports, probes = Time(ends), [], []

    async def probed(*_: object) -> str:
        probes.append(time.now)
        failed = failing(time.now)
        time.now += takes
        return failed

    async def report(healthy: bool, message: str) -> None:
        reports.append((time.now, healthy, message))

    async def envoy() -> str:
        return proxy(time.now)

    monkeypatch.setattr(room, "failure", probed)

    async def run() -> None:
        prober = Prober(
            settings,
            report=report,
            proxy=envoy,
            relay=Path("/nowhere"),
            sleep=time.sleep,
            clock=lambda: time.now,
        )
        task = asyncio.ensure_future(prober.run())
        await asyncio.wait([task], timeout=0.2 if settings.check is None else None)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())
    return reports, probes


def test_it_probes_after_the_delay_and_then_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    _, probes = ran(monkeypatch, HealthSettings(CHECK, delay=7, period=5), lambda _: "", ends=20)
    assert probes == [7, 12, 17]


def test_it_tells_changes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HealthSettings(CHECK, period=1, failures=2)
    reports, _ = ran(monkeypatch, settings, lambda now: "gone" if 3 <= now < 7 else "", ends=12)
    assert reports == [(0, True, ""), (4, False, "gone"), (7, True, "")]


def test_a_slow_probe_does_not_make_later_ones_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    _, probes = ran(monkeypatch, HealthSettings(CHECK, period=5), lambda _: "", ends=30, takes=8)
    assert probes == [0, 8, 16, 24]


def test_a_proxy_that_takes_no_traffic_makes_the_workload_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HealthSettings(CHECK, period=1)
    reports, probes = ran(
        monkeypatch, settings, lambda _: "", ends=4, proxy=lambda now: "Envoy does not run" if now < 2 else ""
    )
    assert reports == [(0, False, "Envoy does not run"), (2, True, "")]
    assert probes == [2, 3]


def test_without_a_probe_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran(monkeypatch, HealthSettings(), lambda _: "", ends=1) == ([], [])


def test_a_long_reason_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    reports, _ = ran(monkeypatch, HealthSettings(CHECK), lambda _: "x" * 100_000, ends=1)
    assert len(reports[0][2]) <= 500
