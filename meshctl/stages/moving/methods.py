"""How a workload gets new pods: by its own rolling update, or by eviction where that would do harm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.upgrade import Method
from meshctl.stages.injecting.selection import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.model.objects import Object, Ref

ROLLING: Final = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds of `apps` that roll their pods when their template changes."""
_DEFAULTS: Final = {"Deployment": ("25%", "25%"), "DaemonSet": (1, 0)}


def method(ref: Ref, workload: Object | None, overdraws: str = "") -> tuple[Method, str]:
    """How the pods of a workload are made anew, and why so where it is not by its own rolling update.

    Args:
        ref: what owns the pods.
        workload: that object; None where it is of another kind than `ROLLING`, or gone.
        overdraws: what `overdrawn` tells of it.
    """
    if workload is None or not rolls(ref):
        return Method.EVICT, f"{ref.kind} makes its pods anew only when they go"
    if why := _never_rolls(workload) or overdraws:
        return Method.EVICT, why
    if _recreates(workload):
        return Method.RESTART, "its strategy is Recreate: all its pods end before new ones begin"
    return Method.RESTART, ""


def rolls(ref: Ref) -> bool:
    """Whether workloads of this kind replace their pods by themselves."""
    return ref.group == "apps" and ref.kind in ROLLING


def overdrawn(budgets: Iterable[Object], groups: Iterable[tuple[Object, Sequence[Object]]]) -> dict[Ref, str]:
    """Workloads whose rolling updates take more pods away at a time than a disruption budget allows, and why.

    A rolling update asks no budget, so that this has to be known beforehand. Workloads that share a budget
    may roll at the same time.

    Args:
        budgets: the PodDisruptionBudgets of one namespace.
        groups: workloads of that namespace that roll, with their pods.
    """
    found: dict[Ref, str] = {}
    rolling = [(each, pods, _taken_away(each)) for each, pods in groups if not _never_rolls(each)]
    for budget in sorted(budgets, key=lambda each: each.ref):
        selector = budget.at("spec.selector")  # none selects none, an empty one all
        covered = [
            (each.ref, away, count)
            for each, pods, away in rolling
            if selector is not None and (count := sum(matches(selector, pod.labels) for pod in pods))
        ]
        away = sum(away for _, away, _ in covered)
        allowed = allows(budget, sum(count for *_, count in covered))
        if away > allowed:
            words = f"PodDisruptionBudget {budget.ref.name} lets {allowed} of its pods be away at a time"
            why = f"{words}, and a rolling update would take {away}"
            found |= {ref: why for ref, own, _ in covered if own}
    return found


def covered_twice(budgets: Iterable[Object], pods: Sequence[Object]) -> bool:
    """Whether more than one disruption budget covers one of these pods: Kubernetes evicts none of those."""
    selectors = [each.at("spec.selector") for each in budgets]
    return any(sum(each is not None and matches(each, pod.labels) for each in selectors) > 1 for pod in pods)


def allows(budget: Object, pods: int) -> int:
    """How many pods a disruption budget lets be away while all others are well.

    Args:
        budget: a PodDisruptionBudget.
        pods: how many pods it covers, where its controller has not said so.
    """
    expected = budget.at("status.expectedPods", 0) or pods
    desired = budget.at("status.desiredHealthy")
    if desired is not None and budget.at("status.expectedPods", 0):
        return max(0, int(expected) - int(desired))
    if (most := budget.at("spec.maxUnavailable")) is not None:
        return _share(most, int(expected), up=True)
    least = _share(budget.at("spec.minAvailable", 1), int(expected), up=True)
    return max(0, int(expected) - least)


def _never_rolls(workload: Object) -> str:
    if workload.at("spec.paused"):
        return "it is paused, so that no change of its template rolls out"
    if workload.at("spec.updateStrategy.type") == "OnDelete":
        return "its update strategy is OnDelete"
    if partition := workload.at("spec.updateStrategy.rollingUpdate.partition", 0):
        return f"its partition {partition} keeps its first pods from rolling"
    return ""


def _recreates(workload: Object) -> bool:
    return bool(workload.at("spec.strategy.type") == "Recreate")


def _taken_away(workload: Object) -> int:
    """How many pods its own update takes away at a time at most."""
    kind = workload.ref.kind
    if kind == "StatefulSet":
        at_once = workload.at("spec.updateStrategy.rollingUpdate.maxUnavailable", 1)
        return max(1, _share(at_once, workload.at("spec.replicas", 1), up=True))
    if kind == "DaemonSet":
        count, rolling = workload.at("status.desiredNumberScheduled", 1), "spec.updateStrategy.rollingUpdate"
    else:
        count, rolling = int(workload.at("spec.replicas", 1)), "spec.strategy.rollingUpdate"
        if _recreates(workload):
            return count
    away, surge = _DEFAULTS[kind]
    unavailable = _share(workload.at(f"{rolling}.maxUnavailable", away), count, up=kind == "DaemonSet")
    more = _share(workload.at(f"{rolling}.maxSurge", surge), count, up=True)
    return unavailable if unavailable or more else 1


def _share(value: Any, count: int, *, up: bool) -> int:
    """A number of pods that is told as such, or as a share of `count` such as `25%`."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * count / 100
    return math.ceil(share) if up else math.floor(share)
