"""Resources say things in the way that Istio reads them today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

FIELDS_CURRENT = Rule(
    code="fields-current",
    level=Level.INFO,
    summary="No resource uses a field that another has replaced.",
    hint="say it with the field that is named; the old one may go with any minor",
)
_NETWORKING = "networking.istio.io/v1"
# Kind, the field with `[]` where each item of a list is meant, and what replaces it; empty: nothing does.
_REPLACED = (
    ("VirtualService", "http[].fault.delay.percent", "http[].fault.delay.percentage"),
    ("VirtualService", "http[].mirrorPercent", "http[].mirrorPercentage"),
    ("VirtualService", "http[].mirror_percent", "http[].mirrorPercentage"),
    ("VirtualService", "http[].corsPolicy.allowOrigin", "http[].corsPolicy.allowOrigins"),
    (
        "DestinationRule",
        "trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
        "trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize",
    ),
    (
        "DestinationRule",
        "trafficPolicy.outlierDetection.consecutiveErrors",
        "trafficPolicy.outlierDetection.consecutive5xxErrors",
    ),
    ("Sidecar", "outboundTrafficPolicy.egressProxy", ""),
)


@check(rules=(FIELDS_CURRENT,), after=("kube-reachable",), moment=Moment.UPGRADE, seconds=30.0)
def replaced_fields(site: Site) -> Iterator[Finding]:
    """Look for fields that upstream's API calls deprecated."""
    for kind in dict.fromkeys(kind for kind, _, _ in _REPLACED):
        for obj in site.cluster.list(_NETWORKING, kind):
            for name, field, instead in _REPLACED:
                if name == kind and _has(obj.at("spec", {}), field.split(".")):
                    message = f"use {instead}" if instead else "it does nothing"
                    yield FIELDS_CURRENT.at(str(obj.ref), message, place=f"spec.{field}")


def _has(tree: object, steps: Sequence[str]) -> bool:
    if not steps:
        return True
    if not isinstance(tree, dict):
        return False
    first, *rest = steps
    below = tree.get(first.removesuffix("[]"))
    if below is None:
        return False
    items = below if first.endswith("[]") and isinstance(below, list) else [below]
    return any(_has(each, rest) for each in items)
