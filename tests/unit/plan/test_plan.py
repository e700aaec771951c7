"""Plans: what is sent, in which order, and when there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshctl.errors import ConfigError, ConflictError
from meshctl.model.manifest import Manifest
from meshctl.model.plan import Apply, Delete, Record
from meshctl.model.release import Status
from meshctl.stages.planning.plan import plan
from tests.building import held, obj, part, ref, release, seen, words

NS = "istio-system"
BASE = part("base", obj("Namespace", NS), obj("CustomResourceDefinition", "gateways.networking.istio.io"))
ISTIOD = part(
    "istiod",
    obj("MutatingWebhookConfiguration", "istio-sidecar-injector"),
    obj("HorizontalPodAutoscaler", "istiod", NS),
    obj("Deployment", "istiod", NS, spec={"replicas": 1}),
    obj("ClusterRoleBinding", "istiod"),
    obj("ClusterRole", "istiod"),
    obj("ConfigMap", "istio", NS, data={"mesh": "a: b"}),
    needs=("base",),
)
INGRESS = part("gateway", obj("Deployment", "ingress", NS), needs=("istiod",), name="gateway/ingress")
EGRESS = part("gateway", obj("Deployment", "egress", NS), needs=("istiod",), name="gateway/egress")
MESH = Manifest((INGRESS, ISTIOD, EGRESS, BASE))
DRAFT = release(status=Status.PENDING, generation=0)


def as_kept(manifest: Manifest) -> list:
    return [held(each) for each in manifest.objects]


def test_a_first_install_goes_by_need_then_by_kind_and_waits_between() -> None:
    assert words(plan(MESH, seen(), DRAFT)) == [
        "Record what is intended",
        "  record 1 pending",
        "Apply namespaces of base",
        f"  apply Namespace {NS}",
        "Apply definitions of base",
        "  apply CustomResourceDefinition gateways.networking.istio.io",
        "Wait for definitions",
        "  await CustomResourceDefinition gateways.networking.istio.io established",
        "Apply accounts, configuration and roles of istiod",
        "  apply ClusterRole istiod",
        f"  apply ConfigMap {NS}/istio",
        "Apply role bindings of istiod",
        "  apply ClusterRoleBinding istiod",
        "Apply workloads of istiod",
        f"  apply Deployment {NS}/istiod",
        "Apply scaling and disruption budgets of istiod",
        f"  apply HorizontalPodAutoscaler {NS}/istiod",
        "Apply webhooks and admission policies of istiod",
        "  apply MutatingWebhookConfiguration istio-sidecar-injector",
        "Wait for istiod",
        f"  await Deployment {NS}/istiod ready",
        "Apply workloads of gateway/egress, gateway/ingress",
        f"  apply Deployment {NS}/egress",
        f"  apply Deployment {NS}/ingress",
        "Wait for gateway/egress, gateway/ingress",
        f"  await Deployment {NS}/egress ready",
        f"  await Deployment {NS}/ingress ready",
        "Ask the webhooks",
        "  probe MutatingWebhookConfiguration istio-sidecar-injector",
        "Record what was done",
        "  record 1 deployed",
    ]


def test_the_order_of_parts_and_objects_in_the_manifest_does_not_matter() -> None:
    shuffled = Manifest(tuple(replace(each, objects=each.objects[::-1]) for each in MESH.parts[::-1]))
    assert words(plan(shuffled, seen(), DRAFT)) == words(plan(MESH, seen(), DRAFT))


def test_a_second_install_has_nothing_to_do() -> None:
    again = plan(MESH, seen(*as_kept(MESH), releases=(release(MESH),)), DRAFT)
    assert again.is_empty


def test_only_what_differs_is_sent_and_every_rank_is_awaited_again() -> None:
    config = obj("ConfigMap", "istio", NS, data={"mesh": "a: c"})
    objects = tuple(config if each.ref == config.ref else each for each in ISTIOD.objects)
    desired = Manifest((BASE, replace(ISTIOD, objects=objects), INGRESS, EGRESS))
    found = plan(desired, seen(*as_kept(MESH), releases=(release(MESH),)), DRAFT)
    sent = [step for step in found.steps if isinstance(step, Apply)]
    assert [(step.ref, [change.path for change in step.changes]) for step in sent] == [
        (config.ref, ["data.mesh"])
    ]
    assert f"  await Deployment {NS}/istiod ready" in words(found)
    assert f"  await Deployment {NS}/ingress ready" in words(found)
    assert "  record 2 deployed" in words(found)


def test_a_killed_install_is_carried_on_under_its_own_generation() -> None:
    pending = release(MESH, status=Status.PENDING, created="2026-01-01T00:00:00+00:00")
    later = replace(DRAFT, created="2026-02-02T00:00:00+00:00")
    rest = plan(MESH, seen(*as_kept(Manifest((BASE,))), releases=(pending,)), later)
    records = [step.release for step in rest.steps if isinstance(step, Record)]
    assert [(each.generation, each.created) for each in records] == [(1, pending.created)] * 2
    assert f"  apply Namespace {NS}" not in words(rest)
    assert f"  apply Deployment {NS}/istiod" in words(rest)


def test_a_run_killed_after_its_last_apply_is_awaited_and_recorded() -> None:
    pending = release(MESH, status=Status.PENDING)
    rest = plan(MESH, seen(*as_kept(MESH), releases=(pending,)), DRAFT)
    assert not [step for step in rest.steps if isinstance(step, Apply | Delete)]
    assert words(rest)[-1] == "  record 1 deployed"
    assert f"  await Deployment {NS}/istiod ready" in words(rest)


def test_after_a_failed_upgrade_going_back_makes_a_generation_of_its_own() -> None:
    first, second = release(Manifest((BASE,))), release(MESH, 2, status=Status.FAILED)
    back = plan(Manifest((BASE,)), seen(*as_kept(MESH), releases=(first, second)), DRAFT)
    assert words(back)[1] == "  record 3 pending"
    assert {step.ref for step in back.steps if isinstance(step, Delete)} == {
        each.ref for each in (*ISTIOD.objects, *INGRESS.objects, *EGRESS.objects)
    }


def test_what_is_no_longer_desired_goes_in_reverse_and_is_awaited() -> None:
    less = Manifest((BASE, EGRESS))
    found = words(plan(less, seen(*as_kept(MESH), releases=(release(MESH),)), DRAFT))
    assert found[found.index("Remove workloads") :] == [
        "Remove workloads",
        f"  delete Deployment {NS}/ingress",
        "Wait until they are gone",
        f"  await Deployment {NS}/ingress gone",
        "Remove webhooks and admission policies",
        "  delete MutatingWebhookConfiguration istio-sidecar-injector",
        "Remove scaling and disruption budgets",
        f"  delete HorizontalPodAutoscaler {NS}/istiod",
        "Remove workloads",
        f"  delete Deployment {NS}/istiod",
        "Remove role bindings",
        "  delete ClusterRoleBinding istiod",
        "Remove accounts, configuration and roles",
        "  delete ClusterRole istiod",
        f"  delete ConfigMap {NS}/istio",
        "Wait until they are gone",
        "  await MutatingWebhookConfiguration istio-sidecar-injector gone",
        "  await Deployment istio-system/istiod gone",
        "  await HorizontalPodAutoscaler istio-system/istiod gone",
        "  await ClusterRole istiod gone",
        "  await ClusterRoleBinding istiod gone",
        "  await ConfigMap istio-system/istio gone",
        "Record what was done",
        "  record 2 deployed",
    ]


def test_definitions_and_namespaces_are_never_pruned() -> None:
    found = plan(Manifest(), seen(*as_kept(Manifest((BASE,))), releases=(release(Manifest((BASE,))),)), DRAFT)
    assert found.is_empty
    assert [warning.split(" stays: ")[0] for warning in found.warnings] == [
        "CustomResourceDefinition gateways.networking.istio.io",
        f"Namespace {NS}",
    ]


def test_what_stood_there_before_the_first_install_is_not_pruned_unless_adopted() -> None:
    config = part("istiod", obj("ConfigMap", "istio", NS, data={"mesh": "a: b"}))
    old = Manifest((config,))
    inventory = (ref("ConfigMap", "istio", NS),)
    world = seen(*as_kept(old), releases=(release(old, inventory=inventory),))
    assert plan(Manifest(), world, DRAFT).is_empty

    adopted = plan(old, seen(*as_kept(old)), replace(DRAFT, inventory=inventory), adopt=True)
    (last,) = (step.release for step in adopted.phases[-1].steps if isinstance(step, Record))
    assert last.inventory == ()
    pruned = plan(Manifest(), seen(*as_kept(old), releases=(last,)), DRAFT)
    assert [step.ref for step in pruned.steps if isinstance(step, Delete)] == [config.objects[0].ref]


def test_an_object_that_somebody_else_made_anew_is_not_pruned() -> None:
    old = Manifest((part("istiod", obj("ConfigMap", "istio", NS)),))
    anew = held(obj("ConfigMap", "istio", NS, data={"a": "b"}), manager="kubectl", operation="Update")
    found = plan(Manifest(), seen(anew, releases=(release(old),)), DRAFT)
    assert found.is_empty
    assert found.warnings == (f"ConfigMap {NS}/istio stays: somebody else has replaced it since",)


def test_an_object_served_at_a_newer_version_is_not_pruned() -> None:
    old = obj("HorizontalPodAutoscaler", "istiod", NS)
    older = type(old)({**old.content, "apiVersion": "autoscaling/v2beta2"})
    before, after = Manifest((part("istiod", older),)), Manifest((part("istiod", old),))
    found = plan(after, seen(held(old), held(older), releases=(release(before),)), DRAFT)
    assert not [step for step in found.steps if isinstance(step, Delete)]


def test_pruning_one_revision_leaves_what_another_has() -> None:
    shared, own = obj("ClusterRole", "shared"), obj("ConfigMap", "istio-b", NS)
    first = release(Manifest((part("istiod", shared),)), 1)
    second = release(Manifest((part("istiod", shared, own),)), 2, revision="b")
    world = seen(held(shared), held(own), releases=(first, second))
    found = plan(Manifest(), world, replace(DRAFT, revision="b"))
    assert [step.ref for step in found.steps if isinstance(step, Delete)] == [own.ref]


def test_what_is_being_removed_is_awaited_before_it_is_sent_again() -> None:
    leaving = held(obj("Namespace", NS, deletionTimestamp="2026-01-01T00:00:00Z"))
    found = words(plan(Manifest((BASE,)), seen(leaving), DRAFT))
    assert found[2:5] == [
        "Wait until what is being removed is gone",
        f"  await Namespace {NS} gone",
        "Apply namespaces of base",
    ]


def test_fields_of_others_are_refused_with_their_owners_until_taken_over() -> None:
    wanted = Manifest((part("istiod", obj("ConfigMap", "istio", NS, data={"mesh": "ours"})),))
    theirs = held(obj("ConfigMap", "istio", NS, data={"mesh": "theirs"}), manager="helm")
    with pytest.raises(ConflictError, match="1 fields of 1 objects belong to helm") as caught:
        plan(wanted, seen(theirs), DRAFT)
    assert caught.value.details == (
        f"ConfigMap {NS}/istio: data.mesh is 'theirs', wanted 'ours'; owned by helm",
    )
    (step,) = (
        each for each in plan(wanted, seen(theirs), DRAFT, take_over=True).steps if isinstance(each, Apply)
    )
    assert step.take_over


def test_parts_that_need_each_other_are_refused() -> None:
    circle = Manifest((part("a", needs=("b",)), part("b", needs=("a",))))
    with pytest.raises(ConfigError, match="need each other in a circle: a, b"):
        plan(circle, seen(), DRAFT)


def test_nothing_desired_in_an_empty_cluster_is_nothing_to_do() -> None:
    assert plan(Manifest(), seen(), DRAFT).is_empty
