"""When an object is ready, and what keeps a workload from it: pure reading of what was seen.

How long each trouble may last before waiting is given up, which is what `patience` says:

    no name of an image                     0 s    it cannot mend itself
    image not in the node, never pulled     5 s
    image not pulled, container not made   20 s    a registry, Secret or ConfigMap may still come
    quota used up, pod security            20 s
    no node fits                           30 s    the whole budget once an autoscaler adds a node
    crash loop                             from its third restart on
    failing probe, volume, anything else   the whole budget
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from meshctl.model.objects import Object

NEVER = math.inf
"""Patience with what may heal until the budget is spent."""

# A registry may come back, and an image may still be on its way into the nodes; no name mends itself.
_IMAGE = {"ErrImagePull": 20.0, "ImagePullBackOff": 20.0, "ErrImageNeverPull": 5.0, "InvalidImageName": 0.0}
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_RESTARTS = 3
_OWN_FINALIZERS = {
    "foregroundDeletion": "its pods are still ending",
    "kubernetes": "what is in it is being removed",
    "customresourcecleanup.apiextensions.k8s.io": "its objects are being removed",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a workload from being ready.

    Attributes:
        code: stable kebab-case name; the same trouble keeps its code.
        cause: what is seen, in a few words.
        hint: what to do about it.
        patience: seconds it may last before there is no use in waiting; `NEVER`: it may heal.
        pod: name of the pod it is seen on, where there is one.
        container: name of the container whose last words would help, where there is one.
    """

    code: str
    cause: str
    hint: str = ""
    patience: float = NEVER
    pod: str = ""
    container: str = ""


def unready(obj: Object) -> str:
    """Why `obj` is not ready, in a few words; empty when it is.

    Kinds without a notion of readiness are ready as soon as they exist.
    """
    rule = _RULES.get(obj.ref.kind)
    return rule(obj) if rule else ""


def come(obj: Object | None) -> int:
    """How many pods of its present template a workload has made; it only grows while they replace others."""
    if obj is None or _is_behind(obj):
        return 0
    made = obj.at("status.updatedReplicas") or obj.at("status.updatedNumberScheduled") or 0
    return int(made)


def selects(workload: Object, pod: Object) -> bool:
    """Whether `pod` belongs to `workload`, whichever template it was made from."""
    if workload.ref.kind == "Pod":
        return pod.ref.name == workload.ref.name
    if workload.ref.kind == "Job":
        return any(owner.get("uid") == workload.uid for owner in pod.at("metadata.ownerReferences", ()))
    wanted = workload.at("spec.selector.matchLabels", {})
    return bool(wanted) and all(pod.labels.get(key) == value for key, value in wanted.items())


def current(workload: Object, pods: Collection[Object], sets: Collection[Object]) -> tuple[Object, ...]:
    """Pods of the workload's present template: those of an older one say nothing about the new.

    Args:
        workload: Deployment, DaemonSet, StatefulSet, Job or Pod.
        pods: pods of the namespace.
        sets: ReplicaSets of the namespace; only read for a Deployment.
    """
    mine = [pod for pod in pods if selects(workload, pod) and not pod.is_leaving]
    if workload.ref.kind == "Deployment":
        newest = newest_set(workload, sets)
        if newest is not None:
            return tuple(pod for pod in mine if newest.uid in pod.owners)
    if workload.ref.kind == "StatefulSet" and (revision := workload.at("status.updateRevision")):
        return tuple(pod for pod in mine if pod.labels.get("controller-revision-hash") == revision)
    if workload.ref.kind == "DaemonSet":
        generation = workload.annotations.get("deprecated.daemonset.template.generation")
        return tuple(
            pod for pod in mine if pod.labels.get("pod-template-generation", generation) == generation
        )
    return tuple(mine)


def newest_set(workload: Object, sets: Collection[Object]) -> Object | None:
    """The ReplicaSet of a Deployment's present template, once it exists."""
    key = "deployment.kubernetes.io/revision"
    wanted = workload.annotations.get(key)
    for each in sets:
        if workload.uid in each.owners and each.annotations.get(key) == wanted:
            return each
    return None


def troubles(
    workload: Object, pods: Collection[Object], sets: Collection[Object], events: Collection[Object]
) -> tuple[Trouble, ...]:
    """What keeps `workload` from being ready, the gravest (least patience) first.

    Args:
        workload: the awaited object as last seen.
        pods: pods of its namespace.
        sets: ReplicaSets of its namespace.
        events: events of its namespace, oldest first.
    """
    mine = current(workload, pods, sets)
    makers = {workload.uid, *(s.uid for s in (newest_set(workload, sets),) if s is not None)}
    found = [*_of_workload(workload)]
    found += [trouble for pod in mine for trouble in _of_pod(pod, events)]
    found += _of_events(makers, events) if not mine or unready(workload) else ()
    return tuple(sorted(found, key=lambda each: each.patience))


