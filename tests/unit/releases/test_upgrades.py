"""The record of the upgrade under way."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from meshctl.adapters.releases import ClusterReleases
from meshctl.adapters.upgrade_codec import UPGRADE
from meshctl.errors import UnsupportedError
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Status
from meshctl.model.upgrade import Batch, Gate, Method, Mover, Stage, Upgrade
from tests.contracts.releases_contract import UpgradeContract
from tests.fakes import FakeClock, FakeCluster, FakeReleases
from tests.unit.releases.test_release_codec import a_release

SECRET = Ref("v1", "Secret", "kube-system", "meshctl.m.upgrade")


def an_upgrade(**changes: Any) -> Upgrade:
    web = Mover(Ref("apps/v1", "Deployment", "shop", "web"), Method.RESTART, 2)
    db = Mover(
        Ref("apps/v1", "StatefulSet", "shop", "db"), Method.EVICT, 1, "its update strategy is OnDelete"
    )
    upgrade = Upgrade(
        created="2026-01-02T03:04:05+00:00",
        source=a_release(mesh="m", generation=3, version="1.31.0", status=Status.DEPLOYED),
        target=a_release(mesh="m", generation=0, version="1.32.0", revision="1-32-0"),
        stage=Stage.WORKLOADS,
        batches=(Batch("batch 1 of 1", ("shop",), (web, db)),),
        passed=0,
        attempt=7,
        labelled=(("shop", (("istio-injection", "enabled"), ("istio.io/rev", None))),),
        tags=(("default", ""),),
        gate=Gate(30, 5, "up == 1", "http://prometheus:9090", ("sh", "-c", "true")),
        pause=True,
        returning=True,
        reason="batch 1 of 1: not ready",
    )
    return replace(upgrade, **changes)


class TestInACluster(UpgradeContract):
    @pytest.fixture
    def releases(self) -> ClusterReleases:
        return ClusterReleases(FakeCluster(), FakeClock())

    @pytest.fixture
    def upgrade(self) -> Upgrade:
        return an_upgrade()


class TestOfTheFake(UpgradeContract):
    @pytest.fixture
    def releases(self) -> FakeReleases:
        return FakeReleases()

    @pytest.fixture
    def upgrade(self) -> Upgrade:
        return an_upgrade()


def test_the_same_upgrade_gives_the_same_bytes() -> None:
    assert UPGRADE.encode(an_upgrade()) == UPGRADE.encode(an_upgrade())


def test_the_record_is_a_secret_of_our_type_beside_those_of_releases() -> None:
    cluster = FakeCluster()
    ClusterReleases(cluster, FakeClock()).write_upgrade(an_upgrade())
    secret = cluster.get(SECRET)
    assert secret is not None
    assert secret.at("type") == "meshctl.dev/upgrade"
    assert secret.labels["meshctl.dev/mesh"] == "m"


def test_it_is_not_taken_for_a_release() -> None:
    releases = ClusterReleases(FakeCluster(), FakeClock())
    releases.write_upgrade(an_upgrade())
    assert releases.of("m") == ()
    assert releases.meshes() == ()


def test_a_format_that_is_not_known_is_refused() -> None:
    data = gzip.compress(json.dumps({"format": 99}).encode())
    with pytest.raises(UnsupportedError) as caught:
        UPGRADE.decode(data, "meshctl.m.upgrade")
    assert caught.value.code == "upgrade-format"
    assert "'meshctl.m.upgrade'" in caught.value.message


@pytest.mark.parametrize("content", ["no base64!", base64.b64encode(b"no gzip").decode(), ""])
def test_a_damaged_record_is_told_by_its_name(content: str) -> None:
    cluster = FakeCluster()
    releases = ClusterReleases(cluster, FakeClock())
    releases.write_upgrade(an_upgrade())
    there = cluster.get(SECRET)
    assert there is not None
    cluster.apply(Object({**there.content, "data": {"upgrade": content}}), take_over=True)
    with pytest.raises(UnsupportedError) as caught:
        releases.upgrade("m")
    assert caught.value.code == "upgrade-unreadable"
    assert "meshctl.m.upgrade" in caught.value.message


def test_each_attempt_writes_another_moment_and_the_same_one_the_same() -> None:
    first, second = an_upgrade(attempt=1), an_upgrade(attempt=2)
    assert first.moment == replace(first, reason="", passed=1).moment
    assert first.moment != second.moment
    assert second.moment == "2026-01-02T03:04:07+00:00"
