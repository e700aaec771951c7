"""What owns pods: the workload at the end of the chain, and why some have none that could replace them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.objects import Object

BETWEEN: Final = (("apps/v1", "ReplicaSet"), ("v1", "ReplicationController"), ("batch/v1", "Job"))
"""Kinds that own pods, and may themselves be owned by a workload."""
_MIRROR: Final = "kubernetes.io/config.mirror"


def owner(pod: Object, between: Mapping[str, Object]) -> Ref:
    """The workload that a pod belongs to; the pod itself where nothing controls it.

    Args:
        pod: any pod.
        between: objects of the kinds in `BETWEEN`, by their UID.
    """
    here = pod
    while (above := _controller(here)) is not None:
        known = between.get(above.get("uid", ""))
        if known is None:
            return _ref(above, pod)
        here = known
    return here.ref


def maker(pod: Object) -> Ref | None:
    """What puts another pod in the place of this one; None where nothing does."""
    above = _controller(pod)
    return None if above is None else _ref(above, pod)


def immovable(ref: Ref, pod: Object) -> str:
    """Why nothing makes a pod of this owner anew; empty where something does."""
    if ref.kind == "Node" or _MIRROR in pod.annotations:
        return "the kubelet of a node makes it from a file there"
    if ref.kind in ("Job", "CronJob") and ref.group == "batch":
        return "a job's pod ends by itself; the next run has a new proxy"
    if ref == pod.ref:
        return "nothing would put another pod in its place; make it anew yourself"
    if pod.at("spec.restartPolicy", "Always") != "Always":
        return f"it runs to its end under {ref.kind}; the next run has a new proxy"
    return ""


def _controller(obj: Object) -> Mapping[str, Any] | None:
    owners = obj.at("metadata.ownerReferences", ())
    return next((each for each in owners if each.get("controller")), None)


def _ref(owner_reference: Mapping[str, Any], of: Object) -> Ref:
    """What an owner reference names; an owner is in the namespace of what it owns."""
    return Ref(
        owner_reference["apiVersion"], owner_reference["kind"], of.ref.namespace, owner_reference["name"]
    )
