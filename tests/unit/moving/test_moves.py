"""A plan moves what is not there yet, in the right order, and the way back undoes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshctl.model.objects import Ref
from meshctl.model.plan import Await, Condition, Delete, Evict, Plan, Relabel, Restart
from meshctl.model.upgrade import Batch, Labels
from meshctl.stages.moving.batches import batches
from meshctl.stages.moving.moves import back, labels_before, move, relabelled, restored, touched, uninjected
from tests.unit.moving.mesh import OLD, Mesh, injector

MOMENT = "2026-01-01T12:00:00+00:00"


@pytest.fixture
def shop(mesh: Mesh) -> Mesh:
    mesh.namespace("shop")
    return mesh


def planned(mesh: Mesh, batch: Batch) -> Plan:
    return move("c1", batch, mesh.riders(to="new"), to="new", moment=MOMENT, seconds=60)


def only(mesh: Mesh) -> Batch:
    (batch,) = batches(mesh.riders(), "100%")
    return batch


def told(plan: Plan) -> list[list[str]]:
    return [[f"{type(each).__name__} {each.ref}" for each in phase.steps] for phase in plan.phases]  # type: ignore[union-attr]


def returned(mesh: Mesh, batch: Batch, labelled: tuple[tuple[str, Labels], ...], **words: object) -> Plan:
    return back("c1", batch, mesh.riders("new", to="old"), labelled, moment=MOMENT, seconds=60, **words)  # type: ignore[arg-type]


def relabel(mesh: Mesh, plan: Plan) -> None:
    """Do the label steps of a plan."""
    for each in plan.steps:
        if isinstance(each, Relabel):
            mesh.cluster.patch(each.ref, {"metadata": {"labels": dict(each.labels)}})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {"istio.io/rev": "new"}),
        ({"istio.io/rev": "old", "team": "a"}, {"istio.io/rev": "new"}),
        ({"istio-injection": "enabled"}, {"istio-injection": None, "istio.io/rev": "new"}),
    ],
)
def test_a_namespace_is_led_elsewhere_and_back_by_its_labels(
    labels: dict[str, str], expected: dict[str, str | None]
) -> None:
    assert dict(relabelled(labels, "new")) == expected
    after = {key: value for key, value in (labels | expected).items() if value is not None}
    again = {key: value for key, value in (after | dict(labels_before(labels))).items() if value is not None}
    assert again == labels


def test_the_unnamed_revision_is_led_to_as_default() -> None:
    assert dict(relabelled({}, "")) == {"istio.io/rev": "default"}


def test_labels_come_first_then_restarts_together_then_the_waits(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "api", pods=2)
    shop.workload("StatefulSet", "shop", "db")
    assert told(planned(shop, only(shop))) == [
        ["Relabel Namespace shop"],
        ["Restart Deployment shop/api", "Restart StatefulSet shop/db"],
        ["Await Deployment shop/api", "Await StatefulSet shop/db"],
    ]


def test_evictions_are_one_at_a_time_for_each_workload(shop: Mesh) -> None:
    shop.workload("StatefulSet", "shop", "db", pods=2, updateStrategy={"type": "OnDelete"})
    shop.workload("Deployment", "shop", "web", paused=True)
    assert told(planned(shop, only(shop)))[1:] == [
        ["Evict Pod shop/web-0", "Evict Pod shop/db-0"],
        ["Await Pod shop/web-0", "Await Pod shop/db-0"],
        ["Await StatefulSet shop/db"],
        ["Evict Pod shop/db-1"],
        ["Await Pod shop/db-1"],
        ["Await Deployment shop/web", "Await StatefulSet shop/db"],
    ]


def test_an_eviction_names_the_very_pod_so_that_one_in_its_place_is_left_alone(shop: Mesh) -> None:
    shop.workload("StatefulSet", "shop", "db", updateStrategy={"type": "OnDelete"})
    pod = shop.cluster.get(Ref("v1", "Pod", "shop", "db-0"))
    assert pod is not None
    steps = planned(shop, only(shop)).steps
    assert [each.uid for each in steps if isinstance(each, Evict)] == [pod.uid]
    assert [each.uid for each in steps if isinstance(each, Await)] == [pod.uid, ""]


def test_owners_of_other_kinds_are_awaited_by_what_makes_their_pods(shop: Mesh) -> None:
    rollout = shop.put("argoproj.io/v1alpha1", "Rollout", "shop", "roll")
    made = shop.put("apps/v1", "ReplicaSet", "shop", "roll-1", owner=rollout, spec={"replicas": 1})
    shop.cluster.edit(made, {"status": {"readyReplicas": 1}})
    shop.pod("shop", "roll-1-a", owner=made)
    kafka = shop.put("core.strimzi.io/v1beta2", "StrimziPodSet", "shop", "kafka")
    for name in ("kafka-0", "kafka-1"):
        shop.pod("shop", name, owner=kafka)
    last = planned(shop, only(shop)).phases[-1].steps
    assert {(str(each.ref), each.pods) for each in last if isinstance(each, Await)} == {
        ("ReplicaSet shop/roll-1", 1),
        ("StrimziPodSet shop/kafka", 2),
    }


def test_what_is_not_ready_is_awaited_before_anything_moves(shop: Mesh) -> None:
    ref = shop.workload("Deployment", "shop", "web", pods=2)
    batch = only(shop)
    shop.cluster._settles = False
    shop.cluster.edit(ref, {"status": {"availableReplicas": 1}})
    assert told(planned(shop, batch))[:2] == [["Await Deployment shop/web"], ["Relabel Namespace shop"]]


def test_a_second_run_moves_only_what_is_left_behind(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "api")
    shop.workload("Deployment", "shop", "web")
    batch = only(shop)
    relabel(shop, planned(shop, batch))
    shop.cluster.delete(Ref("v1", "Pod", "shop", "web-0"))
    assert told(planned(shop, batch)) == [
        ["Restart Deployment shop/api"],
        ["Await Deployment shop/api", "Await Deployment shop/web"],
    ]


def test_what_was_deleted_meanwhile_is_no_reason_to_wait(shop: Mesh) -> None:
    web = shop.workload("Deployment", "shop", "web")
    batch = only(shop)
    shop.cluster.delete(web)
    shop.cluster.delete(Ref("v1", "Namespace", "", "shop"))
    (step,) = planned(shop, batch).steps
    assert isinstance(step, Await)
    assert step.or_gone


def test_every_batch_leads_the_namespaces_it_needs_unless_they_are_led_already(shop: Mesh) -> None:
    for name in ("api", "web"):
        shop.workload("Deployment", "shop", name)
    first, second = batches(shop.riders(), "1")
    assert "Relabel Namespace shop" in told(planned(shop, second))[0]
    relabel(shop, planned(shop, first))
    assert told(planned(shop, second))[0] == ["Restart Deployment shop/web"]


def test_what_istiod_makes_for_a_gateway_is_only_awaited_where_its_namespace_leads_it(shop: Mesh) -> None:
    shop.gateway("shop", "led")
    steps = planned(shop, only(shop)).steps
    assert [type(each) for each in steps] == [Relabel, Await]
    assert isinstance(steps[1], Await)
    assert (steps[1].ref.name, steps[1].revision) == ("led-istio", "new")


@pytest.mark.parametrize("labels", [{}, {"istio__io_rev": "old"}])
def test_a_gateway_that_no_namespace_leads_is_labelled_itself_and_back(
    shop: Mesh, labels: dict[str, str]
) -> None:
    shop.namespace("edge", {})
    shop.gateway("edge", "free", **labels)
    (batch,) = batches(shop.riders())
    before = touched(batch, shop.riders())
    value = labels.get("istio__io_rev")
    assert before == (("edge/free", (("istio.io/rev", value),)),)
    plan = planned(shop, batch)
    assert told(plan) == [["Relabel Gateway edge/free"], ["Await Deployment edge/free-istio"]]
    relabel(shop, plan)
    notes = {"istio.io/rev": "new"}
    shop.cluster.edit(Ref("v1", "Pod", "edge", "free-istio-1-a"), {"metadata": {"annotations": notes}})
    undone = returned(shop, batch, before, to="old")
    assert told(undone) == told(plan)
    assert isinstance(undone.steps[0], Relabel)
    assert undone.steps[0].labels == (("istio.io/rev", value),)
    assert isinstance(undone.steps[1], Await)
    assert undone.steps[1].revision == "old"


def test_what_is_recorded_before_a_batch_is_what_its_namespaces_say(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "web")
    assert touched(only(shop), shop.riders()) == (
        ("shop", (("istio-injection", "enabled"), ("istio.io/rev", None))),
    )


def moved(shop: Mesh) -> tuple[Batch, tuple[tuple[str, Labels], ...]]:
    """A batch with one workload on the new revision, one still on the old, and a stray."""
    shop.workload("Deployment", "shop", "api")
    shop.workload("Deployment", "shop", "web", "new")
    api, web = (Ref("apps/v1", "Deployment", "shop", name) for name in ("api", "web"))
    batch = only(shop)
    batch = replace(batch, workloads=(*batch.workloads, replace(batch.workloads[0], ref=web)))
    before = touched(batch, shop.riders())
    relabel(shop, planned(shop, batch))
    shop.workload("Deployment", "shop", "stray", "new")
    assert [each.ref for each in batch.workloads] == [api, web]
    return batch, before


def test_the_way_back_restarts_what_has_moved_and_what_strayed(shop: Mesh) -> None:
    batch, before = moved(shop)
    plan = returned(shop, batch, before)
    assert told(plan) == [
        ["Relabel Namespace shop"],
        ["Restart Deployment shop/stray", "Restart Deployment shop/web"],
        ["Await Deployment shop/stray", "Await Deployment shop/web"],
    ]
    relabel(shop, plan)
    home = shop.cluster.get(Ref("v1", "Namespace", "", "shop"))
    assert home is not None
    assert home.labels.get("istio-injection") == "enabled"
    assert "istio.io/rev" not in home.labels


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_what_could_not_make_a_single_pod_is_restarted_too_so_that_it_tries_at_once(
    shop: Mesh, kind: str
) -> None:
    ref = shop.workload(kind, "shop", "web", pods=2)
    batch = only(shop)
    before = touched(batch, shop.riders())
    shop.cluster._settles = False
    shop.cluster.edit(ref, {"status": {"updatedReplicas": 0}})
    assert returned(shop, batch, before).is_empty
    relabel(shop, planned(shop, batch))
    assert told(returned(shop, batch, before)) == [
        ["Relabel Namespace shop"],
        [f"Restart {kind} shop/web"],
        [f"Await {kind} shop/web"],
    ]


def test_workloads_of_earlier_batches_stay_where_they_are(shop: Mesh) -> None:
    batch, before = moved(shop)
    stray = Ref("apps/v1", "Deployment", "shop", "stray")
    steps = returned(shop, batch, before, keep=[stray]).steps
    assert [each.ref.name for each in steps if isinstance(each, Restart)] == ["web"]


def test_on_the_way_back_pods_that_are_not_ready_are_taken_away_where_they_would_block_it(
    shop: Mesh,
) -> None:
    shop.workload("StatefulSet", "shop", "db", "new")
    shop.workload("StatefulSet", "shop", "manual", "new", updateStrategy={"type": "OnDelete"})
    for name in ("db-0", "manual-0"):
        shop.cluster.edit(Ref("v1", "Pod", "shop", name), {"status": {"conditions": []}})
    batch = Batch("b", ("shop",), ())
    steps = returned(shop, batch, ()).steps
    assert {each.ref.name for each in steps if isinstance(each, Delete)} == {"db-0", "manual-0"}
    assert not any(isinstance(each, Evict) for each in steps)


def test_labels_are_put_back_without_making_pods_anew(shop: Mesh) -> None:
    shop.namespace("edge", {})
    shop.gateway("edge", "free")
    shop.workload("Deployment", "shop", "web")
    before: tuple[tuple[str, Labels], ...] = ()
    for batch in batches(shop.riders()):
        before = (*before, *touched(batch, shop.riders()))
        relabel(shop, planned(shop, batch))
    plan = restored("c1", "labels", shop.riders(), before)
    assert told(plan) == [["Relabel Namespace shop", "Relabel Gateway edge/free"]]
    relabel(shop, plan)
    assert restored("c1", "labels", shop.riders(), before).is_empty


def test_gateways_that_two_istiods_would_contend_for_keep_their_labels_until_one_is_gone(
    shop: Mesh,
) -> None:
    shop.namespace("edge", {})
    shop.namespace("plain")
    shop.gateway("edge", "free")
    shop.gateway("edge", "tagged", **{"istio__io_rev": "prod"})
    shop.gateway("shop", "led")
    shop.workload("Deployment", "plain", "web")
    before: tuple[tuple[str, Labels], ...] = ()
    for batch in batches(shop.riders()):
        before = (*before, *touched(batch, shop.riders()))
        relabel(shop, planned(shop, batch))
    first = restored("c1", "labels", shop.riders(), before, contested=True)
    assert told(first) == [["Relabel Namespace plain", "Relabel Gateway edge/tagged"]]
    relabel(shop, first)
    last = restored("c1", "labels", shop.riders(), before)
    assert told(last) == [["Relabel Namespace shop", "Relabel Gateway edge/free"]]


def test_uninjecting_takes_labels_away_and_restarts_all_but_gateways(shop: Mesh) -> None:
    shop.namespace("bank", {**OLD, "istio.io/dataplane-mode": "ambient"})
    shop.namespace("off", {"istio-injection": "disabled"})
    shop.namespace("quiet", {})
    for namespace in ("shop", "bank", "off"):
        shop.workload("Deployment", namespace, "web")
    shop.workload("Deployment", "shop", "ingress", role="router")
    shop.workload("Deployment", "quiet", "asks", labels={"sidecar.istio.io/inject": "true"})
    plan = uninjected("c1", shop.riders(), moment=MOMENT, seconds=60)
    assert told(plan)[:2] == [
        ["Relabel Namespace bank", "Relabel Namespace shop"],
        ["Restart Deployment bank/web", "Restart Deployment shop/web", "Restart Deployment off/web"],
    ]
    assert dict(plan.steps[0].labels) == {"istio.io/rev": None}  # type: ignore[union-attr]
    assert [each.split(":")[0] for each in plan.warnings] == [
        "Deployment quiet/asks",
        "Deployment shop/ingress is a gateway, and nothing without its proxy; remove it",
    ]


def test_uninjecting_all_ends_ambient_mode_too() -> None:
    mesh = Mesh(injector("old"))
    mesh.namespace("bank", {**OLD, "istio.io/dataplane-mode": "ambient"})
    mesh.namespace("ambient", {"istio.io/dataplane-mode": "ambient"})
    mesh.namespace("none", {"istio.io/dataplane-mode": "none"})
    plan = uninjected("c1", mesh.riders(None), moment=MOMENT, seconds=60)
    assert {each.ref.name: dict(each.labels) for each in plan.steps if isinstance(each, Relabel)} == {
        "ambient": {"istio.io/dataplane-mode": None},
        "bank": {"istio.io/rev": None, "istio.io/dataplane-mode": None},
    }


def test_what_waits_for_a_pod_to_go_knows_it_by_its_uid(shop: Mesh) -> None:
    shop.workload("Deployment", "shop", "web", paused=True)
    steps = planned(shop, only(shop)).steps
    (gone,) = [each for each in steps if isinstance(each, Await) and each.condition is Condition.GONE]
    assert gone.uid