def held_by(obj: Object) -> str:
    """What keeps a deleted object from going, in a few words; empty while it was not deleted."""
    if not obj.is_leaving:
        return "" if obj.ref.kind != "Namespace" else "deletion was not asked for yet"
    told = [
        condition.get("message", "")
        for condition in obj.at("status.conditions", ())
        if obj.ref.kind == "Namespace" and condition.get("status") == "True" and condition.get("message")
    ]
    finalizers = [*obj.at("metadata.finalizers", ()), *obj.at("spec.finalizers", ())]
    if told:
        return "; ".join(told)
    if len(finalizers) == 1 and finalizers[0] in _OWN_FINALIZERS:
        return _OWN_FINALIZERS[finalizers[0]]
    if finalizers:
        return f"held by finalizer{'s' * (len(finalizers) > 1)} {', '.join(finalizers)}"
    return "being removed"


def _namespace(obj: Object) -> str:
    phase = obj.at("status.phase", "Active")
    return "" if phase == "Active" else f"phase is {phase}"


def _definition(obj: Object) -> str:
    conditions = _conditions(obj)
    if _is(conditions, "Established"):
        return ""
    refused = conditions.get("NamesAccepted", {})
    return str(refused.get("message")) if refused.get("status") == "False" else "not established yet"


def _deployment(obj: Object) -> str:
    wanted = obj.at("spec.replicas", 1)
    if _is_behind(obj):
        return "not seen by its controller yet"
    updated = obj.at("status.updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas are new"
    if (old := obj.at("status.replicas", 0) - updated) > 0:
        return f"{old} old replica{'s' * (old > 1)} still there"
    available = obj.at("status.availableReplicas", 0)
    return "" if available >= wanted else f"{available} of {wanted} replicas are available"


def _daemon_set(obj: Object) -> str:
    if _is_behind(obj):
        return "not seen by its controller yet"
    wanted = obj.at("status.desiredNumberScheduled", 0)
    if obj.at("spec.updateStrategy.type", "RollingUpdate") != "OnDelete":
        updated = obj.at("status.updatedNumberScheduled", 0)
        if updated < wanted:
            return f"{updated} of {wanted} nodes run the new pods"
    available = obj.at("status.numberAvailable", 0)
    return "" if available >= wanted else f"{available} of {wanted} nodes are ready"


def _stateful_set(obj: Object) -> str:
    if _is_behind(obj):
        return "not seen by its controller yet"
    wanted = obj.at("spec.replicas", 1)
    partition = obj.at("spec.updateStrategy.rollingUpdate.partition", 0)
    updated = obj.at("status.updatedReplicas", 0)
    if obj.at("spec.updateStrategy.type", "RollingUpdate") != "OnDelete" and updated < wanted - partition:
        return f"{updated} of {wanted} replicas are new"
    ready = obj.at("status.readyReplicas", 0)
    return "" if ready >= wanted else f"{ready} of {wanted} replicas are ready"


def _replicas(obj: Object) -> str:
    wanted, ready = obj.at("spec.replicas", 1), obj.at("status.readyReplicas", 0)
    return "" if ready >= wanted else f"{ready} of {wanted} replicas are ready"


def _pod(obj: Object) -> str:
    phase = obj.at("status.phase", "Pending")
    if phase == "Succeeded" or _is(_conditions(obj), "Ready"):
        return ""
    return f"phase is {phase}" if phase != "Running" else "not ready yet"


def _job(obj: Object) -> str:
    return "" if _is(_conditions(obj), "Complete") else "not complete yet"


def _injector(obj: Object) -> str:
    """The API server calls a webhook behind a Service only once it has the bundle to trust it with."""
    called = [each.get("clientConfig", {}) for each in obj.at("webhooks", ())]
    waiting = [each for each in called if "service" in each and not each.get("caBundle")]
    return "istiod has not put its CA bundle there yet" if waiting else ""


def _service(obj: Object) -> str:
    waits = obj.at("spec.type") == "LoadBalancer" and not obj.at("status.loadBalancer.ingress")
    return "nothing has given it an address yet" if waits else ""


_RULES: Mapping[str, Callable[[Object], str]] = {
    "Namespace": _namespace,
    "CustomResourceDefinition": _definition,
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "ReplicaSet": _replicas,
    "ReplicationController": _replicas,
    "Pod": _pod,
    "Job": _job,
    "MutatingWebhookConfiguration": _injector,
    "Service": _service,
}


def _of_workload(obj: Object) -> Iterator[Trouble]:
    conditions = _conditions(obj)
    if obj.ref.kind == "CustomResourceDefinition":
        refused = conditions.get("NamesAccepted", {})
        if refused.get("status") == "False":
            hint = "another CustomResourceDefinition has these names; remove one of them"
            yield Trouble("names-taken", str(refused.get("message", "")), hint, 5.0)
    if obj.ref.kind == "Deployment":
        progress = conditions.get("Progressing", {})
        if progress.get("reason") == "ProgressDeadlineExceeded":
            yield Trouble("no-progress", str(progress.get("message", "")), patience=0.0)
    if obj.ref.kind == "Job" and _is(conditions, "Failed"):
        yield Trouble("job-failed", str(conditions["Failed"].get("message", "")), patience=0.0)


def _of_pod(pod: Object, events: Collection[Object]) -> Iterator[Trouble]:
    name = pod.ref.name
    scheduled = _conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        helped = any(each.at("reason") == "TriggeredScaleUp" for each in _about({pod.uid}, events))
        yield Trouble(
            "unschedulable",
            f"pod {name!r} fits no node: {scheduled.get('message', '')}",
            "free or add what the nodes lack, or ask for less in the component's resources",
            NEVER if helped else 30.0,  # an autoscaler that is on its way deserves the whole budget
            name,
        )
    statuses = [*pod.at("status.initContainerStatuses", ()), *pod.at("status.containerStatuses", ())]
    found = [each for status in statuses if (each := _of_container(name, status))]
    found += _last_warning(pod, events) if statuses else ()
    yield from found or (_on_its_way(name, status) for status in statuses if not status.get("ready"))


def _of_container(pod: str, status: Mapping[str, Any]) -> Trouble | None:
    container = status.get("name", "")
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), " ".join(str(waiting.get("message", "")).split())
    seen = f"container {container!r} of pod {pod!r}: {reason}" + (f": {message}" if message else "")
    if reason in _IMAGE:
        hint = f"is the image {status.get('image', '')!r} spelled right, and can the nodes pull it?"
        return Trouble("image-not-there", seen, hint, _IMAGE[reason], pod)
    if reason in _CONFIG:
        hint = "make what the container refers to, such as its Secret or ConfigMap"
        return Trouble("container-not-created", seen, hint, 20.0, pod, container)
    restarts = status.get("restartCount", 0)
    if reason == "CrashLoopBackOff":
        ended = (status.get("lastState") or {}).get("terminated") or {}
        why = f"exit code {ended['exitCode']}" if "exitCode" in ended else "it ends again and again"
        cause = f"container {container!r} of pod {pod!r} crashed {restarts} times: {why}"
        hint = "its last log lines tell why"
        return Trouble("crash-loop", cause, hint, 0.0 if restarts >= _RESTARTS else NEVER, pod, container)
    return None


