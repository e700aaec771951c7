"""Labels, and what they tell of an object: names that several rooms read and none may spell anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.objects import Object

MESH: Final = "meshctl.dev/mesh"
"""On everything we send: the mesh it belongs to."""
COMPONENT: Final = "meshctl.dev/component"
"""On everything we send: the component it is part of."""
EXPIRES: Final = "meshctl.dev/expires"
"""Annotation of a Secret that we made: when the certificate or token in it ends, RFC 3339."""
REVISION: Final = "istio.io/rev"
"""The control-plane revision of an object, or the one that a namespace or pod asks for."""
TAG: Final = "istio.io/tag"
"""The revision tag that a webhook configuration stands for."""
NETWORK: Final = "topology.istio.io/network"
"""The network of a namespace, a pod, or the gateway into it."""
OPERATOR: Final = "operator.istio.io/component"
"""The component in istioctl's words; on what we render too, as upstream's own objects have it."""
OWNER: Final = "install.operator.istio.io/owning-resource"
"""The value `ownerName` of whoever made the object, in istioctl's words."""
GENERATED: Final = "gateway.istio.io/managed"
"""On what istiod makes for a Gateway of the Gateway API."""
INJECTED: Final = "service.istio.io/canonical-name"
"""On every pod that may have a proxy: the injector labels each pod it gives one to."""
PROXY: Final = "istio-proxy"
"""Name of the container with the proxy, in a sidecar, a gateway and a ztunnel."""

HELM_RELEASE: Final = "meta.helm.sh/release-name"
"""Annotation of what Helm installed: the release it is part of; `-namespace` says where that is kept."""

_BY_ISTIOCTL: Final = "operator.istio.io/managed"
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"


def installed_by(obj: Object) -> str:
    """Which tool made an object: `meshctl`, `istiod`, `istioctl`, `helm`, or what its label says.

    Empty when nothing tells. The order matters: what we render carries istioctl's labels too, and
    what istioctl installs is labelled as Helm's, because it renders Helm charts.
    """
    labels = obj.labels
    if MESH in labels:
        return "meshctl"
    if GENERATED in labels:
        return "istiod"
    if HELM_RELEASE in obj.annotations and _BY_ISTIOCTL not in labels:
        return "helm"
    if labels.keys() & {OPERATOR, OWNER, _BY_ISTIOCTL}:
        return "istioctl"
    return labels.get(_MANAGED_BY, "").lower()


def selection(selector: Mapping[str, Any]) -> str:
    """A label selector of an object, `matchLabels` and `matchExpressions`, as the API server takes it."""
    equal = sorted((selector.get("matchLabels") or {}).items())
    return ",".join(
        [f"{key}={value}" for key, value in equal]
        + [_requirement(each) for each in selector.get("matchExpressions") or ()]
    )


def _requirement(expression: Mapping[str, Any]) -> str:
    key, values = expression["key"], ",".join(expression.get("values") or ())
    match expression["operator"]:
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
        case "In":
            return f"{key} in ({values})"
        case _:
            return f"{key} notin ({values})"
