"""The status of a pod, as the one who runs it writes it into the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Moment:
    """How a pod fares at a moment.

    Attributes:
        address: its address; empty while it has none.
        ready: it serves.
        runs: its process is there.
        restarts: how often the process was started again.
        reason: why the process is not there, in the words of a kubelet.
        message: more about that.
    """

    address: str = ""
    ready: bool = False
    runs: bool = False
    restarts: int = 0
    reason: str = ""
    message: str = ""

    @staticmethod
    def waiting(reason: str, message: str) -> Moment:
        """Not started yet, and why."""
        return Moment(reason=reason, message=message)

    @staticmethod
    def running(address: str, restarts: int, *, ready: bool) -> Moment:
        """The process is there."""
        return Moment(address, ready, runs=True, restarts=restarts)

    @staticmethod
    def crashed(restarts: int, address: str) -> Moment:
        """The process ended and is to be started again after a while."""
        return Moment(
            address,
            restarts=restarts,
            reason="CrashLoopBackOff",
            message="back-off restarting failed container",
        )


Since: TypeAlias = dict[str, tuple[Any, str]]
"""What each thing is, and since when."""


def status_of(pod: dict[str, Any], moment: Moment, node: str, since: Since, at: datetime) -> dict[str, Any]:
    """The pod's status, for a merge patch.

    Args:
        pod: the pod's manifest.
        moment: how it fares.
        node: address of its node.
        since: what each condition was, and since when; kept by the caller, changed here.
        at: this moment, UTC.
    """
    now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = pod["spec"]
    conditions = {
        "PodScheduled": True,
        "Initialized": moment.runs,
        "PodReadyToStartContainers": moment.runs,
        "ContainersReady": moment.ready,
        "Ready": moment.ready,
    }
    began = _since(since, "process", (moment.runs, moment.restarts), now)
    status: dict[str, Any] = {
        "phase": "Running" if moment.runs or moment.restarts else "Pending",
        "hostIP": node,
        "hostIPs": [{"ip": node}],
        "conditions": [
            {
                "type": name,
                "status": str(value),
                "lastTransitionTime": _since(since, name, value, now),
            }
            for name, value in conditions.items()
        ],
        "containerStatuses": [_container(one, moment, began) for one in spec["containers"]],
        "initContainerStatuses": [_init(one, moment, began) for one in spec.get("initContainers", [])],
    }
    if moment.address:
        status |= {
            "podIP": moment.address,
            "podIPs": [{"ip": moment.address}],
            "startTime": _since(since, "start", None, now),
        }
    return status


def _since(since: Since, name: str, value: Any, now: str) -> str:
    if name not in since or since[name][0] != value:
        since[name] = (value, now)
    return since[name][1]


def _container(container: dict[str, Any], moment: Moment, now: str) -> dict[str, Any]:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": moment.ready,
        "started": moment.runs,
        "restartCount": moment.restarts,
        "state": _state(moment, now),
    }


def _init(container: dict[str, Any], moment: Moment, now: str) -> dict[str, Any]:
    if container.get("restartPolicy") == "Always":
        return _container(container, moment, now)
    over = moment.runs or bool(moment.restarts)
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": over,
        "restartCount": 0,
        "state": done if over else _state(moment, now),
    }


def _state(moment: Moment, now: str) -> dict[str, Any]:
    if moment.runs:
        return {"running": {"startedAt": now}}
    return {"waiting": {"reason": moment.reason, "message": moment.message}}
