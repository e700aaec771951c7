"""Pods are made anew by restarts and evictions, and what takes their place is awaited."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.event import Changed, Event, Skipped, Unchanged, Waiting
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Await, Condition, Evict, Phase, Plan, Restart, Step
from meshctl.stages.applying.apply import apply
from meshctl.stages.applying.steps import RESTARTED
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases
from tests.unit.moving.mesh import READY, SERVED

POD = Ref("v1", "Pod", "default", "db-0")
WEB = Ref("apps/v1", "Deployment", "default", "web")
STORE = Ref("apps/v1", "StatefulSet", "default", "db")
OWNER = Ref("core.strimzi.io/v1beta2", "StrimziPodSet", "default", "kafka")


class Ground:
    """A cluster whose clock moves with every look at it."""

    def __init__(self, *, settles: bool = True) -> None:
        self.clock = FakeClock(tick=0.5)
        self.cluster = FakeCluster(kinds=SERVED, clock=FakeClock(), settles=settles)
        self.events: list[Event] = []

    def do(self, step: Step) -> list[Event]:
        plan = Plan("c1", (phase(step),))
        for event in apply(self.cluster, FakeReleases(), FakeFiles(), self.clock, plan):
            self.events.append(event)
        return self.events

    def refused(self, step: Step) -> MeshctlError:
        with pytest.raises(FailedError) as caught:
            self.do(step)
        return caught.value

    def has(self, kind: type[Event]) -> bool:
        return any(isinstance(each, kind) for each in self.events)

    def pod(self, name: str = "db-0", owner: Object | None = None, **status: Any) -> Object:
        meta: dict[str, Any] = {"name": name, "namespace": "default", "labels": {"app": "db"}}
        if owner is not None:
            meta["ownerReferences"] = [{"uid": owner.uid, "kind": owner.ref.kind, "controller": True}]
        return self.cluster.seed(
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status or READY}
        )

    def budget(self, least: int) -> None:
        spec = {"minAvailable": least, "selector": {"matchLabels": {"app": "db"}}}
        meta = {"name": "db", "namespace": "default"}
        self.cluster.seed(
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}
        )


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_a_restart_tells_its_moment_in_the_pod_template(ground: Ground) -> None:
    ground.cluster.seed({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(WEB), "spec": {}})
    ground.do(Restart("p", WEB, "noon"))
    web = ground.cluster.get(WEB)
    assert web is not None
    assert web.at("spec.template.metadata.annotations") == {RESTARTED: "noon"}
    generation = web.at("metadata.generation")
    ground.do(Restart("p", WEB, "noon"))
    again = ground.cluster.get(WEB)
    assert again is not None
    assert again.at("metadata.generation") == generation


def meta(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "namespace": ref.namespace}


def test_a_workload_that_is_gone_is_not_restarted(ground: Ground) -> None:
    ground.do(Restart("p", WEB, "noon"))
    assert ground.has(Skipped)


def test_a_pod_is_evicted_and_one_that_is_gone_is_not_missed(ground: Ground) -> None:
    ground.pod()
    ground.do(Evict("p", POD, 60))
    assert ground.has(Changed)
    assert ground.cluster.get(POD) is None
    ground.do(Evict("p", POD, 60))
    assert ground.has(Unchanged)


def test_the_pod_that_came_in_the_place_of_one_is_left_alone(ground: Ground) -> None:
    ground.pod()
    ground.do(Evict("p", POD, 60, uid="another"))
    assert ground.has(Unchanged)
    assert ground.cluster.get(POD) is not None


def test_a_budget_that_never_allows_it_ends_in_an_error_that_names_it(ground: Ground) -> None:
    ground.pod()
    ground.budget(1)
    error = ground.refused(Evict("p", POD, 20))
    assert error.code == "budget-exhausted"
    assert "within 20 s" in error.message
    assert "disruption budget db needs 1 healthy pods and has 1" in error.message
    told = [each.cause for each in ground.events if isinstance(each, Waiting)]
    assert "disruption budget db" in told[0]
    assert ground.cluster.get(POD) is not None


def test_a_budget_that_allows_it_in_time_is_waited_for(ground: Ground) -> None:
    ground.pod()
    refusal = FailedError("budget-exhausted", "no", details=["not now"])
    ground.cluster.fail("evict", str(POD), refusal, times=3)
    ground.do(Evict("p", POD, 60))
    assert [each.cause for each in ground.events if isinstance(each, Waiting)] == ["not now"] * 3
    assert ground.cluster.get(POD) is None


def test_an_eviction_that_is_refused_for_another_reason_is_not_tried_again(ground: Ground) -> None:
    ground.pod()
    ground.cluster.fail("evict", str(POD), FailedError("request-refused", "two budgets"))
    assert ground.refused(Evict("p", POD, 60)).message == "two budgets"


def phase(step: Step) -> Phase:
    return Phase("all", (step,))


def test_another_pod_of_the_name_does_not_hide_that_one_is_gone(ground: Ground) -> None:
    ground.pod()
    ground.do(Await("p", POD, Condition.GONE, 5, uid="the one before"))
    assert ground.has(Unchanged)


def test_what_is_gone_is_no_longer_waited_for_where_that_is_said(ground: Ground) -> None:
    ground.do(Await("p", WEB, Condition.READY, 5, or_gone=True))
    assert ground.refused(Await("p", WEB, Condition.READY, 5)).code == "not-ready-in-time"


def test_a_workload_whose_template_names_another_revision_is_not_there_yet(ground: Ground) -> None:
    template = {"metadata": {"annotations": {"istio.io/rev": "old"}}}
    ground.cluster.seed(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(WEB), "spec": {"template": template}}
    )
    ground.do(Await("p", WEB, Condition.READY, 5, revision="old"))
    error = ground.refused(Await("p", WEB, Condition.READY, 5, revision="new"))
    assert "still names revision old" in error.message


def test_an_owner_that_says_nothing_of_itself_is_ready_when_enough_of_its_pods_are(ground: Ground) -> None:
    kafka = ground.cluster.seed(
        {"apiVersion": OWNER.api_version, "kind": OWNER.kind, "metadata": meta(OWNER)}
    )
    ground.pod("kafka-0", kafka)
    ground.pod("kafka-1", kafka, phase="Running")
    ground.pod("stranger")
    ground.do(Await("p", OWNER, Condition.READY, 5, pods=1))
    error = ground.refused(Await("p", OWNER, Condition.READY, 5, pods=2))
    assert "1 of 2 pods are ready" in error.message


def test_pods_are_counted_where_a_workloads_own_count_is_a_moment_behind(ground: Ground) -> None:
    selector = {"matchLabels": {"app": "db"}}
    ground.cluster.seed(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": meta(STORE),
            "spec": {"replicas": 2, "selector": selector},
        }
    )
    ground.pod("db-0")
    error = ground.refused(Await("p", STORE, Condition.READY, 5, pods=1))
    assert "1 of 2 pods are ready" in error.message
    ground.pod("db-1")
    ground.do(Await("p", STORE, Condition.READY, 5, pods=1))
    ground.cluster.edit(STORE, {"spec": {"replicas": 0}})
    ground.cluster.delete(POD)
    ground.do(Await("p", STORE, Condition.READY, 5, pods=1))


def test_the_budget_of_a_wait_begins_anew_with_each_new_pod() -> None:
    ground = Ground(settles=False)
    status = {"observedGeneration": 1, "replicas": 9, "updatedReplicas": 0, "availableReplicas": 9}
    spec = {"replicas": 9}
    ground.cluster.seed(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(WEB), "spec": spec, "status": status}
    )
    plan = Plan("c1", (phase(Await("p", WEB, Condition.READY, 8)),))
    seen = 0
    for event in apply(ground.cluster, FakeReleases(), FakeFiles(), ground.clock, plan):
        if isinstance(event, Waiting) and seen < 9:
            seen += 1
            ground.cluster.edit(WEB, {"status": {"updatedReplicas": seen}})
            ground.clock.advance(5)
    assert seen == 9
