"""The status that a process-backed pod gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from meshctl.sandbox.light_states import Moment, Since, status_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POD = {
    "spec": {
        "containers": [{"name": "app", "image": "app:1"}],
        "initContainers": [
            {"name": "init", "image": "init:1"},
            {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
        ],
    }
}


def ready_of(status: dict[str, Any]) -> dict[str, Any]:
    return next(dict(one) for one in status["conditions"] if one["type"] == "Ready")


def test_before_it_runs_the_reason_is_told() -> None:
    status = status_of(POD, Moment.waiting("ImagePullBackOff", "why"), "10.0.0.1", {}, NOON)
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ImagePullBackOff", "message": "why"}
    }
    assert "podIP" not in status


def test_once_it_serves_it_is_ready_at_its_address() -> None:
    status = status_of(POD, Moment.running("100.65.0.1", 0, ready=True), "10.0.0.1", {}, NOON)
    assert (status["phase"], status["podIP"], ready_of(status)["status"]) == ("Running", "100.65.0.1", "True")
    init, proxy = status["initContainerStatuses"]
    assert "terminated" in init["state"]
    assert "running" in proxy["state"]


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    since: Since = {}
    moment = Moment.running("100.65.0.1", 0, ready=True)
    first = status_of(POD, moment, "10.0.0.1", since, NOON)
    second = status_of(POD, moment, "10.0.0.1", since, NOON + timedelta(minutes=1))
    assert first == second
    crashed = status_of(POD, Moment.crashed(1, "100.65.0.1"), "10.0.0.1", since, NOON + timedelta(minutes=2))
    assert ready_of(crashed) == {
        "type": "Ready",
        "status": "False",
        "lastTransitionTime": "2026-01-01T12:02:00Z",
    }


def test_a_crash_is_told_as_a_kubelet_does() -> None:
    status = status_of(POD, Moment.crashed(3, "100.65.0.1"), "10.0.0.1", {}, NOON)
    container = status["containerStatuses"][0]
    assert status["phase"] == "Running"
    assert (container["restartCount"], container["state"]["waiting"]["reason"]) == (3, "CrashLoopBackOff")
