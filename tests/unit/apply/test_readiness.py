"""When objects are ready, and what is made of workloads that are not."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.model.objects import Object
from meshctl.stages.applying.readiness import NEVER, current, held_by, troubles, unready

LABELS = {"app": "web"}


def obj(kind: str, api_version: str = "v1", uid: str = "u", **rest: Any) -> Object:
    meta = {"name": "web", "namespace": "n", "uid": uid, "generation": 2, **rest.pop("meta", {})}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **rest})


def deployment(**status: Any) -> Object:
    note = {"deployment.kubernetes.io/revision": "2"}
    spec = {"replicas": 2, "selector": {"matchLabels": LABELS}}
    full = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status}
    return obj("Deployment", "apps/v1", "d", meta={"annotations": note}, spec=spec, status=full)


def replica_set(revision: str) -> Object:
    meta = {
        "name": f"web-{revision}",
        "ownerReferences": [{"uid": "d"}],
        "annotations": {"deployment.kubernetes.io/revision": revision},
    }
    return obj("ReplicaSet", "apps/v1", f"rs{revision}", meta=meta)


def pod(owner: str = "rs2", name: str = "web-1", **status: Any) -> Object:
    meta = {"name": name, "labels": LABELS, "ownerReferences": [{"uid": owner}]}
    return obj("Pod", uid=f"uid-{name}", meta=meta, status=status)


def waiting(reason: str, message: str = "", restarts: int = 0) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    ended = {"terminated": {"exitCode": 3}}
    status = {"name": "c", "image": "no/such:1", "state": state, "restartCount": restarts, "lastState": ended}
    return {"phase": "Pending", "containerStatuses": [status]}


def event(about: str, reason: str, message: str, kind: str = "Warning") -> Object:
    return obj("Event", involvedObject={"uid": about}, reason=reason, message=message, type=kind)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, ""),
        ({"observedGeneration": 1}, "not seen by its controller yet"),
        ({"updatedReplicas": 1}, "1 of 2 replicas are new"),
        ({"replicas": 3}, "1 old replica still there"),
        ({"availableReplicas": 0}, "0 of 2 replicas are available"),
    ],
)
def test_a_deployment_is_ready_when_all_its_replicas_are_new_and_available(
    status: dict[str, int], why: str
) -> None:
    assert unready(deployment(**status)) == why


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"updatedNumberScheduled": 3, "numberAvailable": 3}, ""),
        ({"updatedNumberScheduled": 2, "numberAvailable": 3}, "2 of 3 nodes run the new pods"),
        ({"updatedNumberScheduled": 3, "numberAvailable": 1}, "1 of 3 nodes are ready"),
    ],
)
def test_a_daemon_set_is_ready_when_every_node_runs_it(status: dict[str, int], why: str) -> None:
    full = {"observedGeneration": 2, "desiredNumberScheduled": 3, **status}
    assert unready(obj("DaemonSet", "apps/v1", status=full)) == why


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"updatedReplicas": 2, "readyReplicas": 2}, ""),
        ({"updatedReplicas": 1, "readyReplicas": 2}, "1 of 2 replicas are new"),
        ({"updatedReplicas": 2, "readyReplicas": 1}, "1 of 2 replicas are ready"),
    ],
)
def test_a_stateful_set_is_ready_when_all_its_replicas_are(status: dict[str, int], why: str) -> None:
    full = {"observedGeneration": 2, **status}
    assert unready(obj("StatefulSet", "apps/v1", spec={"replicas": 2}, status=full)) == why


@pytest.mark.parametrize(
    ("kind", "status", "why"),
    [
        ("Namespace", {"phase": "Active"}, ""),
        ("Namespace", {"phase": "Terminating"}, "phase is Terminating"),
        ("Pod", {"phase": "Pending"}, "phase is Pending"),
        ("Pod", {"phase": "Running"}, "not ready yet"),
        ("Pod", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ("Pod", {"phase": "Succeeded"}, ""),
        ("Job", {}, "not complete yet"),
        ("Job", {"conditions": [{"type": "Complete", "status": "True"}]}, ""),
        ("CustomResourceDefinition", {}, "not established yet"),
        ("CustomResourceDefinition", {"conditions": [{"type": "Established", "status": "True"}]}, ""),
        ("ValidatingWebhookConfiguration", {}, ""),
    ],
)
def test_other_kinds_have_their_own_rules(kind: str, status: dict[str, Any], why: str) -> None:
    assert unready(obj(kind, status=status)) == why


def test_pods_of_an_older_template_say_nothing_about_the_new() -> None:
    old, new = pod("rs1", "web-old", **waiting("CrashLoopBackOff", restarts=9)), pod("rs2", "web-new")
    sets = [replica_set("1"), replica_set("2")]
    assert current(deployment(), [old, new], sets) == (new,)
    assert troubles(deployment(availableReplicas=1), [old, new], sets, []) == ()


def test_pods_that_are_going_say_nothing() -> None:
    gone = obj("Pod", meta={"labels": LABELS, "deletionTimestamp": "now"}, status=waiting("ImagePullBackOff"))
    assert current(deployment(), [gone], []) == ()


@pytest.mark.parametrize(
    ("status", "code", "patience"),
    [
        (waiting("InvalidImageName"), "image-not-there", 0),
        (waiting("ErrImageNeverPull"), "image-not-there", 5),
        (waiting("ImagePullBackOff"), "image-not-there", 20),
        (waiting("ErrImagePull"), "image-not-there", 20),
        (waiting("CreateContainerConfigError"), "container-not-created", 20),
        (waiting("CrashLoopBackOff", restarts=1), "crash-loop", NEVER),
        (waiting("CrashLoopBackOff", restarts=3), "crash-loop", 0),
    ],
)
def test_each_trouble_has_its_patience(status: dict[str, Any], code: str, patience: float) -> None:
    found = troubles(deployment(availableReplicas=0), [pod(**status)], [replica_set("2")], [])
    assert [(each.code, each.patience) for each in found] == [(code, patience)]


def test_the_cause_names_pod_container_and_the_kubelets_words() -> None:
    status = waiting("ImagePullBackOff", "Back-off pulling\n image no/such:1")
    (found,) = troubles(deployment(availableReplicas=0), [pod(**status)], [], [])
    assert found.cause == "container 'c' of pod 'web-1': ImagePullBackOff: Back-off pulling image no/such:1"
    assert "no/such:1" in found.hint


def test_the_gravest_trouble_comes_first() -> None:
    pods = [
        pod(name="web-1", **waiting("CrashLoopBackOff", restarts=1)),
        pod(name="web-2", **waiting("InvalidImageName")),
    ]
    found = troubles(deployment(availableReplicas=0), pods, [], [])
    assert [each.pod for each in found] == ["web-2", "web-1"]


def unscheduled() -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    return pod(phase="Pending", conditions=[condition])


def test_a_pod_that_fits_nowhere_has_some_patience_and_more_when_a_node_is_on_its_way() -> None:
    scaled = event("uid-web-1", "TriggeredScaleUp", "pod triggered scale-up", "Normal")
    (alone,) = troubles(deployment(availableReplicas=0), [unscheduled()], [], [])
    (helped,) = troubles(deployment(availableReplicas=0), [unscheduled()], [], [scaled])
    assert (alone.code, alone.patience, helped.patience) == ("unschedulable", 30, NEVER)


@pytest.mark.parametrize(
    ("message", "code", "patience"),
    [
        ('pods "x" is forbidden: exceeded quota: q', "quota-exceeded", 20),
        ('pods "x" is forbidden: violates PodSecurity "restricted"', "pod-security", 20),
        ('pods "x" is forbidden: serviceaccount "s" not found', "pod-not-created", NEVER),
    ],
)
def test_pods_that_cannot_be_made_are_told_from_events(message: str, code: str, patience: float) -> None:
    told = [event("rs1", "FailedCreate", "of the old template"), event("rs2", "FailedCreate", message)]
    sets = [replica_set("1"), replica_set("2")]
    found = troubles(deployment(availableReplicas=0, updatedReplicas=0), [], sets, told)
    assert [(each.code, each.patience, each.cause) for each in found] == [(code, patience, message)]


def test_a_failing_probe_is_told_and_waited_for() -> None:
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "c", "state": {"running": {}}, "ready": False}],
    }
    told = [event("uid-web-1", "Unhealthy", "Readiness probe failed: HTTP 503")]
    (found,) = troubles(deployment(availableReplicas=0), [pod("rs2", "web-1", **status)], [], told)
    assert (found.cause, found.patience) == (
        "pod 'web-1': Unhealthy: Readiness probe failed: HTTP 503",
        NEVER,
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, "ContainerCreating"),
        ({"running": {"startedAt": "now"}}, "runs, and is not ready yet"),
    ],
)
def test_a_container_on_its_way_is_told(state: dict[str, Any], words: str) -> None:
    statuses = [{"name": "a", "ready": True}, {"name": "c", "ready": False, "state": state}]
    (found,) = troubles(deployment(availableReplicas=0), [pod(containerStatuses=statuses)], [], [])
    assert (found.cause, found.patience) == (f"container 'c' of pod 'web-1': {words}", NEVER)


def test_a_failed_job_is_hopeless() -> None:
    job = obj(
        "Job", status={"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]}
    )
    assert [(each.code, each.patience) for each in troubles(job, [], [], [])] == [("job-failed", 0)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"meta": {"deletionTimestamp": "t", "finalizers": ["a/b"]}}, "held by finalizer a/b"),
        ({"meta": {"deletionTimestamp": "t", "finalizers": ["a/b", "c"]}}, "held by finalizers a/b, c"),
        (
            {"meta": {"deletionTimestamp": "t", "finalizers": ["foregroundDeletion"]}},
            "its pods are still ending",
        ),
        ({"meta": {"deletionTimestamp": "t"}}, "being removed"),
    ],
)
def test_what_holds_a_deleted_object_is_named(content: dict[str, Any], why: str) -> None:
    assert held_by(obj("Deployment", "apps/v1", **content)) == why


def test_a_namespace_says_itself_what_holds_it() -> None:
    conditions = [
        {"type": "NamespaceContentRemaining", "status": "True", "message": "foos.example has 1 instance"},
        {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "all fine"},
    ]
    going = obj("Namespace", meta={"deletionTimestamp": "t"}, status={"conditions": conditions})
    assert held_by(going) == "foos.example has 1 instance"


def test_an_injector_is_ready_when_the_api_server_can_trust_it() -> None:
    def injector(*configs: dict[str, object]) -> Object:
        webhooks = [{"name": str(number), "clientConfig": each} for number, each in enumerate(configs)]
        head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
        return Object({**head, "metadata": {"name": "istio-sidecar-injector"}, "webhooks": webhooks})

    behind = {"service": {"name": "istiod", "namespace": "istio-system"}}
    assert unready(injector({**behind, "caBundle": "aXN0aW9k"})) == ""
    assert "CA bundle" in unready(injector({**behind, "caBundle": "aXN0aW9k"}, behind))
    assert unready(injector({"url": "https://istiod.example.com/inject"})) == ""
