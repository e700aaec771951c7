"""A fleet of two clusters on two networks in which all is well; tests break it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from meshctl.actions.checks import checks, run
from meshctl.model.check import Moment, Outcome
from meshctl.model.mesh import Cluster, Mesh
from meshctl.model.verification import (
    Authority,
    Call,
    ClusterSeen,
    FleetSeen,
    GatewaySeen,
    IstiodSeen,
    Opened,
    ProxyPlace,
    SecretSeen,
    Traffic,
    Trusted,
)
from tests.fakes import FakeClock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOT, OTHER = "a" * 64, "b" * 64
RANGES = {"west": "10.1.0.0/16", "east": "10.2.0.0/16", "north": "10.3.0.0/16"}


def seen(name: str, *others: str, network: str = "", **more: Any) -> ClusterSeen:
    """A cluster that is well, and reads `others`."""
    own = network or f"net-{name}"
    place = ProxyPlace("new pods", name, own, "shop", "cluster.local", "1.31.0", "hub/proxyv2:1.31.0")
    subject = "Service istio-system/istio-eastwestgateway"
    given = {
        "uid": f"uid-{name}",
        "ahead": 0.0,
        "network_label": own,
        "injected": place,
        "proxies": (replace(place, subject=f"Pod shop/{name}-1"),),
        "istiods": (IstiodSeen("istiod-1", name, "1.31.0", dict.fromkeys((name, *others), "synced")),),
        "authority": Authority(
            "Secret istio-system/cacerts", ROOT, frozenset({ROOT}), NOW + timedelta(days=9)
        ),
        "published": Trusted("ConfigMap istio-system/istio-ca-root-cert", frozenset({ROOT})),
        "trusted": (Trusted(f"Pod shop/{name}-1", frozenset({ROOT})),),
        "secrets": tuple(
            SecretSeen(f"Secret istio-system/istio-remote-secret-{each}", each, "https://192.0.2.1:6443")
            for each in others
        ),
        "gateways": (GatewaySeen(subject, own, (f"192.0.2.{len(name)}",), ports=(15012, 15017, 15443)),),
        "ranges": (RANGES[name],),
        "namespaces": frozenset({"istio-system", "shop"}),
    }
    return ClusterSeen(Cluster(name, network=own), "shop", **{**given, **more})


def mesh(*clusters: ClusterSeen, **more: Any) -> Mesh:
    return Mesh("shop", tuple(each.cluster for each in clusters), identifier="shop", **more)


def fleet(*clusters: ClusterSeen, traffic: Traffic | None = None, **more: Any) -> FleetSeen:
    every = clusters or (seen("west", "east"), seen("east", "west"))
    return FleetSeen((mesh(*every, **more),), every, NOW, traffic)


def call(client: str, server: str, **more: Any) -> Call:
    """A call that arrived, as it should."""
    wanted = f"spiffe://cluster.local/{client}", f"spiffe://cluster.local/{server}"
    given = {"caller": wanted[0], "called": wanted[1], "answered_by": server}
    return Call(client, server, *wanted, **{**given, **more})


def opened(client: str, cluster: str, fault: str = "") -> Opened:
    return Opened(client, cluster, "Service istio-system/gateway", "192.0.2.7:15443", fault)


def outcomes(site: FleetSeen) -> dict[str, Outcome]:
    chosen = [each for each in checks() if each.fits(Moment.FLEET)]
    return {each.check: each for each in run(site, chosen, FakeClock())}


def told(site: FleetSeen) -> list[tuple[str, str]]:
    """`(code, subject: message)` of all that is found."""
    return [
        (each.rule.code, f"{each.subject}: {each.message}")
        for outcome in outcomes(site).values()
        for each in outcome.findings
    ]
