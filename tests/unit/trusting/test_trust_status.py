"""Who vouches for whom: seen in Secrets, namespaces, istiods and live proxies; and what is wrong with it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from meshctl.actions.trust import status as looking
from meshctl.actions.trust.status import Place, places, trust_status
from meshctl.cli.trust_data import trust_data
from meshctl.cli.trust_text import trust_text
from meshctl.errors import AccessError, UnreachableError
from meshctl.model.envoy import Identity
from meshctl.model.mesh import Role, Source, Trust
from meshctl.model.trust import Kind, TrustStatus
from tests.envoys import FakeEnvoy
from tests.fake_clock import NOON, FakeClock
from tests.fakes import FakeCluster
from tests.unit.trusting.trust_ground import (
    HOME,
    NAMESPACE,
    files,
    folder_with,
    managed,
    mark,
    mesh,
    root,
    secret_of,
    signer,
    world,
)

SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
WEST = root().intermediate(pki.Subject("west CA"), NOON)
EAST = root().intermediate(pki.Subject("east CA"), NOON)
ALIEN = root("alien").intermediate(pki.Subject("alien CA"), NOON)


class Secrets(FakeEnvoy):
    """An Envoy or a ztunnel that shows the certificates it works with."""

    def __init__(self, dump: dict[str, Any]) -> None:
        super().__init__()
        self.dump = dump

    def answer(self, path: str) -> dict[str, Any]:
        return self.dump


def leaf(authority: pki.Authority, name: str = "web", days: int = 1) -> bytes:
    subject = pki.Subject(uris=(f"spiffe://cluster.local/ns/shop/sa/{name}",))
    return authority.issue(subject, NOON, days=days).certificate


def text(content: bytes) -> dict[str, str]:
    return {"inline_bytes": base64.b64encode(content).decode()}


def envoy(authority: pki.Authority, *trusted: pki.Authority, days: int = 1) -> Secrets:
    chain = leaf(authority, days=days) + authority.pair.certificate
    roots = b"".join(each.pair.certificate for each in trusted)
    return Secrets(
        {
            "configs": [
                {"name": "default", "secret": {"tls_certificate": {"certificate_chain": text(chain)}}},
                {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": text(roots)}}},
            ]
        }
    )


def ztunnel(authority: pki.Authority, *trusted: pki.Authority) -> Secrets:
    def certificates(*pems: bytes) -> list[dict[str, str]]:
        return [{"pem": base64.b64encode(each).decode()} for each in pems]

    chain = certificates(leaf(authority), authority.pair.certificate)
    roots = certificates(*(each.pair.certificate for each in trusted))
    told = [{"identity": "a", "certChain": chain, "rootCerts": roots}, {"identity": "b", "certChain": []}]
    return Secrets({"certificates": told})


def pod(
    name: str, *, labels: Mapping[str, str] | None = None, container: str = "istio-proxy"
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": labels or {"service.istio.io/canonical-name": name},
        },
        "spec": {"containers": [{"name": container, "args": ["proxy"]}]},
        "status": {"phase": "Running"},
    }


def published(namespace: str, *roots: pki.Authority) -> dict[str, Any]:
    bundle = b"".join(each.pair.certificate for each in roots)
    meta = {"name": "istio-ca-root-cert", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": {"root-cert.pem": bundle.decode()},
    }


class Fleet:
    """Two clusters under one root, until a test changes that."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.clock = FakeClock()
        self.west = FakeCluster("west", NAMESPACE, SHOP, secret_of(files(WEST, root())), clock=self.clock)
        self.east = FakeCluster("east", NAMESPACE, SHOP, secret_of(files(EAST, root())), clock=self.clock)
        self.mesh = mesh("west", "east", trust=Trust())
        self.world = world(self.west, self.east, clock=self.clock)

    def runs(self, door: FakeCluster, name: str, dump: Secrets, **more: Any) -> None:
        door.seed(pod(name, **more))
        door.targets["shop", name, 15000] = ("127.0.0.1", self.stack.enter_context(dump).port)

    def seen(self, **more: Any) -> TrustStatus:
        where = places([self.mesh], dict.fromkeys(self.world.clusters, HOME))
        return trust_status(self.world, where, [self.mesh], **more)

    def findings(self) -> list[tuple[str, str]]:
        return [(each.rule.code, each.subject) for one in self.seen().clusters for each in one.findings]


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack)


