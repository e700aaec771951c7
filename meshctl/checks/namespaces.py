"""Namespaces let the mesh's pods in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.labels import REVISION
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

NAMESPACE_STAYS = Rule(
    code="namespace-stays",
    level=Level.WARNING,
    summary="The mesh's namespace is not being removed.",
    hint="install waits until it is gone; see its status.conditions for what holds it",
)
MESH_ADMITTED = Rule(
    code="mesh-pods-admitted",
    level=Level.ERROR,
    summary="Pod security of the mesh's namespace lets its node agents in.",
    hint="label the namespace pod-security.kubernetes.io/enforce=privileged, or take the label away",
)
SIDECARS_ADMITTED = Rule(
    code="sidecars-admitted",
    level=Level.WARNING,
    summary="Pod security of injected namespaces lets the init container set its rules.",
    hint="enable the CNI node agent, or label the namespace pod-security.kubernetes.io/enforce=privileged",
)
_ENFORCE = "pod-security.kubernetes.io/enforce"
_STRICT = ("baseline", "restricted")


@check(rules=(NAMESPACE_STAYS,), after=("kube-reachable",), settles=True, moment=Moment.BEFORE)
def namespace_stays(site: Site) -> Iterator[Finding]:
    """Look for a removal under way."""
    live = site.cluster.get(Ref("v1", "Namespace", "", site.namespace))
    if live is not None and live.is_leaving:
        told = [
            each.get("message", "")
            for each in live.at("status.conditions", ())
            if each.get("status") == "True"
        ]
        yield NAMESPACE_STAYS.at(str(live.ref), "; ".join(["it is being removed", *told]))


@check(rules=(MESH_ADMITTED, SIDECARS_ADMITTED), after=("kube-reachable",), moment=Moment.BEFORE)
def pod_security(site: Site) -> Iterator[Finding]:
    """Hold the levels that namespaces enforce against what the pods need."""
    agents = [obj for obj in site.desired.objects if obj.ref.kind == "DaemonSet"]
    homes = {obj.ref.namespace for obj in agents}
    has_agent = any("cni" in part.component for part in site.desired.parts)
    for namespace in site.cluster.list("v1", "Namespace"):
        level = namespace.labels.get(_ENFORCE, "")
        if level not in _STRICT:
            continue
        if namespace.ref.name in homes:
            names = ", ".join(
                sorted(obj.ref.name for obj in agents if obj.ref.namespace == namespace.ref.name)
            )
            yield MESH_ADMITTED.at(
                str(namespace.ref), f"it enforces {level!r}, and {names} must be privileged"
            )
        elif _is_injected(namespace) and not has_agent:
            message = f"it enforces {level!r}, which refuses the capabilities NET_ADMIN and NET_RAW"
            yield SIDECARS_ADMITTED.at(str(namespace.ref), message)


def _is_injected(namespace: Object) -> bool:
    return namespace.labels.get("istio-injection") == "enabled" or REVISION in namespace.labels
