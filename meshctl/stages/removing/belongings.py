"""What of a cluster belongs to a mesh though no record lists it.

Records get lost, other installers leave none, and Istio's controllers make objects that nobody sent.
All of it is told by labels and by names.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from meshctl.model.labels import COMPONENT, GENERATED, MESH, OPERATOR, REVISION, TAG
from meshctl.model.objects import Kind, Object, Ref
from meshctl.stages.planning.kinds import DEFINITION, WEBHOOKS
from meshctl.stages.seeing.observe import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.ports import Cluster

INJECTION = frozenset({"istio-injection", REVISION, "istio.io/dataplane-mode", "istio.io/use-waypoint"})
"""Labels of a namespace that bring its pods into a mesh."""

_PART_OF = "app.kubernetes.io/part-of"
_SELECTORS = (MESH, OPERATOR, f"{_PART_OF}=istio", GENERATED)

_LABELLED = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "DaemonSet",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkAttachmentDefinition",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
        "StatefulSet",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
"""Kinds that installers of Istio label and that are looked for by those labels."""
_WHOLE = frozenset({*WEBHOOKS, "Gateway", "GatewayClass", "Namespace"})
"""Kinds that are read whole: there are few of each, and what counts is not in a label."""

_ROOT_CERTIFICATES = ("istio-ca-root-cert", "istio-ca-crl")
_ELECTIONS = re.compile(
    r"istio-("
    r"(namespace-controller|serviceexport-controller|clustertrustbundle-controller)-election"
    r"|leader|status-leader|analyze-leader|gateway-leader|gateway-status-leader"
    r"|gateway-deployment|gateway-inferencepool|node-untaint|ip-autoallocate"
    r")(-.+)?"
)
_LEFT_ALONE = frozenset({"kube-node-lease", "kube-public", "local-path-storage"})
"""Namespaces in which istiod keeps nothing."""
_FIRST_ELECTIONS = ("istio-ip-autoallocate", "istio-leader", "istio-namespace-controller-election")
ISTIO_CLASSES = frozenset({"istio", "istio-east-west", "istio-remote", "istio-waypoint"})
"""Names of the classes that istiod makes."""
_WEBHOOK_NAMES = re.compile(r"istio-(sidecar-injector|validator|revision-tag)(-.+)?|istiod-default-validator")
_CLUSTER_ROLES = re.compile(r"(istiod|istio-reader|istiod-gateway-controller|istio-cni)(-.+)?")
_CLUSTER_LINKS = re.compile(r"istio-remote-secret-.+|.+-istio-remote-secret-token|istio-kubeconfig")
_BORN_WITH = frozenset(
    {
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "openshift-service-ca.crt"),
        ("ServiceAccount", "builder"),
        ("ServiceAccount", "default"),
        ("ServiceAccount", "deployer"),
    }
)
CA_SECRET = "istio-ca-secret"  # noqa: S105 - the name of one

SECRET = Kind("v1", "Secret", "secrets", namespaced=True)

_BY_OPERATOR = {
    "Base": "base",
    "Pilot": "istiod",
    "IngressGateways": "gateway",
    "EgressGateways": "gateway",
    "Cni": "cni",
    "Ztunnel": "ztunnel",
}


@dataclass(frozen=True, slots=True)
class Belonging:
    """Why an object belongs to a mesh, and the component it is part of as far as can be told."""

    component: str
    why: str


def is_istio(group: str) -> bool:
    """Whether an API group is one of Istio's own, as `networking.istio.io` is."""
    return group == "istio.io" or group.endswith(".istio.io")


def is_definition(ref: Ref) -> bool:
    """Whether this is the definition of one of Istio's own kinds."""
    return ref.kind == DEFINITION and is_istio(ref.name.partition(".")[2])


def sight(cluster: Cluster, kinds: Sequence[Kind]) -> Mapping[Ref, Object]:
    """Live objects that may belong to a mesh, and the namespaces and Gateways around it. Only reads.

    Contents of Secrets are not read.

    Args:
        cluster: where to look.
        kinds: what it serves, at preferred versions.
    """
    asked: list[tuple[Kind, str]] = []
    for kind in kinds:
        if kind.kind in _WHOLE or (is_istio(kind.group) and kind.namespaced):
            asked.append((kind, ""))
        elif kind.kind in _LABELLED:
            asked += [(kind, selector) for selector in _SELECTORS]

    def one(question: tuple[Kind, str]) -> tuple[Object, ...]:
        kind, labels = question
        return cluster.list(kind.api_version, kind.kind, labels=labels)

    with ThreadPoolExecutor(THREADS) as pool:
        return {obj.ref: obj for obj in chain.from_iterable(pool.map(one, asked))}


def own_secrets(cluster: Cluster, mesh: str) -> Mapping[Ref, Object]:
    """Secrets that we made for a mesh: authorities, links. Only names are read, so that they hold nothing."""
    labels = {MESH: mesh, COMPONENT: "istiod"}
    found = cluster.names(SECRET, labels=f"{MESH}={mesh},{COMPONENT}")
    return {
        ref: Object(
            {
                "apiVersion": ref.api_version,
                "kind": ref.kind,
                "metadata": {"name": ref.name, "namespace": ref.namespace, "labels": labels},
            }
        )
        for ref in found
    }


