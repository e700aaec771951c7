"""Joins what istiods say of their proxies with the pods that have one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.labels import PROXY, REVISION, selection
from meshctl.model.proxy import Carrier, Proxy, Seat
from meshctl.stages.applying.readiness import troubles, unready

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.proxy import Inventory

ALIVE: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of pods whose containers may run."""

_CARRIERS: Final = {
    "router": Carrier.GATEWAY,
    "waypoint": Carrier.WAYPOINT,
    "ztunnel": Carrier.ZTUNNEL,
    "sidecar": Carrier.SIDECAR,
}
_KINDS: Final = {
    "pod": ("v1", "Pod"),
    "deployment": ("apps/v1", "Deployment"),
    "statefulset": ("apps/v1", "StatefulSet"),
    "daemonset": ("apps/v1", "DaemonSet"),
    "replicaset": ("apps/v1", "ReplicaSet"),
    "service": ("v1", "Service"),
}
_SHORT_KINDS: Final = {
    "po": "pod",
    "deploy": "deployment",
    "sts": "statefulset",
    "ds": "daemonset",
    "rs": "replicaset",
    "svc": "service",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One workload as a user names it; `namespace` is empty where any will do."""

    api_version: str
    kind: str
    name: str
    namespace: str

    def __str__(self) -> str:
        """`Deployment shop/web`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def reference(text: str, namespace: str = "") -> Reference:
    """The workload that `[kind/]name[.namespace]` means; the kind is a pod when it is left out.

    Args:
        text: what the user wrote, such as `web-7d4b9.shop` or `deployment/web`.
        namespace: where to look when `text` does not say.

    Raises:
        ConfigError: a kind that has no pods.
    """
    kind, slash, rest = text.rpartition("/")
    kind = kind.lower() if slash else "pod"
    kind = _SHORT_KINDS.get(kind, kind.removesuffix("s") if kind.removesuffix("s") in _KINDS else kind)
    if kind not in _KINDS:
        close = nearest(kind, _KINDS)
        raise ConfigError(
            "unknown-workload-kind",
            f"{kind!r} is not a kind with pods",
            hint=f"did you mean {close}/{rest}?" if close else f"one of {listed(sorted(_KINDS))}",
        )
    name, dot, own = rest.rpartition(".")
    return Reference(*_KINDS[kind], name if dot else rest, own if dot else namespace)


def selector(workload: Object) -> str:
    """The label selector, as the API server takes it, of the pods of a workload or service."""
    if workload.ref.kind == "Service":
        return ",".join(f"{key}={value}" for key, value in sorted(workload.at("spec.selector", {}).items()))
    return selection(workload.at("spec.selector", {}))


def seats(pods: Iterable[Object], cluster: str) -> tuple[Seat, ...]:
    """The pods of the cluster with ID `cluster` that have a proxy, by namespace and name."""
    found = (seat for pod in pods if (seat := _seat(pod, cluster)) is not None)
    return tuple(sorted(found, key=lambda seat: (seat.namespace, seat.name)))


def settle(proxies: Iterable[Proxy], inventories: Sequence[Inventory]) -> tuple[Proxy, ...]:
    """The proxies with what they run in, by cluster, namespace, name and istiod.

    A host is told from a pod that is gone by its namespace: istiod marks the workload entry of each
    connected host with its own name, but names the entry after the host's address.
    """
    known = {inventory.cluster: inventory for inventory in inventories}
    carriers = {
        (seat.cluster, seat.namespace, seat.name): seat.carrier
        for inventory in inventories
        for seat in inventory.seats
    }
    settled = (replace(each, carrier=_carrier(each, carriers, known.get(each.cluster))) for each in proxies)
    return tuple(sorted(settled, key=lambda each: (each.cluster, each.namespace, each.name, each.istiod)))


def unmatched(proxies: Iterable[Proxy], inventory: Inventory) -> bool:
    """Whether a proxy of this cluster is in none of its pods with a proxy, so that more must be asked."""
    names = {(seat.namespace, seat.name) for seat in inventory.seats}
    return any(
        each.cluster == inventory.cluster and (each.namespace, each.name) not in names for each in proxies
    )


def missing(
    proxies: Iterable[Proxy], inventories: Iterable[Inventory], revision: str = ""
) -> tuple[Seat, ...]:
    """Pods with a proxy that is connected nowhere, by cluster, namespace and name.

    Pods on their way out are left out; with `revision`, so are those of other revisions.
    """
    connected = {(each.cluster, each.namespace, each.name) for each in proxies}
    lost = (
        seat
        for seat in chain.from_iterable(inventory.seats for inventory in inventories)
        if not seat.is_leaving
        and revision in ("", seat.revision)
        and (seat.cluster, seat.namespace, seat.name) not in connected
    )
    return tuple(sorted(lost, key=lambda seat: (seat.cluster, seat.namespace, seat.name)))


def image_tag(image: str) -> str:
    """The tag of an image reference; its digest where it has no tag, empty where it has neither."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest


def proxy_container(pod: Object) -> Mapping[str, Any] | None:
    """The container of a pod that holds its proxy; None when it has none."""
    containers = (*pod.at("spec.containers", ()), *pod.at("spec.initContainers", ()))
    return next((each for each in containers if each.get("name") == PROXY), None)


def revision_of(pod: Object) -> str:
    """The control-plane revision of a pod's proxy; empty where the pod does not say."""
    # The injector's own word first: a pod's label may name a revision tag instead of a revision.
    try:
        said = json.loads(pod.annotations.get("sidecar.istio.io/status", "{}")).get("revision", "")
    except (ValueError, AttributeError):
        said = ""
    return str(said or pod.annotations.get(REVISION, "") or pod.labels.get(REVISION, ""))


def _seat(pod: Object, cluster: str) -> Seat | None:
    proxy = proxy_container(pod)
    if proxy is None:
        return None
    roles = [_CARRIERS[word] for word in proxy.get("args", ()) if word in _CARRIERS]
    return Seat(
        name=pod.ref.name,
        namespace=pod.ref.namespace,
        cluster=cluster,
        carrier=roles[0] if roles else Carrier.SIDECAR,
        revision=revision_of(pod),
        version=image_tag(proxy.get("image", "")),
        trouble=_trouble(pod),
        is_leaving=pod.is_leaving,
    )


def _trouble(pod: Object) -> str:
    found = troubles(pod, [pod], (), ())
    if found:
        return found[0].cause
    return "" if pod.at("status.phase") == "Running" else unready(pod)


def _carrier(
    proxy: Proxy, carriers: Mapping[tuple[str, str, str], Carrier], inventory: Inventory | None
) -> Carrier:
    place = (proxy.namespace, proxy.name)
    if found := carriers.get((proxy.cluster, *place)):
        return found
    if inventory is None or inventory.pods is None:
        return Carrier.UNKNOWN
    if place in inventory.pods:
        return Carrier.SIDECAR
    return Carrier.VM if (proxy.istiod, proxy.namespace) in inventory.hosts else Carrier.GONE
