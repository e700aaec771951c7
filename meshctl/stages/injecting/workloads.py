"""Where the pod is in a Kubernetes object, and whose it is.

Source: istio.io/istio pkg/kube/inject/initializer.go; pkg/kube/util.go, `GetDeployMetaFromPod`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Steps = tuple[str | int, ...]

STATUS = "sidecar.istio.io/status"
"""Annotation of an injected pod: the names of what was added."""

_TEMPLATE: Steps = ("spec", "template")
_KINDS: Mapping[tuple[str, str], Steps] = {
    ("v1", "Pod"): (),
    ("v1", "ReplicationController"): _TEMPLATE,
    ("apps/v1", "Deployment"): _TEMPLATE,
    ("apps/v1", "DaemonSet"): _TEMPLATE,
    ("apps/v1", "ReplicaSet"): _TEMPLATE,
    ("apps/v1", "StatefulSet"): _TEMPLATE,
    ("batch/v1", "Job"): _TEMPLATE,
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("apps.openshift.io/v1", "DeploymentConfig"): _TEMPLATE,
}
# A Job that a CronJob has made ends in the minute it was made in.
_OF_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


@dataclass(frozen=True)
class Workload:
    """An object that runs pods, within a document.

    Attributes:
        content: the object.
        steps: where it is in the document; longer than nothing in a List.
        pod: where the pod is in the object; nothing for a Pod itself.
    """

    content: Mapping[str, Any]
    steps: Steps
    pod: Steps

    @property
    def pod_meta(self) -> Steps:
        """Where the pod's metadata is in the object.

        istioctl writes on a CronJob's job template what belongs on its pod template; to undo that, it has to
        be looked for there.
        """
        job = (*self.pod[:-2], "metadata")
        if self.kind == "CronJob" and STATUS in _map(_map(at(self.content, job)).get("annotations")):
            return job
        return (*self.pod, "metadata")

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        """Its own name; possibly none, when the API server is to make one."""
        return str(_map(self.content.get("metadata")).get("name") or "")

    @property
    def namespace(self) -> str:
        """Namespace that it, or its pod, names; possibly none."""
        inner = _map(_map(at(self.content, self.pod)).get("metadata")) if self.pod else {}
        return str(inner.get("namespace") or _map(self.content.get("metadata")).get("namespace") or "")

    def __str__(self) -> str:
        """`Deployment shop/web`, the form people read."""
        shown = self.name or f"{_map(self.content.get('metadata')).get('generateName') or ''}*"
        return f"{self.kind} {self.namespace}/{shown}" if self.namespace else f"{self.kind} {shown}"


@dataclass(frozen=True)
class Owner:
    """Whose a pod is, as istiod tells it: the workload that people know, not the one in between."""

    api_version: str
    kind: str
    name: str


def workloads(document: Any, steps: Steps = ()) -> Iterator[Workload]:
    """The objects of a document that run pods, those in Lists too."""
    if not isinstance(document, dict):
        return
    kind = (document.get("apiVersion"), document.get("kind"))
    items = document.get("items")
    if str(kind[1]).endswith("List") and isinstance(items, list):
        for index, item in enumerate(items):
            yield from workloads(_typed(item, kind), (*steps, "items", index))
    else:
        pod = _KINDS.get((str(kind[0]), str(kind[1])))
        if pod is not None and isinstance(at(document, (*pod, "spec")), dict):
            yield Workload(document, steps, pod)


def at(node: Any, steps: Steps) -> Any:
    """What stands at a place; None where nothing does."""
    for step in steps:
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return None
    return node


def put(node: Any, steps: Steps, value: Any) -> Any:
    """`node` with another value at a place; the argument does not change."""
    if not steps:
        return value
    if isinstance(node, list):
        index = int(steps[0])
        return [*node[:index], put(node[index], steps[1:], value), *node[index + 1 :]]
    return {**node, steps[0]: put(node.get(steps[0]), steps[1:], value)}


def owner(workload: Workload, labels: Mapping[str, str]) -> Owner:
    """Whose the pods of a workload are; `labels` are the pods'."""
    content = workload.content
    if workload.pod:
        return _known(Owner(str(content["apiVersion"]), workload.kind, workload.name), labels)
    meta = _map(content.get("metadata"))
    for each in meta.get("ownerReferences") or ():
        if meta.get("generateName") and each.get("controller"):
            found = Owner(each.get("apiVersion", ""), each.get("kind", ""), each.get("name", ""))
            return _known(found, labels)
    return Owner("v1", "Pod", workload.name)


def _known(controller: Owner, labels: Mapping[str, str]) -> Owner:
    """The workload behind what made a pod."""
    name = controller.name
    match controller.kind:
        case "ReplicaSet":
            for label, kind, version in (
                ("pod-template-hash", "Deployment", controller.api_version),
                ("rollouts-pod-template-hash", "Rollout", "v1alpha1"),
            ):
                ending = labels.get(label)
                if ending and name.endswith(ending):
                    return Owner(version, kind, name.removesuffix(f"-{ending}"))
        case "ReplicationController" if labels.get("deploymentconfig"):
            return Owner(controller.api_version, "DeploymentConfig", labels["deploymentconfig"])
        case "Job":
            cron = _OF_CRON_JOB.fullmatch(name)
            if cron:
                return Owner("batch/v1", "CronJob", cron[1])
        case _:
            pass
    return controller


def _typed(item: Any, listed: tuple[Any, Any]) -> Any:
    """An item of a list of one kind, which need not repeat its kind."""
    if isinstance(item, dict) and "kind" not in item and listed != ("v1", "List"):
        return {"apiVersion": listed[0], "kind": str(listed[1]).removesuffix("List"), **item}
    return item


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
