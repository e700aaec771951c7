"""Which istiod reads which cluster, from the topology alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from meshctl.model.link import Life, Link, LinkKind, life_of, links_wanted, tokens_in
from meshctl.model.mesh import Cluster, Mesh, Role
from tests.fakes import NOON, FakeClock, FakeCluster

WEST, EAST = Cluster("west"), Cluster("east")
FAR = Cluster("far", role=Role.REMOTE, control_plane="west")
CONTROL = Cluster("control", role=Role.EXTERNAL)
CONFIG = Cluster("config", role=Role.CONFIG, control_plane="control")
EDGE = Cluster("edge", role=Role.REMOTE, control_plane="control")


def told(*clusters: Cluster) -> list[str]:
    return [str(each) for each in links_wanted(Mesh("prod", clusters))]


def test_a_cluster_alone_reads_nobody() -> None:
    assert told(WEST) == []


def test_primaries_read_each_other() -> None:
    assert told(WEST, EAST) == ["west → east", "east → west"]


def test_every_primary_reads_a_remote_whoever_serves_it_and_a_remote_reads_nobody() -> None:
    assert told(WEST, FAR) == ["west → far"]
    assert told(WEST, EAST, FAR) == ["west → east", "west → far", "east → west", "east → far"]


def test_an_external_istiod_finds_its_configuration_by_a_link_of_its_own_kind() -> None:
    found = links_wanted(Mesh("prod", (CONTROL, CONFIG, EDGE)))
    assert found == (Link("control", "config", LinkKind.CONFIG), Link("control", "edge"))
    first, second = found
    assert (first.secret("ns").name, first.key) == ("istio-kubeconfig", "config")
    assert (second.secret("ns").name, second.key) == ("istio-remote-secret-edge", "edge")


def test_nobody_reads_a_cluster_without_workloads() -> None:
    assert "west → control" not in told(WEST, CONTROL, CONFIG)


def test_meshes_that_trust_each_other_read_each_others_clusters() -> None:
    shop, bank = Mesh("shop", (WEST,)), Mesh("bank", (EAST, Cluster("vault", role=Role.EXTERNAL)))
    assert [str(each) for each in links_wanted(shop, [bank])] == ["west → east"]


# Tokens.


def test_a_token_tells_its_life() -> None:
    door = FakeCluster(clock=FakeClock())
    door.seed(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "default"}}
    )
    token = door.token("default", "a", seconds=3600)
    assert life_of(token) == Life(NOON, NOON + timedelta(hours=1))
    assert tokens_in(f"users:\n- user:\n    token: {token}\n") == (token,)


@pytest.mark.parametrize("text", ["", "a.b.c", "abc", "a.!!!.c", "e30.bnVsbA.x", "e30.eyJleHAiOiJ4In0.x"])
def test_what_is_no_token_has_no_life(text: str) -> None:
    assert life_of(text) is None


def test_a_token_is_due_when_less_than_a_third_of_its_life_is_left() -> None:
    life = Life(NOON, NOON + timedelta(days=90))
    assert not life.is_due(NOON + timedelta(days=59))
    assert life.is_due(NOON + timedelta(days=61))
    assert life.left(NOON + timedelta(days=200)) == 0.0
    assert not Life(NOON, None).is_due(datetime(2099, 1, 1, tzinfo=UTC))
