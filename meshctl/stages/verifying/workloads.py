"""A small client and a small server for each cluster, in a namespace of their own, and the plans for both."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.labels import COMPONENT, MESH, REVISION
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Await, Condition, Delete, Phase, Plan
from meshctl.stages.verifying import envoys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAMESPACE: Final = "meshctl-verify"
SPACE: Final = Ref("v1", "Namespace", "", NAMESPACE)
"""The namespace of all that a verification makes."""
PART: Final = "verify"
"""Component of all that a verification makes."""
SWEPT: Final = f"{COMPONENT}={PART}"
"""Label selector of namespaces that a verification has made."""

_USER: Final = 65532
"""Any but the proxy's own, whose traffic is not captured."""
_EXCLUDED: Final = "traffic.sidecar.istio.io/excludeOutboundPorts"
_FILES: Final = "/etc/meshctl"
_LONGEST: Final = 40


@dataclass(frozen=True)
class Place:
    """One cluster that takes part.

    Attributes:
        cluster: name of the cluster.
        mesh: name of its mesh.
        revision: control-plane revision whose proxies are tried; empty for the unnamed one.
        image: of an Envoy.
        trust_domain: of identities there.
        labels: further labels that its namespace needs.
        six: whether its Services have IPv6 addresses.
        doors: addresses and ports that are tried from there, by word.
    """

    cluster: str
    mesh: str
    revision: str
    image: str
    trust_domain: str = "cluster.local"
    labels: Mapping[str, str] = field(default_factory=dict)
    six: bool = False
    doors: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def client(self) -> str:
        """Name of the client's Deployment and account."""
        return f"client-{word(self.cluster)}"

    @property
    def server(self) -> str:
        """Name of the server's Deployment, account and Service."""
        return f"server-{word(self.cluster)}"

    def identity(self, account: str) -> str:
        """The SPIFFE identity that an account of this cluster has."""
        return f"spiffe://{self.trust_domain}/ns/{NAMESPACE}/sa/{account}"


def word(cluster: str) -> str:
    """A cluster's name as part of names of objects: shortened where it has to be, and never another's."""
    plain = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")
    if plain == cluster and len(plain) <= _LONGEST:
        return plain
    mark = hashlib.sha256(cluster.encode()).hexdigest()[:8]
    return f"{plain[:_LONGEST].strip('-')}-{mark}".lstrip("-")


def deploying(place: Place, places: Iterable[Place], *, seconds: float) -> Plan:
    """The plan that makes client and server of a cluster, and the Services of all servers.

    Args:
        place: the cluster.
        places: all that take part, this one among them.
        seconds: how long client and server may take until they are ready.
    """
    every = tuple(places)
    workloads = (_client(place), _server(place))
    phases = (
        ("Make a namespace", (_namespace(place),)),
        ("Make accounts, Services and configuration", _surroundings(place, every)),
        ("Make a client and a server", workloads),
    )
    sent = [Phase(title, tuple(Apply(PART, each) for each in objects)) for title, objects in phases]
    waits = tuple(Await(PART, each.ref, Condition.READY, seconds) for each in workloads)
    return Plan(place.cluster, (*sent, Phase("Wait until they are ready", waits)))


def sweeping(cluster: str, namespaces: Iterable[Object], *, seconds: float) -> Plan:
    """The plan that removes what a verification has made, and waits until it is gone."""
    refs = sorted(each.ref for each in namespaces)
    if not refs:
        return Plan(cluster)
    why = "made for a verification"
    gone = Phase("Remove what was made", tuple(Delete(PART, ref, why) for ref in refs))
    waits = Phase("Wait until it is gone", tuple(Await(PART, ref, Condition.GONE, seconds) for ref in refs))
    return Plan(cluster, (gone, waits))


def host(place: Place) -> str:
    """Name by which clients call the server of a cluster."""
    return f"{place.server}.{NAMESPACE}.svc"


def _namespace(place: Place) -> Object:
    # Where no CNI does it for them, proxies set rules of the network as they start.
    allowed = {"pod-security.kubernetes.io/enforce": "privileged"}
    labels = {**place.labels, **_labels(place), REVISION: place.revision or "default", **allowed}
    meta = {"name": NAMESPACE, "labels": labels}
    return Object({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


def _surroundings(place: Place, places: tuple[Place, ...]) -> tuple[Object, ...]:
    servers = {word(each.cluster): host(each) for each in places}
    files = {
        "server.json": envoys.server(place.cluster, six=place.six),
        "client.json": envoys.client(servers, place.doors),
    }
    accounts = (_object(place, "v1", "ServiceAccount", name) for name in (place.client, place.server))
    configuration = _object(place, "v1", "ConfigMap", PART, data=files)
    return (*accounts, configuration, *(_service(place, each.server) for each in places))


def _service(place: Place, name: str) -> Object:
    """The Service of a server; every cluster has all of them, as names are resolved where the caller is."""
    ports = [{"name": "http", "port": envoys.PORT, "targetPort": envoys.PORT, "protocol": "TCP"}]
    return _object(place, "v1", "Service", name, spec={"selector": {"app": name}, "ports": ports})


def _client(place: Place) -> Object:
    # Straight to the gateways, past the proxy: it would take every connection, and fail behind it.
    past = ",".join(str(port) for port in sorted({port for _, port in place.doors.values()}))
    return _deployment(place, place.client, _envoy(place, "client.json"), {_EXCLUDED: past} if past else {})


def _server(place: Place) -> Object:
    ports = [{"name": "http", "containerPort": envoys.PORT, "protocol": "TCP"}]
    return _deployment(place, place.server, {**_envoy(place, "server.json"), "ports": ports}, {})


def _envoy(place: Place, file: str) -> dict[str, Any]:
    """A container that even a strict policy admits."""
    return {
        "name": "envoy",
        "image": place.image,
        # Without hot restart: its sockets have the names of the proxy's, in the same pod.
        "command": ["envoy", "-c", f"{_FILES}/{file}", "--disable-hot-restart", "--concurrency", "1"],
        "args": ["--log-level", "warning"],
        "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "files", "mountPath": _FILES, "readOnly": True}],
    }


def _deployment(
    place: Place, name: str, container: Mapping[str, Any], annotations: Mapping[str, str]
) -> Object:
    pod = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": PART}}],
    }
    meta = {"labels": {**_labels(place), "app": name}, "annotations": dict(annotations)}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": meta, "spec": pod},
    }
    return _object(place, "apps/v1", "Deployment", name, spec=spec)


def _object(place: Place, api_version: str, kind: str, name: str, **content: Any) -> Object:
    meta = {"name": name, "namespace": NAMESPACE, "labels": _labels(place)}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **content})


def _labels(place: Place) -> dict[str, str]:
    return {MESH: place.mesh, COMPONENT: PART}
