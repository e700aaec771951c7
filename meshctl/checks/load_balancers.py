"""Services of type LoadBalancer get an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

LOAD_BALANCERS_SERVED = Rule(
    code="load-balancers-served",
    level=Level.INFO,
    summary="Something gives Services of type LoadBalancer an address.",
    hint="gateways are reached by node port until a load balancer controller runs",
)


@check(rules=(LOAD_BALANCERS_SERVED,), after=("kube-reachable",), settles=True, moment=Moment.BEFORE)
def load_balancers(site: Site) -> Iterator[Finding]:
    """Look at those that exist; where there is none, nobody can tell."""
    wanted = [
        obj
        for obj in site.desired.objects
        if obj.ref.kind == "Service" and obj.at("spec.type") == "LoadBalancer"
    ]
    if not wanted:
        return
    services = [obj for obj in site.cluster.list("v1", "Service") if obj.at("spec.type") == "LoadBalancer"]
    waiting = [str(obj.ref) for obj in services if not obj.at("status.loadBalancer.ingress")]
    if waiting and len(waiting) == len(services):
        yield LOAD_BALANCERS_SERVED.at(
            f"cluster {site.cluster.name}", f"without an address: {', '.join(waiting)}"
        )
