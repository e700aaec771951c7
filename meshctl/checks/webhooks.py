"""Webhooks of the cluster are answered by somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.webhook import called, endpoints_of, may_block, silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Ref

WEBHOOKS_ANSWERED = Rule(
    code="webhooks-answered",
    level=Level.ERROR,
    summary="Whatever webhook may refuse what an install sends is answered.",
    hint="`meshctl check --rescue` mends Istio's; for others, make the service ready, or remove the "
    "configuration if its owner is gone",
)
_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_CORE = frozenset(
    {"*", "*/*", "pods", "deployments", "services", "configmaps", "secrets", "serviceaccounts", "namespaces"}
)


@check(rules=(WEBHOOKS_ANSWERED,), after=("kube-reachable",), settles=True, moment=Moment.BEFORE)
def webhooks(site: Site) -> Iterator[Finding]:
    """Look for the services of webhooks that fail closed on what we are about to send."""
    for kind in _KINDS:
        for obj in site.cluster.list("admissionregistration.k8s.io/v1", kind):
            for webhook in obj.at("webhooks", ()):
                service = called(webhook)
                if service and _stands_in_the_way(webhook):
                    fault = _fault(site, service)
                    if fault:
                        yield WEBHOOKS_ANSWERED.at(str(obj.ref), f"{webhook['name']}: {fault}")


def _stands_in_the_way(webhook: Mapping[str, Any]) -> bool:
    if not may_block(webhook):
        return False
    resources = {name for rule in webhook.get("rules", ()) for name in rule.get("resources", ())}
    return bool(resources & _CORE)


def _fault(site: Site, ref: Ref) -> str:
    slices = site.cluster.list(
        "discovery.k8s.io/v1", "EndpointSlice", namespace=ref.namespace, labels=endpoints_of(ref)
    )
    return silence(ref, site.cluster.get(ref), slices)
