"""A plan is done phase by phase, tells what happens, and stops where going on would do harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from meshctl.errors import ConflictError, FailedError, MeshctlError, StoppedError, UnreachableError
from meshctl.model.event import Changed, Done, Event, Failed, Skipped, Started, Unchanged, Waiting
from meshctl.model.manifest import Manifest
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Await, Condition, Delete, Phase, Plan, Record, Relabel, Save, Step
from meshctl.model.release import Release, Status
from meshctl.stages.applying.apply import apply
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases

RELEASE = Release(
    "m", "c1", 1, Status.PENDING, "1.31.1", "", "default", "mesh", "2026-01-01T12:00:00Z", Manifest(), {}
)


def obj(kind: str, name: str, api_version: str = "v1", namespace: str = "default", **rest: Any) -> Object:
    meta: dict[str, Any] = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **rest.pop("meta", {}),
    }
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **rest})


def config(name: str) -> Object:
    return obj("ConfigMap", name, data={"k": "v"})


def deployment(name: str = "web") -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return obj("Deployment", name, "apps/v1", spec=spec)


class Ground:
    """A cluster, records and files, and the events of plans done on them."""

    def __init__(self, *, tick: float = 0.0, settles: bool = True) -> None:
        self.clock = FakeClock(tick=tick)
        self.cluster = FakeCluster(clock=FakeClock(), settles=settles)
        self.releases = FakeReleases()
        self.files = FakeFiles()
        self.events: list[Event] = []

    def start(self, *phases: tuple[Step, ...]) -> Iterator[Event]:
        plan = Plan("c1", tuple(Phase(str(number), steps) for number, steps in enumerate(phases)))
        return apply(self.cluster, self.releases, self.files, self.clock, plan)

    def do(self, *phases: tuple[Step, ...]) -> list[Event]:
        for event in self.start(*phases):
            self.events.append(event)
        return self.events

    def refused(self, *phases: tuple[Step, ...]) -> MeshctlError:
        with pytest.raises(MeshctlError) as caught:
            self.do(*phases)
        return caught.value

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_an_empty_plan_sends_nothing_and_takes_no_lock(ground: Ground) -> None:
    assert ground.do() == []
    assert ground.cluster.writes == []
    assert ground.releases.locks == 0


def test_phases_are_taken_in_order_under_the_lock(ground: Ground) -> None:
    done = replace(RELEASE, status=Status.DEPLOYED)
    ground.do((Record(RELEASE),), (Apply("a", config("one")), Apply("a", config("two"))), (Record(done),))
    assert [each.status for each in ground.releases.writes] == [Status.PENDING, Status.DEPLOYED]
    assert sorted(ground.cluster.writes) == ["apply ConfigMap default/one", "apply ConfigMap default/two"]
    assert (ground.releases.locks, ground.releases.locked) == (1, set())


def test_every_step_is_told_with_what_came_of_it(ground: Ground) -> None:
    live = ground.cluster.apply(config("same"))
    ground.do(
        (
            Apply("a", config("new")),
            Apply("a", config("same"), live),
            Delete("b", Ref("v1", "ConfigMap", "default", "absent")),
        )
    )
    told = {each.subject: type(each) for each in ground.events if not isinstance(each, Started | Done)}
    assert told == {
        "ConfigMap default/new": Changed,
        "ConfigMap default/same": Unchanged,
        "ConfigMap default/absent": Unchanged,
    }


def test_a_group_is_done_after_its_last_phase(ground: Ground) -> None:
    ground.do((Apply("a", config("one")), Apply("b", config("two"))), (Apply("b", config("three")),))
    assert [each.group for each in ground.of(Done)] == ["a", "b"]
    assert ground.events.index(ground.of(Done)[0]) < ground.events.index(
        Started("b", "ConfigMap default/three")
    )


def test_a_failed_step_keeps_later_phases_from_beginning(ground: Ground) -> None:
    refusal = FailedError("object-invalid", "no")
    ground.cluster.fail("apply", "ConfigMap default/one", refusal)
    error = ground.refused((Record(RELEASE),), (Apply("a", config("one")),), (Apply("a", config("two")),))
    assert error is refusal
    assert ground.of(Failed) == [Failed("a", "ConfigMap default/one", refusal)]
    assert ground.cluster.get(config("two").ref) is None
    assert ground.releases.locked == set()


def test_a_conflict_comes_out_as_it_is(ground: Ground) -> None:
    ground.cluster.seed({**config("one").content, "data": {"k": "theirs"}}, "helm")
    error = ground.refused((Apply("a", config("one")),))
    assert isinstance(error, ConflictError)
    assert error.details == ("helm: .data.k",)
    ground.do((Apply("a", config("one"), take_over=True),))
    found = ground.cluster.get(config("one").ref)
    assert found is not None
    assert found.at("data.k") == "v"


def test_what_a_controller_has_taken_since_the_plan_was_made_is_left_to_it(ground: Ground) -> None:
    def step(name: str) -> Apply:
        return Apply("a", config(name), yields=(("ConfigMap", "data.k"),))

    ground.cluster.seed({**config("one").content, "data": {"k": "theirs"}}, "istiod")
    ground.do((step("one"),))
    found = ground.cluster.get(config("one").ref)
    assert found is not None
    assert found.at("data.k") == "theirs"
    ground.cluster.seed({**config("two").content, "data": {"k": "mine"}}, "kubectl-edit")
    assert isinstance(ground.refused((step("two"),)), ConflictError)  # nothing is left to a person


def test_a_lost_connection_says_that_the_same_command_continues(ground: Ground) -> None:
    ground.cluster.fail(
        "apply", "ConfigMap default/one", UnreachableError("cluster-unreachable", "no answer")
    )
    error = ground.refused((Apply("a", config("one")),))
    assert isinstance(error, StoppedError)
    assert error.exit_code == 4
    assert "run the same command again" in error.hint


def test_several_failures_are_told_together(ground: Ground) -> None:
    steps = []
    for name in ("one", "two"):
        ground.cluster.fail(
            "delete", f"ConfigMap default/{name}", FailedError("request-refused", f"not {name}")
        )
        steps.append(Delete("a", config(name).ref))
    error = ground.refused(tuple(steps))
    assert 1 <= len(ground.of(Failed)) <= 2
    assert error.code == "request-refused"


def test_a_webhook_that_is_not_serving_yet_is_asked_again(ground: Ground) -> None:
    away = FailedError("webhook-unavailable", "a webhook does not answer", details=("no endpoints",))
    ground.cluster.fail("apply", "ConfigMap default/one", away, times=3)
    ground.do((Apply("a", config("one")),))
    assert ground.of(Waiting)[0].cause == "a webhook does not answer no endpoints"
    assert isinstance(ground.events[-2], Changed)


def test_a_webhook_that_never_serves_is_given_up(ground: Ground) -> None:
    away = FailedError("webhook-unavailable", "a webhook does not answer")
    ground.cluster.fail("apply", "ConfigMap default/one", away, times=1000)
    assert ground.refused((Apply("a", config("one")),)) is away
    assert 60 <= sum(ground.clock.slept) <= 65


def test_a_plan_made_before_somebody_elses_was_done_is_refused(ground: Ground) -> None:
    ground.releases = FakeReleases(replace(RELEASE, status=Status.DEPLOYED))
    error = ground.refused((Record(RELEASE),), (Apply("a", config("one")),))
    assert error.code == "plan-outdated"
    assert ground.cluster.writes == []


def test_a_pending_plan_of_ours_is_continued(ground: Ground) -> None:
    ground.releases = FakeReleases(RELEASE)
    ground.do((Record(RELEASE),), (Record(replace(RELEASE, status=Status.DEPLOYED)),))
    assert ground.releases.of("m")[0].status is Status.DEPLOYED


def test_a_mesh_that_somebody_works_on_is_left_alone(ground: Ground) -> None:
    with ground.releases.lock("m"):
        assert ground.refused((Record(RELEASE),), (Apply("a", config("one")),)).code == "mesh-locked"
    assert ground.cluster.writes == []


def test_who_loses_the_lock_begins_no_further_phase(ground: Ground) -> None:
    apply = ground.cluster.apply

    def applied(*args: Any, **how: Any) -> Any:
        ground.releases.lost = True
        return apply(*args, **how)

    ground.cluster.apply = applied  # type: ignore[method-assign]
    error = ground.refused((Record(RELEASE),), (Apply("a", config("one")),), (Apply("a", config("two")),))
    assert error.code == "lock-lost"
    assert ground.cluster.writes == ["apply ConfigMap default/one"]
    assert ground.releases.of("m")[0].status is Status.PENDING


def test_labels_are_put_back(ground: Ground) -> None:
    namespace = obj(
        "Namespace", "app", namespace="", meta={"labels": {"istio-injection": "enabled", "mine": "x"}}
    )
    ground.cluster.seed(namespace.content)
    ground.do((Relabel("a", namespace.ref, (("istio-injection", None), ("mine", "y"))),))
    found = ground.cluster.get(namespace.ref)
    assert found is not None
    assert {**found.labels} == {"kubernetes.io/metadata.name": "app", "mine": "y"}


def test_objects_are_saved_so_that_they_can_be_applied_again(ground: Ground) -> None:
    ground.cluster.seed(config("one").content)
    ground.do((Save("a", (config("one").ref, config("absent").ref), "saved.yaml"),))
    assert ground.files.texts["saved.yaml"] == (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: default\ndata:\n  k: v\n"
    )


def test_saving_what_is_gone_writes_no_file(ground: Ground) -> None:
    ground.do((Save("a", (config("absent").ref,), "saved.yaml"),))
    assert ground.files.texts == {}
    assert [each.subject for each in ground.of(Skipped)] == ["saved.yaml"]


def test_what_is_ready_already_is_not_waited_for(ground: Ground) -> None:
    ground.do((Apply("a", deployment()),), (Await("a", deployment().ref, Condition.READY, 60),))
    assert ground.of(Waiting) == []
    assert ground.of(Unchanged) == [Unchanged("a", "Deployment default/web")]


def waited(ground: Ground, condition: Condition, ref: Ref) -> Iterator[Event]:
    """The events of a wait, up to its first cause."""
    events = ground.start((Await("a", ref, condition, 600),))
    for event in events:
        if isinstance(event, Waiting):
            ground.events.append(event)
            return events
    pytest.fail("there was nothing to wait for")


def test_readiness_is_seen_when_it_comes() -> None:
    ground = Ground(settles=False)
    ground.cluster.apply(deployment())
    events = waited(ground, Condition.READY, deployment().ref)
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    ground.cluster.edit(deployment().ref, {"status": status})
    assert Changed("a", "Deployment default/web", "ready") in list(events)


def test_an_object_that_is_not_there_yet_is_waited_for() -> None:
    ground = Ground()
    events = waited(ground, Condition.READY, deployment().ref)
    assert ground.of(Waiting)[0].cause == "not there yet"
    ground.cluster.apply(deployment())
    assert Changed("a", "Deployment default/web", "ready") in list(events)


def test_a_removed_object_is_waited_for_and_what_holds_it_is_named(ground: Ground) -> None:
    held = obj("ConfigMap", "one", meta={"finalizers": ["example.dev/hold"]})
    ground.cluster.seed(held.content)
    ground.do((Delete("a", held.ref),))
    events = waited(ground, Condition.GONE, held.ref)
    assert ground.of(Waiting)[0].cause == "held by finalizer example.dev/hold"
    ground.cluster.edit(held.ref, {"metadata": {"finalizers": None}})
    assert Changed("a", "ConfigMap default/one", "gone") in list(events)


def test_what_does_not_come_within_its_budget_fails_with_the_last_cause() -> None:
    ground = Ground(tick=5.0, settles=False)
    ground.cluster.apply(deployment())
    error = ground.refused((Await("a", deployment().ref, Condition.READY, 30),))
    assert error.code == "not-ready-in-time"
    assert error.message == "Deployment default/web is not ready after 30 s: not seen by its controller yet"


def failing(ground: Ground, waiting: dict[str, Any], restarts: int = 0) -> None:
    """Let the deployment have a pod whose container waits for a reason."""
    ground.cluster.apply(deployment())
    status = {"name": "c", "image": "i", "state": {"waiting": waiting}, "restartCount": restarts}
    content = obj("Pod", "web-1", meta={"labels": {"app": "web"}}).content
    ground.cluster.seed({**content, "status": {"phase": "Pending", "containerStatuses": [status]}})


def test_what_cannot_heal_ends_the_wait_early_with_the_last_log_lines() -> None:
    ground = Ground(settles=False)
    failing(ground, {"reason": "CrashLoopBackOff"}, restarts=3)
    ground.cluster.log_lines["default", "web-1", "c"] = "first\npanic: no config"
    error = ground.refused((Await("a", deployment().ref, Condition.READY, 600),))
    assert error.code == "crash-loop"
    assert error.details == ("first", "panic: no config")
    assert "will not become ready: container 'c' of pod 'web-1' crashed 3 times" in error.message


def test_what_may_heal_has_its_grace_first() -> None:
    ground = Ground(tick=5.0, settles=False)
    failing(ground, {"reason": "ImagePullBackOff", "message": "Back-off"})
    error = ground.refused((Await("a", deployment().ref, Condition.READY, 600),))
    assert error.code == "image-not-there"
    assert any("ImagePullBackOff" in each.cause for each in ground.of(Waiting))


def test_a_hopeless_wait_ends_its_neighbours_too() -> None:
    ground = Ground(settles=False)
    failing(ground, {"reason": "InvalidImageName"})
    ground.cluster.apply(deployment("slow"))
    waits = tuple(Await("a", deployment(name).ref, Condition.READY, 600) for name in ("web", "slow"))
    assert ground.refused(waits).code == "image-not-there"
    assert [each.subject for each in ground.of(Failed)] == ["Deployment default/web"]


def test_closing_stops_between_steps_and_gives_the_lock_back() -> None:
    ground = Ground(settles=False)
    ground.cluster.apply(deployment())
    wait = Await("a", deployment().ref, Condition.READY, 600)
    events = ground.start((Record(RELEASE),), (wait,), (Apply("a", config("one")),))
    next(event for event in events if isinstance(event, Waiting))
    events.close()  # type: ignore[attr-defined]
    assert ground.releases.locked == set()
    assert ground.cluster.get(config("one").ref) is None


def test_a_fault_of_ours_comes_out_as_it_is(ground: Ground) -> None:
    ground.cluster.fail("apply", "ConfigMap default/one", ZeroDivisionError())  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        ground.do((Apply("a", config("one")),))


def test_a_failed_run_is_recorded_as_failed(ground: Ground) -> None:
    ground.cluster.fail("apply", "ConfigMap default/one", FailedError("object-invalid", "no"))
    with pytest.raises(FailedError):
        ground.do(
            (Record(RELEASE),),
            (Apply("p", config("one")),),
            (Record(replace(RELEASE, status=Status.DEPLOYED)),),
        )
    assert [each.status for each in ground.releases.writes] == [Status.PENDING, Status.FAILED]


def test_a_run_that_was_cut_off_stays_pending(ground: Ground) -> None:
    ground.cluster.fail("apply", "ConfigMap default/one", UnreachableError("no-answer", "gone"))
    with pytest.raises(StoppedError):
        ground.do((Record(RELEASE),), (Apply("p", config("one")),))
    assert [each.status for each in ground.releases.writes] == [Status.PENDING]


def test_who_heeds_a_plan_ends_what_would_be_waited_for_in_vain() -> None:
    ground = Ground(tick=1.0, settles=False)
    ground.cluster.apply(deployment())
    ground.releases.write(RELEASE)
    looks = iter([None, None, FailedError("gate-failed", "they reject what they are sent")])

    def heed() -> None:
        if (error := next(looks)) is not None:
            raise error

    phases = (
        Phase("intent", (Record(RELEASE),)),
        Phase("wait", (Await("a", deployment().ref, Condition.READY, 600),)),
    )
    doors = (ground.cluster, ground.releases, ground.files, ground.clock)
    with pytest.raises(FailedError, match="they reject"):
        list(apply(*doors, Plan("c1", phases), heed=heed))
    assert ground.releases.writes[-1].status is Status.FAILED
