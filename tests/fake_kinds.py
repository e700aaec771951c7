"""Kinds that a cluster in memory serves."""

from __future__ import annotations

from meshctl.model.objects import Kind

ALL = ("create", "delete", "get", "list", "patch", "update", "watch")


def kind_of(api_version: str, kind: str, *, namespaced: bool = True, plural: str = "") -> Kind:
    """A kind that allows everything."""
    return Kind(api_version, kind, plural or _plural(kind), namespaced, ALL)


def _plural(kind: str) -> str:
    low = kind.lower()
    if low.endswith(("y",)) and not low.endswith("ay"):
        return f"{low[:-1]}ies"
    return low if low.endswith("endpoints") else f"{low}es" if low.endswith("s") else f"{low}s"


KINDS = (
    *(
        kind_of("v1", name)
        for name in (
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        )
    ),
    *(kind_of("v1", name, namespaced=False) for name in ("Namespace", "Node")),
    *(kind_of("apps/v1", name) for name in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")),
    kind_of("batch/v1", "Job"),
    kind_of("autoscaling/v2", "HorizontalPodAutoscaler"),
    kind_of("policy/v1", "PodDisruptionBudget"),
    kind_of("networking.k8s.io/v1", "NetworkPolicy"),
    kind_of("coordination.k8s.io/v1", "Lease"),
    kind_of("discovery.k8s.io/v1", "EndpointSlice"),
    *(kind_of("rbac.authorization.k8s.io/v1", name) for name in ("Role", "RoleBinding")),
    *(
        kind_of("rbac.authorization.k8s.io/v1", n, namespaced=False)
        for n in ("ClusterRole", "ClusterRoleBinding")
    ),
    *(
        kind_of("admissionregistration.k8s.io/v1", name, namespaced=False)
        for name in (
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        )
    ),
    kind_of("apiextensions.k8s.io/v1", "CustomResourceDefinition", namespaced=False),
    kind_of("apiregistration.k8s.io/v1", "APIService", namespaced=False),
    kind_of("certificates.k8s.io/v1", "CertificateSigningRequest", namespaced=False),
)
"""What a cluster serves before anything is installed, as far as Istio is concerned."""
