"""Pods of workloads that go are told how long they have; nobody else's are touched."""

from __future__ import annotations

from meshctl.model.objects import Object
from meshctl.model.plan import Await, Condition, Delete, Phase, Plan
from meshctl.stages.removing.draining import drained


def live(kind: str, name: str, uid: str, owner: str = "") -> Object:
    owners = {"ownerReferences": [{"uid": owner}]} if owner else {}
    version = "v1" if kind == "Pod" else "apps/v1"
    meta = {"name": name, "namespace": "istio-system", "uid": uid, **owners}
    return Object({"apiVersion": version, "kind": kind, "metadata": meta})


ISTIOD = live("Deployment", "istiod", "d1")
OTHER = live("Deployment", "other", "d2")
OWNED = (
    live("ReplicaSet", "istiod-1", "r1", "d1"),
    live("Pod", "istiod-1-a", "p1", "r1"),
    live("ReplicaSet", "other-1", "r2", "d2"),
    live("Pod", "other-1-a", "p2", "r2"),
    live("Pod", "bare", "p3"),
)


def a_plan(ref: Object) -> Plan:
    wait = Await("istiod", ref.ref, Condition.GONE, 300)
    return Plan("here", (Phase("Remove workloads", (Delete("istiod", ref.ref),)), Phase("Wait", (wait,))))


def test_sets_go_with_their_deployment_and_pods_get_their_time_before_the_wait() -> None:
    plan = drained(a_plan(ISTIOD), [ISTIOD], OWNED, 2)
    workloads, pods, wait = plan.phases
    assert [step.ref.name for step in workloads.steps if isinstance(step, Delete)] == ["istiod", "istiod-1"]
    assert [(step.ref.name, step.grace) for step in pods.steps if isinstance(step, Delete)] == [
        ("istiod-1-a", 2)
    ]
    assert pods.title == "Let their pods end within 2 s"
    assert wait == a_plan(ISTIOD).phases[1]


def test_without_pods_only_the_plan_is_left() -> None:
    assert drained(a_plan(OTHER), [OTHER], (), 2) == a_plan(OTHER)


def test_a_workload_that_was_not_seen_owns_nothing() -> None:
    assert drained(a_plan(ISTIOD), [], OWNED, 2) == a_plan(ISTIOD)
