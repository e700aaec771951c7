"""What a backup holds, and that its text hangs on nothing but the cluster."""

from __future__ import annotations

from typing import Any

import yaml

from meshctl.model.objects import Object
from meshctl.model.release import Status
from meshctl.stages.restoring.backup import head, secrets_named, settings, using
from tests.building import obj, ref, release
from tests.fakes import KINDS, FakeCluster, kind_of

API = "gateway.networking.k8s.io/v1"


def api(kind: str, name: str, namespace: str = "shop", **spec: Any) -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return Object({"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec})


def names(objects: tuple[Object, ...]) -> list[str]:
    return [str(each.ref) for each in objects]


MINE = api("Gateway", "mine", gatewayClassName="istio")
THEIRS = api("Gateway", "theirs", gatewayClassName="nginx")


def test_of_the_gateway_api_what_uses_istio_is_kept() -> None:
    routes = [
        api("HTTPRoute", "a", parentRefs=[{"name": "mine"}]),
        api("HTTPRoute", "b", parentRefs=[{"name": "theirs"}]),
        api("GRPCRoute", "c", "other", parentRefs=[{"name": "mine", "namespace": "shop"}]),
        api("TCPRoute", "d", "elsewhere", parentRefs=[{"name": "mine"}]),
        api("HTTPRoute", "mesh", "other", parentRefs=[{"kind": "Service", "group": "", "name": "web"}]),
    ]
    found = set(names(using([MINE, THEIRS, *routes])))
    assert found == {
        "Gateway shop/mine",
        "HTTPRoute shop/a",
        "GRPCRoute other/c",
        "HTTPRoute other/mesh",
    }


def test_routes_of_a_listener_set_are_kept_with_it() -> None:
    listeners = api("XListenerSet", "more", parentRef={"name": "mine"})
    route = api("HTTPRoute", "a", parentRefs=[{"kind": "XListenerSet", "name": "more"}])
    assert set(names(using([route, listeners, MINE]))) == {
        "Gateway shop/mine",
        "HTTPRoute shop/a",
        "XListenerSet shop/more",
    }


def test_classes_are_kept_that_istiod_does_not_make_itself() -> None:
    own = api("GatewayClass", "fast", "", controllerName="istio.io/gateway-controller")
    made = api("GatewayClass", "istio", "", controllerName="istio.io/gateway-controller")
    other = api("GatewayClass", "nginx", "", controllerName="nginx.org/controller")
    gateway = api("Gateway", "web", gatewayClassName="fast")
    assert names(using([own, made, other, gateway])) == ["GatewayClass fast", "Gateway shop/web"]


def test_grants_for_what_is_kept_are_kept() -> None:
    into = api("ReferenceGrant", "in", "certs", **{"from": [{"kind": "Gateway", "namespace": "shop"}]})
    alien = api("ReferenceGrant", "no", "certs", **{"from": [{"kind": "Gateway", "namespace": "nowhere"}]})
    assert names(using([MINE, into, alien])) == ["Gateway shop/mine", "ReferenceGrant certs/in"]


def test_the_text_does_not_hang_on_the_order_of_reading() -> None:
    spaces = [obj("Namespace", name, labels={"istio-injection": "enabled", "x": "y"}) for name in "ba"]
    records = [release(revision=name, generation=number) for number, name in enumerate("yx", 1)]
    text = head(records, spaces, [MINE, THEIRS])
    assert text == head(records[::-1], spaces[::-1], [THEIRS, MINE])
    documents = [each for each in yaml.safe_load_all(text) if each]
    assert [each["kind"] for each in documents] == ["IstioOperator"] * 2 + ["Namespace"] * 2 + ["Gateway"]
    assert documents[2] == obj("Namespace", "a", labels={"istio-injection": "enabled"}).content


def test_namespaces_without_labels_of_istio_are_left_out() -> None:
    text = head([], [obj("Namespace", "plain", labels={"team": "web"})], [])
    assert [each for each in yaml.safe_load_all(text) if each] == []


def test_settings_are_those_of_the_newest_release_that_stands() -> None:
    records = [
        release(generation=1, values={"values": {"pilot": {"traceSampling": 1}}}),
        release(generation=2, values={"values": {"pilot": {"traceSampling": 2}}}),
        release(generation=3, revision="gone", status=Status.SUPERSEDED),
    ]
    (content,) = [each for each in yaml.safe_load_all(head(records, [], [])) if each]
    assert content == settings(records[1])
    assert content["spec"] == {"profile": "default", "values": {"pilot": {"traceSampling": 2}}}


def test_settings_say_their_namespace_where_it_is_not_the_usual_one() -> None:
    assert settings(release(namespace="mesh"))["spec"]["namespace"] == "mesh"


GATEWAY = kind_of("networking.istio.io/v1", "Gateway")


def test_secrets_are_found_where_the_pods_of_their_gateway_are() -> None:
    pod = obj("Pod", "in-1", "edge", labels={"istio": "edge"})
    there = [obj("Secret", name, "edge") for name in ("web", "web-cacert", "unrelated")]
    cluster = FakeCluster("c", kinds=(*KINDS, GATEWAY))
    for each in (obj("Namespace", "edge"), pod, *there):
        cluster.seed(each.content)
    server = {"tls": {"credentialName": "web"}}
    spec = {"selector": {"istio": "edge"}, "servers": [server]}
    content = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}
    gateway = Object({**content, "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    found = secrets_named(cluster, [gateway], "istio-system")
    assert found == (ref("Secret", "web", "edge"), ref("Secret", "web-cacert", "edge"))


def test_secrets_that_are_left_out_are_named_and_nothing_of_them_is_told() -> None:
    text = head([], [], [], left_out=[ref("Secret", "web", "edge")])
    assert "edge/web" in text
    assert [each for each in yaml.safe_load_all(text) if each] == []
