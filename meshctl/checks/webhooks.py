"""Webhooks of the cluster are answered by somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.objects import Ref
from meshctl.model.standing import is_served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

WEBHOOKS_ANSWERED = Rule(
    code="webhooks-answered",
    level=Level.ERROR,
    summary="Whatever webhook may refuse what an install sends is answered.",
    hint="make its service ready, or remove the configuration if its owner is gone",
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
                service = webhook.get("clientConfig", {}).get("service")
                if service and _stands_in_the_way(webhook):
                    fault = _fault(site, service)
                    if fault:
                        yield WEBHOOKS_ANSWERED.at(str(obj.ref), f"{webhook['name']}: {fault}")


def _stands_in_the_way(webhook: Mapping[str, Any]) -> bool:
    if webhook.get("failurePolicy", "Fail") != "Fail":
        return False
    resources = {name for rule in webhook.get("rules", ()) for name in rule.get("resources", ())}
    return bool(resources & _CORE)


def _fault(site: Site, service: Mapping[str, Any]) -> str:
    ref = Ref("v1", "Service", service["namespace"], service["name"])
    if site.cluster.get(ref) is None:
        return f"{ref} does not exist"
    slices = site.cluster.list(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        namespace=ref.namespace,
        labels=f"kubernetes.io/service-name={ref.name}",
    )
    return "" if is_served(slices) else f"{ref} has no ready endpoint"
