"""What the API calls the objects of a kind, where no cluster is there to ask."""

from __future__ import annotations

RBAC = "rbac.authorization.k8s.io"
_ODD = {
    "Endpoints": "endpoints",
    "NetworkAttachmentDefinition": "network-attachment-definitions",
    "SecurityContextConstraints": "securitycontextconstraints",
}


def plural(kind: str) -> str:
    """The resource of a kind, as Kubernetes and Istio build it: `NetworkPolicy` is `networkpolicies`."""
    low = kind.lower()
    if kind in _ODD:
        return _ODD[kind]
    if low.endswith("y") and low[-2:-1] not in "aeiou":
        return f"{low[:-1]}ies"
    return f"{low}es" if low.endswith(("s", "x", "ch", "sh")) else f"{low}s"
