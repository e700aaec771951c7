"""No other installation of Istio stands in the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.labels import MESH, REVISION, installed_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

ONE_CONTROL_PLANE = Rule(
    code="revision-unclaimed",
    level=Level.ERROR,
    summary="No other tool has installed a control plane of this revision.",
    hint="`meshctl install --adopt` carries it on, another --revision stands beside it",
)
ONE_INJECTOR = Rule(
    code="injector-alone",
    level=Level.ERROR,
    summary="No other webhook injects into the pods that this one would.",
    hint="remove that webhook, or install under a --revision that no namespace asks for yet",
)
NO_OPERATOR = Rule(
    code="no-operator",
    level=Level.WARNING,
    summary="No operator manages Istio in this cluster.",
    hint="scale the operator down first, or it may undo what is installed beside it",
)

_OPERATORS = {
    "istiooperators.install.istio.io": ("install.istio.io/v1alpha1", "IstioOperator"),
    "istios.sailoperator.io": ("sailoperator.io/v1", "Istio"),
}


@check(rules=(ONE_CONTROL_PLANE,), after=("kube-reachable",), moment=Moment.BEFORE)
def control_planes(site: Site) -> Iterator[Finding]:
    """Look for istiods that our records do not list."""
    for obj in site.cluster.list("apps/v1", "Deployment", labels="app=istiod"):
        revision = obj.labels.get(REVISION, "default")
        ours = (obj.ref.kind, obj.ref.namespace, obj.ref.name) in site.ours
        if not ours and revision == (site.revision or "default"):
            message = f"revision {revision!r} is run by it, installed by {installer(obj)}"
            yield ONE_CONTROL_PLANE.at(str(obj.ref), message)


@check(rules=(ONE_INJECTOR,), after=("kube-reachable",), moment=Moment.BEFORE)
def injectors(site: Site) -> Iterator[Finding]:
    """Compare what our webhooks would match with what others match."""
    kind = "MutatingWebhookConfiguration"
    wanted = [obj for obj in site.desired.objects if obj.ref.kind == kind]
    names = {obj.ref.name for obj in wanted}
    selected = {_selects(webhook) for obj in wanted for webhook in obj.at("webhooks", ())}
    for obj in site.cluster.list("admissionregistration.k8s.io/v1", kind):
        if obj.ref.name in names or (kind, "", obj.ref.name) in site.ours:
            continue
        same = [each["name"] for each in obj.at("webhooks", ()) if _selects(each) in selected]
        if same:
            yield ONE_INJECTOR.at(str(obj.ref), f"it selects the same pods: {', '.join(same)}")


@check(rules=(NO_OPERATOR,), after=("kube-reachable",), moment=Moment.BEFORE)
def operators(site: Site) -> Iterator[Finding]:
    """Look for the resources by which operators are told to install Istio."""
    for api_version, kind in _OPERATORS.values():
        for obj in site.cluster.list(api_version, kind):
            yield NO_OPERATOR.at(str(obj.ref), "an operator keeps an Istio as this resource says")


def installer(obj: Object) -> str:
    """Which tool installed an object, as a person reads it."""
    match installed_by(obj):
        case "meshctl":
            return f"meshctl for mesh {obj.labels[MESH]!r}"
        case "helm":
            release = obj.annotations.get("meta.helm.sh/release-name", "")
            return f"Helm release {release!r}" if release else "Helm"
        case tool:
            return tool or "an unknown tool"


def _selects(webhook: Mapping[str, Any]) -> str:
    """What a webhook matches, in a form in which equal selections are equal text."""
    pods = any("pods" in rule.get("resources", ()) for rule in webhook.get("rules", ()))
    if not pods:
        return f"not pods: {webhook.get('name')}"
    selectors = [webhook.get(name) or {} for name in ("namespaceSelector", "objectSelector")]
    return json.dumps([_sorted(each) for each in selectors], sort_keys=True)


def _sorted(selector: Mapping[str, Any]) -> Any:
    terms = [
        {**term, "values": sorted(term.get("values") or [])}
        for term in selector.get("matchExpressions") or ()
    ]
    return [
        selector.get("matchLabels") or {},
        sorted(terms, key=lambda term: json.dumps(term, sort_keys=True)),
    ]
