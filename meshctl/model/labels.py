"""Labels, and what they tell of an object: names that several rooms read and none may spell anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshctl.model.objects import Object

MESH: Final = "meshctl.dev/mesh"
"""On everything we send: the mesh it belongs to."""
COMPONENT: Final = "meshctl.dev/component"
"""On everything we send: the component it is part of."""
REVISION: Final = "istio.io/rev"
"""The control-plane revision of an object, or the one that a namespace or pod asks for."""
TAG: Final = "istio.io/tag"
"""The revision tag that a webhook configuration stands for."""
NETWORK: Final = "topology.istio.io/network"
"""The network of a namespace, a pod, or the gateway into it."""
OPERATOR: Final = "operator.istio.io/component"
"""The component in istioctl's words; on what we render too, as upstream's own objects have it."""
GENERATED: Final = "gateway.istio.io/managed"
"""On what istiod makes for a Gateway of the Gateway API."""
INJECTED: Final = "service.istio.io/canonical-name"
"""On every pod that may have a proxy: the injector labels each pod it gives one to."""
PROXY: Final = "istio-proxy"
"""Name of the container with the proxy, in a sidecar, a gateway and a ztunnel."""

_OWNER: Final = "install.operator.istio.io/owning-resource"
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
    if OPERATOR in labels or _OWNER in labels:
        return "istioctl"
    if "meta.helm.sh/release-name" in obj.annotations:
        return "helm"
    return labels.get(_MANAGED_BY, "").lower()
