"""Disruption budgets let pods go that get a new proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.labels import selection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

BUDGETS_ALLOW = Rule(
    code="budgets-allow",
    level=Level.WARNING,
    summary="Every disruption budget over pods of the mesh lets at least one of them go.",
    hint="raise the replicas or the budget; a rolling restart does not ask it, but an eviction does",
)


@check(rules=(BUDGETS_ALLOW,), after=("kube-reachable",), moment=Moment.UPGRADE, seconds=30.0)
def disruption_budgets(site: Site) -> Iterator[Finding]:
    """Read what budgets over these pods allow now."""
    moving = {(seat.namespace, seat.name) for seat in site.seats}
    for budget in site.cluster.list("policy/v1", "PodDisruptionBudget"):
        place = budget.ref.namespace
        if budget.at("status.disruptionsAllowed", 1) or place not in {namespace for namespace, _ in moving}:
            continue
        labels = selection(budget.at("spec.selector", {}))
        pods = site.cluster.list("v1", "Pod", namespace=place, labels=labels)
        held = [pod.ref.name for pod in pods if (place, pod.ref.name) in moving]
        if held:
            healthy = budget.at("status.currentHealthy", 0)
            wanted = budget.at("status.desiredHealthy", 0)
            message = (
                f"{healthy} pods are healthy and {wanted} must be, so none may go: {', '.join(held[:3])}"
            )
            yield BUDGETS_ALLOW.at(str(budget.ref), message)
