"""Small objects, manifests and records for tests, made in a line each."""

from __future__ import annotations

import copy
from typing import Any

from meshctl.model.manifest import Manifest, Part
from meshctl.model.objects import Object, Ref
from meshctl.model.observation import Observation
from meshctl.model.release import Release, Status

VERSIONS = {
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "GatewayClass": "gateway.networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Lease": "coordination.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}


def obj(kind: str, name: str, namespace: str = "", **content: Any) -> Object:
    """An object; `labels`, `annotations`, `finalizers` and `managedFields` go to its metadata."""
    meta: dict[str, Any] = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    for key in ("labels", "annotations", "deletionTimestamp", "finalizers", "managedFields"):
        if key in content:
            meta[key] = content.pop(key)
    return Object({"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": meta, **content})


def ref(kind: str, name: str, namespace: str = "") -> Ref:
    return Ref(VERSIONS.get(kind, "v1"), kind, namespace, name)


def part(component: str, *objects: Object, needs: tuple[str, ...] = (), name: str = "", **more: Any) -> Part:
    """A part that is ready when its workloads are."""
    ready = tuple(each.ref for each in objects if each.ref.kind in ("Deployment", "DaemonSet"))
    return Part(name or component, component, needs, objects, ready, **more)


NOTHING = Manifest()


def release(manifest: Manifest = NOTHING, generation: int = 1, **more: Any) -> Release:
    given: dict[str, Any] = {
        "mesh": "mesh",
        "cluster": "east",
        "generation": generation,
        "status": Status.DEPLOYED,
        "version": "1.31.1",
        "revision": "",
        "profile": "default",
        "namespace": "istio-system",
        "created": "2026-01-01T00:00:00+00:00",
        "manifest": manifest,
        "values": {},
    }
    return Release(**{**given, **more})


def seen(*objects: Object, releases: tuple[Release, ...] = ()) -> Observation:
    return Observation("east", "v1.34.4", objects={each.ref: each for each in objects}, releases=releases)


def held(value: Object, *, manager: str = "meshctl", operation: str = "Apply") -> Object:
    """`value` as a server keeps it after `manager` sent it: with the fields it holds, lists held whole."""
    content = copy.deepcopy(dict(value.content))
    sent = {key: below for key, below in content.items() if key not in ("apiVersion", "kind", "metadata")}
    meta = {key: content["metadata"][key] for key in ("labels", "annotations") if key in content["metadata"]}
    fields = _fields({**sent, **({"metadata": meta} if meta else {})})
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    if fields:  # a server lists no manager that holds nothing
        content["metadata"]["managedFields"] = [*content["metadata"].get("managedFields", ()), entry]
    return Object(content)


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": _fields(below) for key, below in value.items()}


def words(plan: Any) -> list[str]:
    """A plan as lines: titles, and under each its steps."""
    lines = []
    for phase in plan.phases:
        lines.append(phase.title)
        lines += [f"  {_step(step)}" for step in phase.steps]
    return lines


def _step(step: Any) -> str:
    name = type(step).__name__.lower()
    if name == "record":
        return f"{name} {step.release.generation} {'forget' if step.forget else step.release.status}"
    if name == "await":
        return f"{name} {step.ref} {step.condition}"
    if name == "save":
        return f"{name} {', '.join(map(str, step.refs))} to {step.file}"
    return f"{name} {step.ref}"
