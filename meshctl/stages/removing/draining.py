"""Lets the pods of workloads that go end within a time, not in their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.model.plan import Delete, Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Plan

OWNED = (("apps/v1", "ReplicaSet"), ("v1", "Pod"))
"""What to list in the namespaces of the workloads, for `drained`."""


def drained(plan: Plan, live: Collection[Object], owned: Collection[Object], seconds: int) -> Plan:
    """The plan, with the pods of each Deployment that it removes told to end within `seconds`.

    A Deployment that is removed leaves its pods their own time, five seconds of a gateway's even when
    it has nothing to do, and a namespace whose pods still end after five seconds is looked at again only
    seconds later. ReplicaSets are removed with their Deployment, so that none puts a pod in place.

    Args:
        plan: what removes the Deployments.
        live: the Deployments as seen.
        owned: ReplicaSets and pods of their namespaces.
        seconds: how long pods may finish what is under way, 1 or more.
    """
    uids = {obj.ref: obj.uid for obj in live}
    phases: list[Phase] = []
    for phase in plan.phases:
        going = [step for step in phase.steps if isinstance(step, Delete) and step.ref.kind == "Deployment"]
        sets = [(each, step) for step in going for each in _of(owned, "ReplicaSet", uids.get(step.ref, ""))]
        pods = [(each, step) for own, step in sets for each in _of(owned, "Pod", own.uid)]
        phases.append(replace(phase, steps=(*phase.steps, *(_delete(each.ref, step) for each, step in sets))))
        if pods:
            title = f"Let their pods end within {seconds} s"
            phases.append(Phase(title, tuple(_delete(each.ref, step, seconds) for each, step in pods)))
    return replace(plan, phases=tuple(phases))


def _of(owned: Collection[Object], kind: str, uid: str) -> Iterator[Object]:
    """What an object owns, sorted; nothing where it has no UID."""
    for each in sorted(owned, key=lambda obj: obj.ref):
        if each.ref.kind == kind and uid and uid in each.owners:
            yield each


def _delete(ref: Ref, of: Delete, grace: int | None = None) -> Delete:
    return Delete(of.part, ref, f"of {of.ref}", grace)
