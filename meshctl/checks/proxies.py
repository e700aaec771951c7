"""Pods of the mesh run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.labels import INJECTED, PROXY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

PROXIES_READY = Rule(
    code="proxies-ready",
    level=Level.WARNING,
    summary="The proxy of every pod in the mesh is ready.",
    hint="`kubectl logs POD -c istio-proxy` says why; a proxy is ready once istiod has configured it",
)


@check(
    rules=(PROXIES_READY,), after=("kube-reachable", "control-plane-ready"), settles=True, moment=Moment.AFTER
)
def proxies(site: Site) -> Iterator[Finding]:
    """Read the proxy container's state in every pod that has one."""
    for pod in site.cluster.list("v1", "Pod", labels=INJECTED):
        if pod.is_leaving or pod.at("status.phase") in ("Succeeded", "Failed"):
            continue
        fault = _fault(pod)
        if fault:
            yield PROXIES_READY.at(str(pod.ref), fault)


def _fault(pod: Object) -> str:
    statuses = (*pod.at("status.initContainerStatuses", ()), *pod.at("status.containerStatuses", ()))
    for status in statuses:
        if status.get("name") == PROXY and not status.get("ready"):
            waiting = (status.get("state") or {}).get("waiting") or {}
            return f"its proxy is not ready{': ' if waiting else ''}{waiting.get('reason', '')}"
    return ""