def test_a_fleet_under_one_root_is_sound_and_all_of_it_is_shown(fleet: Fleet) -> None:
    for door, authority in ((fleet.west, WEST), (fleet.east, EAST)):
        door.seed(published("shop", root()))
        fleet.runs(door, "web", envoy(authority, root()))
    fleet.runs(fleet.west, "zt", ztunnel(WEST, root()), labels={"app": "ztunnel"})
    status = fleet.seen()
    assert fleet.findings() == []
    assert status.is_sound
    assert [each.fingerprint for each in status.roots] == [mark(root())]
    west = status.clusters[0]
    assert west.authority is not None
    assert (west.authority.place, west.authority.root) == ("Secret istio-system/cacerts", mark(root()))
    assert [(each.kind, each.pod, each.issuer, each.root) for each in west.shown] == [
        (Kind.ENVOY, "web", mark(WEST), mark(root())),
        (Kind.ZTUNNEL, "zt", mark(WEST), mark(root())),
    ]
    said = trust_text(status)
    for word in (mark(root())[:12], "CN=west CA", "CN=east CA", "1 envoy", "1 ztunnel", "west, east"):
        assert word in said
    data = trust_data(status)
    assert data["sound"] is True
    assert data["clusters"][0]["inUse"][0]["certificate"]["uris"] == ["spiffe://cluster.local/ns/shop/sa/web"]


def test_no_key_is_shown(fleet: Fleet) -> None:
    fleet.runs(fleet.west, "web", envoy(WEST, root()))
    status = fleet.seen()
    key = base64.b64encode(WEST.pair.key).decode()[:40]
    told = f"{status!r}{trust_text(status)}{trust_data(status)}"
    assert "PRIVATE" not in told
    assert key not in told


def test_another_root_is_told_on_both_sides_and_for_the_proxies(fleet: Fleet) -> None:
    fleet.east = FakeCluster(
        "east", NAMESPACE, SHOP, secret_of(files(ALIEN, root("alien"))), clock=fleet.clock
    )
    fleet.world = world(fleet.west, fleet.east, clock=fleet.clock)
    fleet.runs(fleet.west, "web", envoy(WEST, root()))
    assert fleet.findings() == [
        ("roots-shared", "west"),
        ("proxy-trusted", "Pod shop/web of west"),
        ("roots-shared", "east"),
    ]


def test_clusters_that_are_self_signed_by_choice_need_no_root_in_common(fleet: Fleet) -> None:
    fleet.mesh = mesh("west", "east", trust=Trust(Source.SELF_SIGNED))
    fleet.east = FakeCluster(
        "east", NAMESPACE, SHOP, secret_of(files(ALIEN, root("alien"))), clock=fleet.clock
    )
    fleet.world = world(fleet.west, fleet.east, clock=fleet.clock)
    assert fleet.findings() == []


def test_a_proxy_that_was_left_behind_is_named(fleet: Fleet) -> None:
    both = secret_of(files(WEST, root(), root("new")))
    fleet.west = FakeCluster("west", NAMESPACE, SHOP, both, clock=fleet.clock)
    fleet.world = world(fleet.west, fleet.east, clock=fleet.clock)
    fleet.runs(fleet.west, "old", envoy(WEST, root()))
    fleet.runs(fleet.west, "new", envoy(WEST, root(), root("new")))
    fleet.runs(fleet.west, "alien", envoy(ALIEN, root("alien"), root(), root("new")))
    fleet.west.seed(published("shop", root()))
    assert fleet.findings() == [
        ("roots-published", "west: shop"),
        ("proxy-trusted", "Pod shop/alien of west"),
        ("proxy-trusts", "Pod shop/old of west"),
    ]


def test_what_ends_soon_or_has_ended_is_told(fleet: Fleet) -> None:
    fleet.runs(fleet.west, "web", envoy(WEST, root()))
    fleet.clock.advance(timedelta(days=500).total_seconds())
    assert fleet.findings() == [
        ("authority-lasts", "Secret istio-system/cacerts of west"),
        ("proxy-valid", "Pod shop/web of west"),
        ("authority-lasts", "Secret istio-system/cacerts of east"),
    ]
    fleet.clock.advance(timedelta(days=500).total_seconds())
    assert ("authority-valid", "Secret istio-system/cacerts of west") in fleet.findings()
    assert not fleet.seen().is_sound
    fleet.clock.advance(timedelta(days=2000).total_seconds())
    assert ("authority-lasts", f"root {mark(root())[:12]} of west") in fleet.findings()
    fleet.clock.advance(timedelta(days=1000).total_seconds())
    assert ("authority-valid", f"root {mark(root())[:12]} of west") in fleet.findings()


def test_an_authority_that_its_roots_do_not_vouch_for_is_told(fleet: Fleet) -> None:
    fleet.west = FakeCluster("west", NAMESPACE, secret_of(files(WEST, root("alien"))), clock=fleet.clock)
    fleet.world = world(fleet.west, clock=fleet.clock)
    fleet.mesh = mesh("west", trust=Trust())
    assert fleet.findings() == [("authority-whole", "Secret istio-system/cacerts of west")]


