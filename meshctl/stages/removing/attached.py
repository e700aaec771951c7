"""Whose proxies a removal leaves without a control plane, and which tags lead to what goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.model.labels import TAG
from meshctl.model.plan import Delete
from meshctl.model.proxy import Carrier
from meshctl.stages.planning.injection import users
from meshctl.stages.planning.tags import leads_elsewhere
from meshctl.stages.removing.belongings import is_istiod
from meshctl.stages.seeing.sync import proxy_container, revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meshctl.model.objects import Object
    from meshctl.model.observation import Observation
    from meshctl.model.plan import Plan
    from meshctl.model.proxy import Proxy
    from meshctl.model.removal import Scope

_UNNAMED = "default"
_REDIRECTED = "ambient.istio.io/redirection"
"""Annotation that the node agent gives a pod of which it has taken the traffic."""
_SERVES = frozenset({"DaemonSet", "Deployment", "Service"})
"""Kinds of a control plane without which no proxy reaches it."""


@dataclass(frozen=True, slots=True, order=True)
class Attached:
    """A proxy that loses its control plane.

    Attributes:
        place: `namespace/name` of its pod or machine.
        revision: that injected it, as the pod says it; empty where nothing says so.
        carrier: what it runs in.
        why: why it keeps its proxy though sidecars are taken out; empty where it need not.
    """

    place: str
    revision: str
    carrier: Carrier = Carrier.SIDECAR
    why: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Leading:
    """A revision tag that leads to what goes, and the namespaces that use it, each `shop` or `shop/web`."""

    name: str
    users: tuple[str, ...]


def goes_silent(plan: Plan) -> bool:
    """Whether a plan takes away what proxies talk to."""
    return any(
        isinstance(step, Delete) and step.ref.kind in _SERVES and step.part == "istiod" for step in plan.steps
    )


def in_pods(
    pods: Iterable[Object], seen: Observation, scope: Scope, going: Collection[Object]
) -> tuple[Attached, ...]:
    """Running pods with a proxy of what goes, by their own word, sorted.

    Args:
        pods: those of the cluster that may have a proxy.
        seen: the cluster with its control planes.
        scope: how much goes; a revision only where others go on beside it.
        going: workloads that go themselves, such as the mesh's gateways.
    """
    leaving = [(each.ref.namespace, each.at("spec.selector.matchLabels", {})) for each in going]
    gone = {each.ref for each in going}
    staying = {
        obj.labels.get("istio.io/rev", _UNNAMED)
        for ref, obj in seen.objects.items()
        if is_istiod(obj) and ref not in gone
    }
    one = scope.revision
    found = []
    for pod in pods:
        ended = pod.is_leaving or pod.at("status.phase") in ("Succeeded", "Failed")
        if ended or proxy_container(pod) is None or _goes(pod, leaving):
            continue
        said = revision_of(pod)
        if said == (one or _UNNAMED) if one is not None else said not in staying:
            found.append(Attached(pod.ref.place, said))
    return tuple(sorted(found))


def in_ambient(pods: Iterable[Object]) -> tuple[Attached, ...]:
    """Pods whose traffic goes through the ztunnel of their node: without it they reach nothing, sorted."""
    return tuple(
        sorted(
            Attached(pod.ref.place, "", Carrier.ZTUNNEL)
            for pod in pods
            if not pod.is_leaving and pod.annotations.get(_REDIRECTED) == "enabled"
        )
    )


def by_xds(
    proxies: Iterable[Proxy], pods: Iterable[Object], going: Collection[Object], known: Iterable[Attached]
) -> tuple[Attached, ...]:
    """Proxies that an istiod which goes has said it serves, and that `known` does not have: machines too.

    Args:
        proxies: what was said, of the istiods that go.
        pods: all pods of the cluster that may have a proxy.
        going: workloads that go themselves.
        known: what pods say.
    """
    leaving = [(each.ref.namespace, each.at("spec.selector.matchLabels", {})) for each in going]
    alone = {each.ref.place for each in pods if _goes(each, leaving) or each.is_leaving}
    told = {each.place for each in known} | alone
    return tuple(
        sorted(
            {
                Attached(place, "", each.carrier)
                for each in proxies
                if (place := f"{each.namespace}/{each.name}") not in told
                and each.carrier not in (Carrier.GONE, Carrier.ZTUNNEL)
            }
        )
    )


def leading(
    seen: Observation, scope: Scope, namespaces: Collection[Object], pods: Collection[Object]
) -> tuple[Leading, ...]:
    """Tags that lead to the one revision that goes, while others go on; by name."""
    revision = scope.revision
    if revision is None:
        return ()
    objects = list(seen.objects.values())
    tags = {obj.labels[TAG] for obj in objects if obj.labels.get(TAG) and not leads_elsewhere(obj, revision)}
    return tuple(Leading(each, users(each, objects, namespaces, pods)) for each in sorted(tags))


def _goes(pod: Object, leaving: Iterable[tuple[str, Mapping[str, str]]]) -> bool:
    return any(
        pod.ref.namespace == namespace and labels and labels.items() <= dict(pod.labels).items()
        for namespace, labels in leaving
    )
