"""Proxies that lose their control plane."""

from __future__ import annotations

from typing import Any

from meshctl.model.objects import Object
from meshctl.stages.removing.residue import attached
from tests.building import obj


def pod(name: str, *containers: str, native: bool = False, **meta: Any) -> Object:
    named = [{"name": each} for each in containers]
    return obj("Pod", name, "shop", spec={"initContainers" if native else "containers": named}, **meta)


def test_sidecars_are_told_with_their_revision() -> None:
    pods = [
        pod("b", "app", "istio-proxy", annotations={"sidecar.istio.io/status": '{"revision": "stable"}'}),
        pod("a", "istio-proxy", native=True, labels={"istio.io/rev": "default"}),
        pod("plain", "app"),
        pod("odd", "istio-proxy", annotations={"sidecar.istio.io/status": "not json"}),
    ]
    assert [(each.pod.name, each.revision) for each in attached(pods)] == [
        ("a", "default"),
        ("b", "stable"),
        ("odd", ""),
    ]


def test_gateways_that_go_themselves_are_not_attached() -> None:
    gateway = obj("Deployment", "ingress", "shop", spec={"selector": {"matchLabels": {"istio": "ingress"}}})
    pods = [pod("in", "istio-proxy", labels={"istio": "ingress", "x": "y"}), pod("web", "istio-proxy")]
    assert [each.pod.name for each in attached(pods, [gateway])] == ["web"]
