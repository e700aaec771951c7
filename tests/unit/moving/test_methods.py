"""A workload rolls by itself where that is no harm, and is evicted pod by pod where it would be."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.model.upgrade import Method, Mover
from tests.unit.moving.mesh import Mesh


@pytest.fixture
def shop(mesh: Mesh) -> Mesh:
    mesh.namespace("shop")
    return mesh


def only(mesh: Mesh) -> Mover:
    (mover,) = mesh.riders().movers
    return mover


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("Deployment", {"paused": True}, "paused"),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("StatefulSet", {"updateStrategy": {"rollingUpdate": {"partition": 2}}}, "partition 2"),
    ],
)
def test_what_does_not_roll_is_evicted(shop: Mesh, kind: str, spec: dict[str, Any], words: str) -> None:
    shop.workload(kind, "shop", "web", pods=3, **spec)
    assert only(shop).method is Method.EVICT
    assert words in only(shop).why


def test_a_strategy_that_ends_all_pods_first_is_followed_and_told(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "web", pods=3, strategy={"type": "Recreate"})
    assert only(shop).method is Method.RESTART
    assert "Recreate" in only(shop).why


@pytest.mark.parametrize(
    ("kind", "pods", "spec", "budget", "expected"),
    [
        ("Deployment", 4, {}, {"minAvailable": 4}, Method.EVICT),
        ("Deployment", 4, {}, {"minAvailable": "100%"}, Method.EVICT),
        ("Deployment", 4, {}, {"maxUnavailable": 0}, Method.EVICT),
        ("Deployment", 4, {}, {"maxUnavailable": 1}, Method.RESTART),
        ("Deployment", 8, {}, {"maxUnavailable": 1}, Method.EVICT),
        ("Deployment", 8, {}, {"minAvailable": "75%"}, Method.RESTART),
        ("Deployment", 1, {}, {"minAvailable": 1}, Method.RESTART),
        ("Deployment", 2, {"strategy": {"type": "Recreate"}}, {"maxUnavailable": 1}, Method.EVICT),
        (
            "Deployment",
            4,
            {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}},
            {"minAvailable": 4},
            Method.RESTART,
        ),
        (
            "Deployment",
            4,
            {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}},
            {"minAvailable": 4},
            Method.EVICT,
        ),
        ("StatefulSet", 3, {}, {"maxUnavailable": 1}, Method.RESTART),
        ("StatefulSet", 3, {}, {"minAvailable": 3}, Method.EVICT),
        ("DaemonSet", 1, {}, {"maxUnavailable": 0}, Method.EVICT),
        (
            "DaemonSet",
            1,
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}},
            {"maxUnavailable": 0},
            Method.RESTART,
        ),
    ],
)
def test_a_budget_tighter_than_the_rolling_update_is_honoured_by_evictions(
    shop: Mesh, kind: str, pods: int, spec: dict[str, Any], budget: dict[str, Any], expected: Method
) -> None:
    shop.workload(kind, "shop", "web", pods=pods, **spec)
    shop.budget("shop", "web", **budget)
    assert only(shop).method is expected
    assert ("PodDisruptionBudget web" in only(shop).why) == (expected is Method.EVICT)


def test_budgets_of_others_count_for_nothing(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "web", pods=8)
    shop.budget("shop", "other", minAvailable=8)
    shop.namespace("bank")
    shop.budget("bank", "web", minAvailable=8)
    shop.put("policy/v1", "PodDisruptionBudget", "shop", "none", spec={"maxUnavailable": 0})
    assert only(shop).method is Method.RESTART


def test_what_the_budgets_controller_has_counted_is_believed(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "web", pods=8)
    ref = shop.budget("shop", "web", maxUnavailable="10%")
    shop.cluster.edit(ref, {"status": {"expectedPods": 40, "desiredHealthy": 36}})
    assert only(shop).method is Method.RESTART


def test_a_budget_that_two_workloads_share_is_shared(shop: Mesh) -> None:
    for name in ("blue", "green"):
        shop.workload("Deployment", "shop", name, pods=4, labels={"tier": "web"})
    shared = {"selector": {"matchLabels": {"tier": "web"}}, "maxUnavailable": 1}
    shop.put("policy/v1", "PodDisruptionBudget", "shop", "both", spec=shared)
    assert {each.method for each in shop.riders().movers} == {Method.EVICT}


def test_what_two_budgets_cover_is_left_to_its_owner_where_it_would_have_to_be_evicted(shop: Mesh) -> None:
    for name in ("rolls", "does-not"):
        shop.workload("Deployment", "shop", name, paused=name == "does-not")
        for number in (1, 2):
            spec = {"selector": {"matchLabels": {"app": name}}, "maxUnavailable": 1}
            shop.put("policy/v1", "PodDisruptionBudget", "shop", f"{name}-{number}", spec=spec)
    assert only(shop).ref.name == "rolls"
    (stayer,) = shop.riders().stayers
    assert stayer.name == "Deployment shop/does-not"
    assert "several PodDisruptionBudgets" in stayer.why