def _on_its_way(pod: str, status: Mapping[str, Any]) -> Trouble:
    """A container that has no trouble, and is not ready."""
    state = status.get("state") or {}
    words = (state.get("waiting") or {}).get("reason") or "runs, and is not ready yet"
    return Trouble(
        "container-not-ready", f"container {status.get('name', '')!r} of pod {pod!r}: {words}", pod=pod
    )


def _last_warning(pod: Object, events: Collection[Object]) -> Iterator[Trouble]:
    """The newest warning about a pod that is not ready: a failing probe, a volume that is not there."""
    if not unready(pod):
        return
    told = [each for each in _about({pod.uid}, events) if each.at("type") == "Warning"]
    told = [
        each for each in told if each.at("reason") in ("Unhealthy", "FailedMount", "FailedCreatePodSandBox")
    ]
    if told:
        newest = told[-1]
        words = " ".join(str(newest.at("message", "")).split())
        yield Trouble(
            "pod-warning", f"pod {pod.ref.name!r}: {newest.at('reason')}: {words}", pod=pod.ref.name
        )


def _of_events(makers: Collection[str], events: Collection[Object]) -> Iterator[Trouble]:
    """Pods that could not even be made: quotas, policies, a missing service account."""
    told = [each for each in _about(makers, events) if each.at("reason") == "FailedCreate"]
    if not told:
        return
    message = " ".join(str(told[-1].at("message", "")).split())
    if "exceeded quota" in message:
        yield Trouble("quota-exceeded", message, "raise the quota, or ask for less", 20.0)
    elif "violates PodSecurity" in message:
        hint = "label the namespace so that its pod security level allows these pods"
        yield Trouble("pod-security", message, hint, 20.0)
    else:
        yield Trouble("pod-not-created", message)


def _about(uids: Collection[str], events: Collection[Object]) -> list[Object]:
    return [each for each in events if each.at("involvedObject.uid") in uids]


def _conditions(obj: Object) -> Mapping[str, Mapping[str, Any]]:
    return {each.get("type", ""): each for each in obj.at("status.conditions", ())}


def _is(conditions: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return conditions.get(name, {}).get("status") == "True"


def _is_behind(obj: Object) -> bool:
    return bool(obj.at("status.observedGeneration", 0) < obj.at("metadata.generation", 0))
