"""An upgrade by a second control plane, as it stands: what the record of it in the cluster holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshctl.model.objects import Ref
    from meshctl.model.release import Release

Labels: TypeAlias = tuple[tuple[str, str | None], ...]
"""Label names with their values; None where there was none of the name."""


class Stage(StrEnum):
    """What an upgrade is at, in the order of the story."""

    CONTROL_PLANE = "control-plane"
    """The new revision is being put beside the old one."""
    WORKLOADS = "workloads"
    """Namespaces and their workloads move, batch after batch."""
    GATEWAYS = "gateways"
    """Gateways move; they drain what is under way."""
    PROMOTION = "promotion"
    """Tags and the validating webhook move, and labels of namespaces are put back."""
    RETIREMENT = "retirement"
    """The old revision goes, once no proxy is attached to it."""
    ABORT = "abort"
    """All goes back, and the new revision goes."""


class Method(StrEnum):
    """How a workload gets new pods."""

    RESTART = "restart"
    """By its own rolling update."""
    EVICT = "evict"
    """Pod by pod through the eviction API, as its disruption budgets allow."""
    FOLLOW = "follow"
    """By istiod itself, which makes it for a Gateway of the Gateway API: whoever leads that one writes
    the pod template anew."""


@dataclass(frozen=True, slots=True)
class Mover:
    """A workload that gets new proxies.

    Attributes:
        ref: Deployment, StatefulSet, DaemonSet, or whatever owns the pods.
        method: how its pods are made anew.
        pods: how many have a proxy of the revision that is left.
        why: why it is this method, where it is not the usual one.
    """

    ref: Ref
    method: Method
    pods: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stayer:
    """Something with a proxy that nobody can make anew, and why: a bare pod, a job's, a machine's."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Workloads that move together, and pass or fail the gate together.

    Attributes:
        name: `batch 1 of 4`, `gateways`.
        namespaces: those whose labels change before.
        workloads: what gets new pods.
    """

    name: str
    namespaces: tuple[str, ...]
    workloads: tuple[Mover, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold after each batch, besides what always must; and how long it may take.

    Attributes:
        seconds: how long proxies may take to come into sync.
        soak: seconds for which all must hold without a break.
        query: a PromQL comparison that holds, such as `sum(rate(errors[1m])) < 1`; empty: none.
        prometheus: address of the server that is asked for it.
        command: a command of the user's that must end with 0; its words.
    """

    seconds: float = 120.0
    soak: float = 0.0
    query: str = ""
    prometheus: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upgrade:
    """One upgrade under way in one cluster, recorded before each step of it is taken.

    Attributes:
        created: when it began, RFC 3339, UTC.
        source: the release that is left.
        target: the release that is moved to, with its whole manifest and the user's settings; its
            generation is 0, as each part of it that is sent has a record of its own.
        stage: what it is at.
        batches: in order, workloads before gateways; who comes since is appended as further ones.
        passed: how many batches have passed their gate.
        attempt: how many movements, there or back, have ended, that of the new control plane to its place
            being the first; told in the pod templates.
        labelled: namespaces whose labels were changed, with those labels as they were before.
        tags: revision tags that are moved at the end, with the revision they led to.
        gate: what must hold after each batch.
        pause: whether to stop after each batch.
        returning: whether the batch that is next goes back just now, because it failed; when aborting:
            whether nobody asked for that, but the new control plane did not come right.
        reason: why it stopped; empty while it goes on.
    """

    created: str
    source: Release
    target: Release
    stage: Stage = Stage.CONTROL_PLANE
    batches: tuple[Batch, ...] = ()
    passed: int = 0
    attempt: int = 0
    labelled: tuple[tuple[str, Labels], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    gate: Gate = field(default_factory=Gate)
    pause: bool = False
    returning: bool = False
    reason: str = ""

    @property
    def has_moved(self) -> bool:
        """Whether anything may have been led to the target: its control plane has come right."""
        return self.attempt > 0

    @property
    def moment(self) -> str:
        """What is written into pod templates by the attempt under way, RFC 3339.

        It follows from the record alone, so that a run that continues another makes no pod anew twice.
        """
        begun = datetime.fromisoformat(self.created) + timedelta(seconds=self.attempt)
        return begun.isoformat(timespec="seconds")
