"""From an object to the same object with a sidecar, whoever says what belongs into its pod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting.changes import carried
from meshctl.stages.injecting.injector import Job, injected
from meshctl.stages.injecting.pods import canonical
from meshctl.stages.injecting.selection import reason_against
from meshctl.stages.injecting.uninjection import is_injected, remembered, uninjected
from meshctl.stages.injecting.workloads import at, owner, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.injector import Injector
    from meshctl.stages.injecting.workloads import Workload


@dataclass(frozen=True)
class LeftAlone:
    """A pod that is not to be injected, and why."""

    reason: str


@dataclass(frozen=True)
class Injected:
    """The canonical pod that was made of one."""

    pod: Mapping[str, Any]


Ask = Callable[[Job, "Workload"], Injected | LeftAlone]
"""Says what becomes of a pod: an injector's configuration does, or the cluster's webhook."""


class Verdict(Enum):
    """What became of an object."""

    INJECTED = "injected"
    AGAIN = "injected again"
    ALREADY = "already injected"
    LEFT_ALONE = "left alone"
    UNINJECTED = "uninjected"
    NOT_INJECTED = "not injected"


@dataclass(frozen=True)
class Outcome:
    """What became of a workload, and the object as it is now."""

    content: Mapping[str, Any]
    verdict: Verdict
    reason: str = ""


def inject(workload: Workload, ask: Ask, namespace: str) -> Outcome:
    """The workload with a sidecar.

    One that has a sidecar is taken back to what it was, and injected afresh: so the same injector changes
    nothing, and another one leaves nothing of the first behind.

    Args:
        workload: an object that runs pods.
        ask: who says what belongs into the pod.
        namespace: where the object goes that names no namespace.

    Raises:
        ConfigError: the object is no proper one, or an annotation is wrong.
    """
    was_injected = is_injected(workload)
    bare = replace(workload, content=uninjected(workload))
    pod = at(bare.content, workload.pod)
    before = canonical(pod)
    before.setdefault("spec", {})
    labels = (before.get("metadata") or {}).get("labels") or {}
    answer = ask(Job(before, owner(bare, labels), workload.namespace or namespace), bare)
    if isinstance(answer, LeftAlone):
        return Outcome(workload.content, Verdict.LEFT_ALONE, answer.reason)
    content = put(bare.content, workload.pod, carried(pod, before, answer.pod))
    result = remembered(replace(workload, content=content), bare.content)
    if not was_injected:
        return Outcome(result, Verdict.INJECTED)
    if result == workload.content:
        return Outcome(workload.content, Verdict.ALREADY)
    return Outcome(result, Verdict.AGAIN)


def uninject(workload: Workload) -> Outcome:
    """The workload without its sidecar.

    Raises:
        ConfigError: the marks of the injector cannot be read.
    """
    if not is_injected(workload):
        return Outcome(workload.content, Verdict.NOT_INJECTED)
    return Outcome(uninjected(workload), Verdict.UNINJECTED)


def by_configuration(injector: Injector) -> Ask:
    """An injector that goes by its configuration alone."""

    def ask(job: Job, _: Workload) -> Injected | LeftAlone:
        reason = reason_against(job.pod, job.namespace, injector.config)
        return LeftAlone(reason) if reason else Injected(injected(injector, job))

    return ask