def belonging(obj: Object, namespace: str) -> Belonging | None:
    """Why a live object belongs to a mesh in `namespace`; None when nothing says so.

    Custom resources, definitions and namespaces are for others to judge: they hold what users made.
    """
    ref = obj.ref
    if is_istio(ref.group) or ref.kind in (DEFINITION, "Namespace", "Gateway"):
        return None
    if GENERATED in obj.labels and ref.kind != "GatewayClass":
        return Belonging("gateway", "istiod made it for a Gateway")
    if ref.kind in WEBHOOKS:
        return _of_webhook(obj, namespace)
    if ref.kind == "GatewayClass":
        made = str(obj.at("spec.controllerName", "")).startswith("istio.io/")
        return Belonging("istiod", "istiod made it") if made else None
    if MESH in obj.labels:
        return Belonging(obj.labels.get(COMPONENT, "base"), "labelled as part of the mesh")
    if OPERATOR in obj.labels:
        component = _BY_OPERATOR.get(obj.labels[OPERATOR], "base")
        return Belonging(component, "labelled as installed by istioctl")
    if obj.labels.get(_PART_OF) == "istio":
        return Belonging(_guessed(obj), "labelled as part of Istio")
    return None


def controllers_own(ref: Ref) -> str:
    """Why an object is one that Istio's controllers make, by its name alone; empty when it is not.

    Secrets and elections count in any namespace: it is for the caller to ask about the mesh's own.
    """
    if ref.group == "" and ref.kind == "ConfigMap":
        if ref.name in _ROOT_CERTIFICATES:
            return "istiod keeps its root certificate here"
        if _ELECTIONS.fullmatch(ref.name):
            return "istiod's replicas elect their leader with it"
    if ref.group == "coordination.k8s.io" and ref.kind == "Lease" and _ELECTIONS.fullmatch(ref.name):
        return "istiod's replicas elect their leader with it"
    return ""


def election_of(ref: Ref, revision: str) -> bool:
    """Whether replicas of one revision alone elect their leader with this; empty is the unnamed one."""
    found = _ELECTIONS.fullmatch(ref.name) if ref.kind in ("ConfigMap", "Lease") else None
    return found is not None and found[3] == f"-{revision or 'default'}"


def made_soon(namespaces: Iterable[str], home: str, kinds: Iterable[Kind]) -> Iterator[Ref]:
    """What an istiod that has just started will have made by the time it ends, seen yet or not.

    Args:
        namespaces: all namespaces of the cluster.
        home: the namespace it runs in.
        kinds: what the cluster serves.
    """
    for namespace in sorted({*namespaces} - _LEFT_ALONE):
        yield from (Ref("v1", "ConfigMap", namespace, name) for name in _ROOT_CERTIFICATES)
    yield from (Ref("v1", "ConfigMap", home, name) for name in _FIRST_ELECTIONS)
    yield Ref("v1", "Secret", home, CA_SECRET)
    for kind in kinds:
        if kind.kind == "GatewayClass":
            yield from (Ref(kind.api_version, kind.kind, "", name) for name in sorted(ISTIO_CLASSES))


def comes_with_istiod(ref: Ref, home: str) -> bool:
    """Whether a control plane in the namespace `home` has made this object, by its name."""
    if ref.namespace == home and (ref.group, ref.kind, ref.name) == ("", "Secret", CA_SECRET):
        return True
    if ref.kind == "GatewayClass" and ref.name in ISTIO_CLASSES:
        return True
    return is_everywhere(ref) or (ref.namespace == home and bool(controllers_own(ref)))


def is_everywhere(ref: Ref) -> bool:
    """Whether this is one of the ConfigMaps that istiod keeps in every namespace."""
    return ref.group == "" and ref.kind == "ConfigMap" and ref.name in _ROOT_CERTIFICATES


def links_clusters(ref: Ref) -> bool:
    """Whether this Secret lets an istiod reach another cluster, by its name."""
    return ref.group == "" and ref.kind == "Secret" and bool(_CLUSTER_LINKS.fullmatch(ref.name))


def sounds_like(ref: Ref) -> bool:
    """Whether the name of a cluster-wide object is one that installers of Istio give."""
    if ref.kind in WEBHOOKS:
        return bool(_WEBHOOK_NAMES.fullmatch(ref.name))
    return ref.kind in ("ClusterRole", "ClusterRoleBinding") and bool(_CLUSTER_ROLES.fullmatch(ref.name))


def is_born_with(ref: Ref) -> bool:
    """Whether the cluster itself puts this into every namespace."""
    return (ref.kind, ref.name) in _BORN_WITH


def is_istiod(obj: Object) -> bool:
    """Whether this is a control plane's Deployment."""
    return obj.ref.kind == "Deployment" and obj.labels.get("app") == "istiod"


def _of_webhook(obj: Object, namespace: str) -> Belonging | None:
    """Tags carry no installer's labels, and a remote cluster's webhook calls an address, no service."""
    if not _WEBHOOK_NAMES.fullmatch(obj.ref.name) and not obj.labels.keys() & {MESH, OPERATOR, TAG}:
        return None
    called = {
        webhook.get("clientConfig", {}).get("service", {}).get("namespace", namespace)
        for webhook in obj.at("webhooks", ())
    }
    if called and namespace not in called:
        return None
    why = "a revision tag" if TAG in obj.labels else "a webhook of istiod"
    return Belonging("istiod", why)


def _guessed(obj: Object) -> str:
    labels, name = obj.labels, obj.ref.name
    if labels.get("app") == "istiod" or name.startswith(
        ("istiod", "istio-sidecar-injector", "istio-validator")
    ):
        return "istiod"
    if "istio-cni" in name or labels.get("k8s-app") == "istio-cni-node":
        return "cni"
    if "ztunnel" in name:
        return "ztunnel"
    return "gateway" if "gateway" in name or "istio" in labels else "base"
