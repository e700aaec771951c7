"""What is seen of a cluster of a fleet through its API server."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from meshctl import pki
from meshctl.errors import AccessError, UnreachableError
from meshctl.model.mesh import Cluster
from meshctl.model.objects import Object, Ref
from meshctl.model.verification import ClusterSeen, Trusted
from meshctl.stages.verifying.looking import look
from tests.building import obj
from tests.fake_clock import NOON
from tests.fakes import FakeClock, FakeCluster

NETWORK = "topology.istio.io/network"
AUTHORITY = pki.new_authority(pki.Subject(common_name="root"), NOON)
ROOT = pki.fingerprint(AUTHORITY.pair.certificate)


class Injecting(FakeCluster):
    """A cluster whose injector gives proxies to pods; `hours` is how far its clock is ahead."""

    def __init__(self, *objects: Object, hours: float = 0.0) -> None:
        super().__init__("east", *(each.content for each in objects))
        self.hours = hours
        self.dry: list[str] = []

    def create(self, obj: Object, *, manager: str = "meshctl", dry_run: bool = False) -> Object:
        assert dry_run
        self.dry.append(str(obj.ref))
        content: Any = json.loads(json.dumps(obj.content))
        content["metadata"]["creationTimestamp"] = (NOON + timedelta(hours=self.hours)).isoformat()
        if obj.ref.kind == "Pod":
            content["spec"]["containers"].append(proxy("east"))
        return Object(content)


def proxy(cluster: str, **more: str) -> dict[str, Any]:
    told = {"ISTIO_META_CLUSTER_ID": cluster, "ISTIO_META_NETWORK": "net", "ISTIO_META_MESH_ID": "m", **more}
    env = [{"name": name, "value": value} for name, value in told.items()]
    return {"name": "istio-proxy", "image": "hub/proxyv2:1.31.0-debug", "env": env}


def pod(name: str, address: str, namespace: str = "shop", **spec: Any) -> Object:
    return obj(
        "Pod",
        name,
        namespace,
        labels={"service.istio.io/canonical-name": name},
        spec={"containers": [proxy("east")], **spec},
        status={"phase": "Running", "podIPs": [{"ip": address}]},
    )


def node(*ranges: str) -> Object:
    return obj("Node", "n1", spec={"podCIDRs": list(ranges)})


def seen(*objects: Object, **more: Any) -> ClusterSeen:
    home = obj("Namespace", "istio-system", labels={NETWORK: "net"})
    door = Injecting(home, obj("Namespace", "shop"), *objects, **more)
    return look(door, Cluster("east"), FakeClock(), mesh="m")


def test_a_cluster_that_does_not_answer_says_why_and_nothing_else() -> None:
    class Silent(FakeCluster):
        def get(self, ref: Ref) -> Object | None:
            raise UnreachableError("unreachable", "nobody answers")

    found = look(Silent("east"), Cluster("east"), FakeClock(), mesh="m")
    assert (found.why, found.unread, found.uid) == ("nobody answers", (), "")


def test_what_may_not_be_read_is_told_and_the_rest_is_seen() -> None:
    class Refusing(Injecting):
        def list(self, api_version: str, kind: str, **scope: str) -> tuple[Object, ...]:
            if kind == "Pod":
                raise AccessError("forbidden", "may not list pods")
            return super().list(api_version, kind, **scope)

    home = obj("Namespace", "istio-system", labels={NETWORK: "net"})
    found = look(Refusing(home), Cluster("east"), FakeClock(), mesh="m")
    assert found.unread == (("pods", "may not list pods"),)
    assert found.network_label == "net"


def test_nothing_is_changed_but_dry_runs_are_asked() -> None:
    home = obj("Namespace", "istio-system")
    door = Injecting(home)
    look(door, Cluster("east"), FakeClock(), mesh="m")
    assert door.writes == []
    assert sorted(door.dry) == ["ConfigMap istio-system/meshctl-probe", "Pod istio-system/meshctl-probe"]


def test_where_new_pods_and_live_ones_are_told_to_be() -> None:
    found = seen(pod("web", "10.1.0.5"))
    assert found.injected is not None
    assert (found.injected.cluster, found.injected.network, found.injected.image) == (
        "east",
        "net",
        "hub/proxyv2:1.31.0-debug",
    )
    assert [(each.subject, each.mesh, each.version) for each in found.proxies] == [
        ("Pod shop/web", "m", "1.31.0-debug")
    ]


@pytest.mark.parametrize("hours", [0.0, 2.0, -1.0])
def test_the_clock_of_the_api_server_is_compared_with_ours(hours: float) -> None:
    found = seen(hours=hours)
    assert found.ahead is not None
    assert abs(found.ahead - hours * 3600) <= found.blur


def test_the_clock_of_a_node_is_told_by_its_lease() -> None:
    moment = NOON + timedelta(seconds=90)
    lease = obj("Lease", "n1", "kube-node-lease", spec={"renewTime": moment.isoformat()})

    class Noted(Injecting):
        def list(self, api_version: str, kind: str, **scope: str) -> tuple[Object, ...]:
            if kind != "Lease":
                return super().list(api_version, kind, **scope)
            meta = {**lease.content["metadata"], "managedFields": [{"time": NOON.isoformat()}]}
            return (Object({**lease.content, "metadata": meta}),)

    found = look(Noted(obj("Namespace", "istio-system")), Cluster("east"), FakeClock(), mesh="m")
    assert found.nodes_ahead["n1"] == pytest.approx(90, abs=1)


# Roots.


def secret(name: str, **files: bytes) -> Object:
    data = {key.replace("_", "-") + ".pem": base64.b64encode(text).decode() for key, text in files.items()}
    return obj("Secret", name, "istio-system", data=data)


def test_the_root_of_an_authority_and_what_is_published_are_told_by_fingerprint() -> None:
    below = AUTHORITY.intermediate(pki.Subject(common_name="east"), NOON, days=30)
    own = AUTHORITY.pair.certificate
    cacerts = secret(
        "cacerts", ca_cert=below.pair.certificate, root_cert=own, cert_chain=below.pair.certificate
    )
    config = obj("ConfigMap", "istio-ca-root-cert", "istio-system", data={"root-cert.pem": own.decode()})
    found = seen(cacerts, config)
    assert found.authority is not None
    assert found.published is not None
    assert (found.authority.root, found.authority.roots) == (ROOT, frozenset({ROOT}))
    assert found.published.roots == {ROOT}


def test_an_authority_whose_root_is_another_says_so() -> None:
    stranger = pki.new_authority(pki.Subject(common_name="other"), NOON).pair.certificate
    found = seen(secret("cacerts", ca_cert=AUTHORITY.pair.certificate, root_cert=stranger, cert_chain=b""))
    assert found.authority is not None
    assert found.authority.root == ""


def test_some_envoys_of_every_namespace_are_asked_for_their_roots() -> None:
    homes = (obj("Namespace", name) for name in ("istio-system", "shop", "zoo"))
    objects = [*homes, pod("lone", "10.1.0.9", "zoo")]
    objects += [pod(f"web-{number:02}", "10.1.0.9") for number in range(40)]
    asked: list[str] = []

    def ask(pod: Object) -> Trusted:
        asked.append(pod.ref.place)
        return Trusted(pod.ref.place, frozenset())

    look(Injecting(*objects), Cluster("east"), FakeClock(), mesh="m", ask=ask)
    assert "zoo/lone" in asked
    assert len(asked) < 40


# Networks.


def gateway(**more: Any) -> Object:
    return obj("Service", "gw", "istio-system", labels={NETWORK: "net", **more.pop("labels", {})}, **more)


@pytest.mark.parametrize(
    ("service", "addresses", "why"),
    [
        ({"spec": {"type": "LoadBalancer"}}, (), "it has no address"),
        (
            {
                "spec": {"type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": [{"hostname": "a.b"}]}},
            },
            ("a.b",),
            "",
        ),
        ({"spec": {"externalIPs": ["192.0.2.1"]}}, ("192.0.2.1",), ""),
        ({"spec": {"type": "NodePort"}}, (), "it is of type NodePort, which needs the annotation"),
        ({"spec": {}}, (), "it is of type ClusterIP, which other networks cannot reach"),
    ],
)
def test_a_gateway_has_an_address_or_a_reason(
    service: dict[str, Any], addresses: tuple[str, ...], why: str
) -> None:
    [found] = seen(gateway(**service)).gateways
    assert (found.network, found.addresses) == ("net", addresses)
    assert found.why.startswith(why)
    assert bool(found.why) == bool(why)


def test_the_port_of_a_gateway_may_be_another() -> None:
    [found] = seen(
        gateway(labels={"networking.istio.io/gatewayPort": "443"}, spec={"externalIPs": ["1.1.1.1"]})
    ).gateways
    assert found.port == 443


def test_ranges_are_those_of_nodes_where_pods_have_addresses_of_these() -> None:
    assert seen(node("10.1.0.0/24"), pod("web", "10.1.0.5")).ranges == ("10.1.0.0/24",)
    assert seen(node("10.1.0.0/24")).ranges == ("10.1.0.0/24",)
    assert seen(node("10.1.0.0/24"), pod("web", "172.31.0.5")).ranges == ("172.31.0.5/32",)
    assert seen(pod("web", "192.168.0.5", hostNetwork=True)).ranges == ()


def test_services_beside_proxies_are_seen_and_others_are_not() -> None:
    db = obj("Service", "db", "shop", spec={"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})
    far = obj("Service", "dns", "kube-system", spec={})
    own = obj("Service", "istiod", "istio-system", spec={})
    [found] = seen(pod("web", "10.1.0.5"), pod("gateway", "10.1.0.6", "istio-system"), db, far, own).services
    assert (found.namespace, found.name, found.headless, found.ports) == (
        "shop",
        "db",
        True,
        ("sql 5432/TCP",),
    )


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ("{}", {}),
        ("discoverySelectors: [{matchLabels: {team: a}}, {matchLabels: {team: b}}]", {"team": "a"}),
        (
            "discoverySelectors: [{matchExpressions: [{key: env, operator: In, values: [prod, dev]}, "
            "{key: old, operator: DoesNotExist}]}]",
            {"env": "prod"},
        ),
        ("[", {}),
    ],
)
def test_labels_that_bring_a_namespace_into_sight_of_istiod_are_found(
    config: str, labels: dict[str, str]
) -> None:
    assert seen(obj("ConfigMap", "istio", "istio-system", data={"mesh": config})).discovery == labels


def test_a_cluster_without_a_mesh_says_so_and_nothing_else() -> None:
    found = look(Injecting(), Cluster("east"), FakeClock(), mesh="m")
    assert found.why == "there is no mesh in it: it has no Namespace istio-system"
    assert found.injection_fault == ""