def test_proxies_of_a_remote_are_judged_by_the_authority_that_serves_them(fleet: Fleet) -> None:
    fleet.mesh = mesh("west", "far", trust=Trust(), far=Role.REMOTE)
    remote = [each for each in fleet.mesh.clusters if each.role is Role.REMOTE]
    assert [each.name for each in remote] == ["far"]
    far = FakeCluster("far", NAMESPACE, SHOP, clock=fleet.clock)
    fleet.world = world(fleet.west, far, clock=fleet.clock)
    fleet.runs(far, "web", envoy(ALIEN, root("alien")))
    where = {"west": Place(HOME, "west", "west"), "far": Place(HOME, "west", "far")}
    status = trust_status(fleet.world, where, [fleet.mesh])
    found = [each.rule.code for one in status.clusters for each in one.findings]
    assert found == ["proxy-trusts", "proxy-trusted"]
    assert "that of west" in trust_text(status)


def test_an_istiod_that_works_with_something_else_is_told(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "current": Identity((leaf(WEST), WEST.pair.certificate), (root().pair.certificate,)),
        "behind": Identity((leaf(ALIEN), ALIEN.pair.certificate), (root().pair.certificate,)),
    }

    def handed_out(_: Any, server: Any, caller: Any) -> Identity:
        assert caller.root == root().pair.certificate
        if server.pod not in given:
            raise UnreachableError("istiod-silent", "it does not answer")
        return given[server.pod]

    monkeypatch.setattr(looking.istiod_ca, "handed_out", handed_out)
    for name in ("current", "behind", "silent"):
        meta = {"name": name, "namespace": HOME, "labels": {"app": "istiod"}}
        fleet.west.seed({**pod(name), "metadata": meta})
    fleet.west.seed(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": HOME}}
    )
    fleet.west.seed(published(HOME, root()))
    assert fleet.findings() == [
        ("istiod-current", "Pod istio-system/behind of west"),
        ("identity-seen", "Pod istio-system/silent of west"),
    ]


def test_what_cannot_be_looked_at_is_told_and_takes_nothing_from_the_rest(fleet: Fleet) -> None:
    fleet.west.seed(pod("mute"))
    fleet.east.fail("get", "Secret istio-system/cacerts", AccessError("not-allowed", "we may not"), times=9)
    status = fleet.seen()
    west, east = status.clusters
    assert [each.rule.code for each in west.findings] == ["identity-seen"]
    assert (east.authority, [what for what, _ in east.unread]) == (None, ["authority"])
    assert "! east: authority: we may not" in trust_text(status)
    assert not status.is_sound


def test_a_root_that_is_in_another_folder_than_the_meshs_is_told(fleet: Fleet, tmp_path: Path) -> None:
    fleet.mesh = mesh("west", "east", trust=managed(folder_with(tmp_path, root("new"))))
    fleet.world = world(fleet.west, fleet.east, clock=fleet.clock, signs=signer())
    assert fleet.findings() == [("authority-kept", "west"), ("authority-kept", "east")]


def test_a_cluster_that_is_away_is_told_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> str:
        raise UnreachableError("cluster-unreachable", "it does not answer")

    monkeypatch.setattr(fleet.east, "version", away)
    west, east = fleet.seen().clusters
    assert (west.unread, [what for what, _ in east.unread]) == ((), ["cluster"])


def test_what_was_left_behind_in_a_remote_is_no_authority(fleet: Fleet) -> None:
    far = FakeCluster("far", NAMESPACE, secret_of(files(ALIEN, root("alien"))), clock=fleet.clock)
    fleet.world = world(fleet.west, far, clock=fleet.clock)
    where = {"west": Place(HOME, "west", "west"), "far": Place(HOME, "west", "far")}
    status = trust_status(fleet.world, where)
    assert status.is_sound
    assert status.clusters[1].authority is None


def test_proxies_are_left_out_or_limited_to_a_namespace_on_demand(fleet: Fleet) -> None:
    fleet.runs(fleet.west, "web", envoy(WEST, root()))
    assert fleet.seen(proxies=False).clusters[0].shown == ()
    assert fleet.seen(namespace="elsewhere").clusters[0].shown == ()
    assert len(fleet.seen(namespace="shop").clusters[0].shown) == 1


def test_roots_that_the_operator_keeps_are_marked_also_before_any_cluster_has_them(
    fleet: Fleet, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, root(), root("new"))
    fleet.mesh = mesh("west", "east", trust=managed(folder))
    fleet.world = world(fleet.west, fleet.east, clock=fleet.clock, signs=signer())
    status = fleet.seen()
    assert status.kept == {mark(root()), mark(root("new"))}
    assert "no cluster" in trust_text(status)
    assert status.is_sound
