"""Nodes are ready and have room for the mesh."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.quantity import amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

NODE_READY = Rule(
    code="node-ready",
    level=Level.ERROR,
    summary="At least one node is ready and takes pods.",
    hint="see `kubectl describe nodes`",
)
EVERY_NODE_READY = Rule(
    code="every-node-ready",
    level=Level.WARNING,
    summary="Every node is ready.",
    hint="pods on it are not reached; see `kubectl describe node`",
)
ROOM = Rule(
    code="nodes-have-room",
    level=Level.WARNING,
    summary="The nodes have room for what the mesh requests.",
    hint="free or add a node, or ask for less: --set values.pilot.resources.requests.memory=512Mi",
)
_RESOURCES = ("cpu", "memory")


@check(rules=(NODE_READY, EVERY_NODE_READY), after=("kube-reachable",), settles=True)
def nodes(site: Site) -> Iterator[Finding]:
    """Read the conditions of all nodes."""
    found = site.cluster.list("v1", "Node")
    if not any(_takes_pods(node) for node in found):
        yield NODE_READY.at(
            f"cluster {site.cluster.name}", f"none of {len(found)} nodes is ready and takes pods"
        )
        return
    for node in found:
        if not _is_ready(node):
            yield EVERY_NODE_READY.at(str(node.ref), "it is not ready")


@check(rules=(ROOM,), after=(NODE_READY.code,), moment=Moment.BEFORE, seconds=30.0)
def room(site: Site) -> Iterator[Finding]:
    """Place the mesh's pods on what is free, the largest first; one that fits nowhere is told."""
    free = _free(site)
    missing = [
        obj for obj in site.desired.objects if obj.ref.kind == "Deployment" and not _is_there(site, obj)
    ]
    for obj in sorted(missing, key=lambda each: (-_requests(each, "memory"), each.ref)):
        needs = {name: _requests(obj, name) for name in _RESOURCES}
        for _ in range(int(obj.at("spec.replicas", 1))):
            fits = [
                name for name, has in free.items() if all(has[each] >= needs[each] for each in _RESOURCES)
            ]
            if not fits:
                asked = f"cpu {needs['cpu'].normalize():f} and {needs['memory'] / 2**20:.0f} Mi of memory"
                yield ROOM.at(str(obj.ref), f"a pod of it asks for {asked}, which no ready node has free")
                break
            best = max(sorted(fits), key=lambda name: free[name]["memory"])
            free[best] = {each: free[best][each] - needs[each] for each in _RESOURCES}


def _is_there(site: Site, obj: Object) -> bool:
    """Whether its pods are counted among the running ones already."""
    return site.cluster.get(obj.ref) is not None


def _free(site: Site) -> dict[str, dict[str, Decimal]]:
    """What pods may still request of each node that takes pods."""
    free = {
        node.ref.name: {
            each: amount(node.at(f"status.allocatable.{each}", 0)) or Decimal(0) for each in _RESOURCES
        }
        for node in site.cluster.list("v1", "Node")
        if _takes_pods(node)
    }
    for pod in site.cluster.list("v1", "Pod"):
        node = pod.at("spec.nodeName", "")
        if node in free and pod.at("status.phase") not in ("Succeeded", "Failed"):
            for each in _RESOURCES:
                free[node][each] -= _sum(pod.at("spec", {}), each)
    return free


def _requests(workload: Object, resource: str) -> Decimal:
    return _sum(workload.at("spec.template.spec", {}), resource)


def _sum(spec: Mapping[str, Any], resource: str) -> Decimal:
    """What a pod requests: its containers together, or its largest init container."""

    def asked(container: Mapping[str, Any]) -> Decimal:
        return amount(container.get("resources", {}).get("requests", {}).get(resource, 0)) or Decimal(0)

    together = sum((asked(each) for each in spec.get("containers") or ()), Decimal(0))
    return max((together, *(asked(each) for each in spec.get("initContainers") or ())))


def _takes_pods(node: Object) -> bool:
    tainted = any(each.get("effect") in ("NoSchedule", "NoExecute") for each in node.at("spec.taints", ()))
    return _is_ready(node) and not node.at("spec.unschedulable", False) and not tainted


def _is_ready(node: Object) -> bool:
    return any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in node.at("status.conditions", ())
    )
