"""Proxies that lose their control plane, and tags that would lead to nothing."""

from __future__ import annotations

from typing import Any

from meshctl.model.objects import Object
from meshctl.model.proxy import Carrier, Proxy
from meshctl.model.removal import Scope
from meshctl.stages.removing.attached import Attached, Leading, by_xds, in_ambient, in_pods, leading
from tests.building import obj, seen

NS = "istio-system"


def pod(name: str, *containers: str, native: bool = False, **meta: Any) -> Object:
    named = [{"name": each} for each in containers]
    status = {"phase": meta.pop("phase", "Running")}
    return obj(
        "Pod", name, "shop", spec={"initContainers" if native else "containers": named}, status=status, **meta
    )


def of(revision: str, name: str = "web", **meta: Any) -> Object:
    status = {"sidecar.istio.io/status": f'{{"revision": "{revision}"}}'}
    return pod(name, "app", "istio-proxy", annotations=status, **meta)


def istiod(revision: str) -> Object:
    return obj("Deployment", f"istiod-{revision}", NS, labels={"app": "istiod", "istio.io/rev": revision})


def proxy(name: str, carrier: Carrier) -> Proxy:
    return Proxy(name, "shop", "east", "istiod-1", "1.31.0", {}, carrier)


ALL = Scope("mesh")
OLD = Scope("mesh", revision="old")


def test_sidecars_are_told_with_their_revision() -> None:
    pods = [
        of("stable", "b"),
        pod("a", "istio-proxy", native=True, labels={"istio.io/rev": "default"}),
        pod("plain", "app"),
        pod("odd", "istio-proxy", annotations={"sidecar.istio.io/status": "not json"}),
    ]
    assert [(each.place, each.revision) for each in in_pods(pods, seen(), ALL, [])] == [
        ("shop/a", "default"),
        ("shop/b", "stable"),
        ("shop/odd", ""),
    ]


def test_gateways_that_go_themselves_are_not_attached() -> None:
    gateway = obj("Deployment", "ingress", "shop", spec={"selector": {"matchLabels": {"istio": "ingress"}}})
    pods = [pod("in", "istio-proxy", labels={"istio": "ingress", "x": "y"}), pod("web", "istio-proxy")]
    assert [each.place for each in in_pods(pods, seen(), ALL, [gateway])] == ["shop/web"]


def test_pods_that_have_ended_or_are_ending_lose_nothing() -> None:
    pods = [of("a", "done", phase="Succeeded"), of("a", "going", deletionTimestamp="2026-01-01T00:00:00Z")]
    assert in_pods(pods, seen(), ALL, []) == ()


def test_with_one_revision_only_its_own_proxies_count() -> None:
    pods = [of("old", "a"), of("new", "b"), pod("unsaid", "istio-proxy")]
    planes = seen(istiod("old"), istiod("new"))
    assert [each.place for each in in_pods(pods, planes, OLD, [istiod("old")])] == ["shop/a"]


def test_the_unnamed_revision_is_called_default_by_pods() -> None:
    pods = [of("default", "a"), of("new", "b")]
    scope = Scope("mesh", revision="")
    assert [each.place for each in in_pods(pods, seen(istiod("new")), scope, [])] == ["shop/a"]


def test_proxies_of_another_control_plane_that_stays_are_left_out_of_a_whole_removal() -> None:
    planes = seen(istiod("old"), istiod("foreign"))
    found = in_pods([of("old", "a"), of("foreign", "b")], planes, ALL, [istiod("old")])
    assert [each.place for each in found] == ["shop/a"]


def test_machines_and_proxies_of_other_clusters_are_known_by_xds_alone() -> None:
    proxies = [
        proxy("vm", Carrier.VM),
        proxy("far", Carrier.UNKNOWN),
        proxy("gone", Carrier.GONE),
        proxy("node", Carrier.ZTUNNEL),
        proxy("web", Carrier.SIDECAR),
    ]
    known = [Attached("shop/web", "old")]
    assert by_xds(proxies, [], [], known) == (
        Attached("shop/far", "", Carrier.UNKNOWN),
        Attached("shop/vm", "", Carrier.VM),
    )


def test_a_gateway_that_goes_is_not_counted_though_istiod_names_it() -> None:
    gateway = obj("Deployment", "ingress", "shop", spec={"selector": {"matchLabels": {"istio": "ingress"}}})
    pods = [pod("in", "istio-proxy", labels={"istio": "ingress"})]
    assert by_xds([proxy("in", Carrier.GATEWAY)], pods, [gateway], []) == ()


def test_pods_in_ambient_mode_are_attached_to_their_ztunnel() -> None:
    redirected = {"ambient.istio.io/redirection": "enabled"}
    pods = [pod("a", "app", annotations=redirected), pod("b", "app")]
    assert in_ambient(pods) == (Attached("shop/a", "", Carrier.ZTUNNEL),)


def webhook(tag: str, revision: str) -> Object:
    rule = {"matchExpressions": [{"key": "istio.io/rev", "operator": "In", "values": [tag]}]}
    return obj(
        "MutatingWebhookConfiguration",
        f"istio-revision-tag-{tag}",
        labels={"istio.io/tag": tag, "istio.io/rev": revision},
        webhooks=[{"name": "rev.namespace.sidecar-injector.istio.io", "namespaceSelector": rule}],
    )


def test_tags_that_lead_to_what_goes_are_told_with_their_users() -> None:
    shop = obj("Namespace", "shop", labels={"istio.io/rev": "prod"})
    there = seen(webhook("prod", "old"), webhook("test", "new"), webhook("spare", "old"))
    assert leading(there, OLD, [shop], []) == (Leading("prod", ("shop",)), Leading("spare", ()))


def test_no_tag_is_in_the_way_when_all_goes() -> None:
    assert leading(seen(webhook("prod", "old")), ALL, [], []) == ()
