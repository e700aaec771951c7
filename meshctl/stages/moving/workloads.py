"""Finds the workloads whose proxies come from a control plane."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshctl.model.labels import GENERATED, INJECTED, REVISION
from meshctl.model.objects import Ref
from meshctl.model.upgrade import Mover, Stayer
from meshctl.stages.moving.injectors import CONFIGURATIONS, injectors, named
from meshctl.stages.moving.judging import GATEWAY, GATEWAY_NAME, STATUS, Scene, Way
from meshctl.stages.moving.methods import ROLLING
from meshctl.stages.moving.owners import BETWEEN, owner
from meshctl.stages.seeing.sync import ALIVE, proxy_container, revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.upgrade import Labels
    from meshctl.ports import Cluster

AMBIENT: Final = "istio.io/dataplane-mode"
"""Label of a namespace whose pods have no sidecar, and are in the mesh by way of their node."""
_ENTRY: Final = ("networking.istio.io/v1", "WorkloadEntry")


@dataclass(frozen=True)
class Riders:
    """All whose proxies come from one control plane, or from any.

    Attributes:
        revision: that control plane; empty is the unnamed one, None any.
        movers: workloads that move once their namespaces are led elsewhere, by namespace, kind and name.
        gateways: likewise, those that take traffic from outside, the mesh's own parts aside.
        late: those that their own label binds to a tag: they move when made anew after the tag has moved.
        losing: those that nothing injects any more: made anew, they have no proxy. Told as `stayers` too.
        stayers: what nobody can move, and why.
        namespaces: those that labels, or `enableNamespacesByDefault`, lead to this control plane, with
            the labels that decide it, as they are.
        labels: labels of every namespace that is not on its way out.
        live: the workloads there are, and the Gateways, as they are.
        pods: of each workload the pods with such a proxy, by name.
        unready: workloads among those that move which are not ready as it is, and why.
        in_place: all that can be made anew where it is, the mesh's own parts and those that only their
            owner can lead elsewhere included.
        fixed: what cannot even that, and why.
    """

    revision: str | None
    movers: tuple[Mover, ...] = ()
    gateways: tuple[Mover, ...] = ()
    late: tuple[Mover, ...] = ()
    losing: tuple[Mover, ...] = ()
    stayers: tuple[Stayer, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    live: Mapping[Ref, Object] = field(default_factory=dict)
    pods: Mapping[Ref, tuple[Object, ...]] = field(default_factory=dict)
    unready: Mapping[Ref, str] = field(default_factory=dict)
    in_place: tuple[Mover, ...] = ()
    fixed: Mapping[Ref, str] = field(default_factory=dict)

    @property
    def moving(self) -> tuple[Mover, ...]:
        """All that a label can move: workloads, then gateways."""
        return (*self.movers, *self.gateways)

    def gateway_of(self, ref: Ref) -> Object | None:
        """The Gateway that a workload is made for; None where it is made for none, or that is gone."""
        workload = self.live.get(ref)
        name = workload.labels.get(GATEWAY_NAME, "") if workload and GENERATED in workload.labels else ""
        return self.live.get(Ref(*GATEWAY, ref.namespace, name))


def found(cluster: Cluster, revision: str | None, *, istio_namespace: str, to: str | None = None) -> Riders:
    """All whose proxies come from a control plane.

    Args:
        cluster: where to look.
        revision: of the control plane; empty is the unnamed one, None is any.
        istio_namespace: where istiods run.
        to: the control plane that they are to move to, where one is known: a workload that its namespace
            already leads to any other is left to its owner.
    """
    pods = [pod for pod in _riding(cluster) if revision is None or _rides(pod, revision)]
    scene = _seen(cluster, revision, to, pods)
    judged = [(ref, *scene.judge(ref)) for ref in sorted(scene.pods, key=in_order)]
    ways: dict[Way, list[Mover]] = defaultdict(list)
    stayers = [*_machines(cluster, revision, istio_namespace)]
    for ref, way, why in judged:
        if way in (Way.STAYS, Way.LOSES):
            stayers.append(Stayer(str(ref), why))
        if way not in (Way.STAYS, Way.OURS):
            ways[way].append(scene.mover(ref, why if way is Way.LATE else ""))
    moving = [*ways[Way.MOVES], *ways[Way.GATEWAY]]
    fixed = {ref: why for ref, *_ in judged if (why := scene.in_place(ref))}
    return Riders(
        revision,
        movers=tuple(ways[Way.MOVES]),
        gateways=tuple(ways[Way.GATEWAY]),
        late=tuple(ways[Way.LATE]),
        losing=tuple(ways[Way.LOSES]),
        stayers=tuple(sorted(stayers, key=lambda each: each.name)),
        namespaces=dict(scene.led({each.ref.namespace for each in moving})),
        labels=scene.labels,
        live=scene.live,
        pods={ref: tuple(group) for ref, group in scene.pods.items()},
        unready={
            each.ref: cause for each in (*moving, *ways[Way.LATE]) if (cause := scene.unready(each.ref))
        },
        in_place=tuple(scene.mover(ref) for ref, *_ in judged if ref not in fixed),
        fixed=fixed,
    )


def in_order(ref: Ref) -> tuple[str, str, str]:
    """What workloads are sorted by: a namespace's stand together."""
    return ref.namespace, ref.kind, ref.name


def _riding(cluster: Cluster) -> Iterator[Object]:
    """Pods with a proxy, sidecars of gRPC's own kind included; not those that have ended or are ending."""
    for pod in cluster.list("v1", "Pod", labels=INJECTED, fields=ALIVE):
        if not pod.is_leaving and (proxy_container(pod) is not None or STATUS in pod.annotations):
            yield pod


def _rides(pod: Object, revision: str) -> bool:
    return named(revision_of(pod)) == named(revision)


def _seen(cluster: Cluster, revision: str | None, to: str | None, pods: Sequence[Object]) -> Scene:
    """Read what decides how these pods move."""
    kinds = {each.get("kind") for pod in pods for each in pod.at("metadata.ownerReferences", ())}
    between = {
        obj.uid: obj
        for api_version, kind in BETWEEN
        if kind in kinds
        for obj in cluster.list(api_version, kind)
    }
    groups: dict[Ref, list[Object]] = defaultdict(list)
    for pod in sorted(pods, key=lambda each: each.ref):
        groups[owner(pod, between)].append(pod)
    listed = (*(("apps/v1", kind) for kind in ROLLING), GATEWAY)
    live = {obj.ref: obj for api_version, kind in listed for obj in cluster.list(api_version, kind)}
    live |= {obj.ref: obj for obj in between.values() if obj.ref in groups}
    homes = {each.ref.name: each for each in cluster.list("v1", "Namespace") if not each.is_leaving}
    budgets: dict[str, list[Object]] = defaultdict(list)
    for each in cluster.list("policy/v1", "PodDisruptionBudget"):
        budgets[each.ref.namespace].append(each)
    return Scene(
        revision,
        to,
        injectors(cluster.list(*CONFIGURATIONS)),
        {name: each.labels for name, each in homes.items()},
        live,
        dict(groups),
        budgets,
    )


def _machines(cluster: Cluster, revision: str | None, istio_namespace: str) -> Iterator[Stayer]:
    """Machines outside the cluster that are connected to an istiod of the revision."""
    entries = [
        (each, str(each.annotations.get("istio.io/workloadController", "")))
        for each in cluster.list(*_ENTRY)
        if "istio.io/connectedAt" in each.annotations
    ]
    if not entries:
        return
    istiods = {
        pod.ref.name: named(pod.labels.get(REVISION, ""))
        for pod in cluster.list("v1", "Pod", namespace=istio_namespace, labels="app=istiod")
    }
    for entry, istiod in entries:
        if revision is None or istiods.get(istiod) == named(revision):
            yield Stayer(f"machine {entry.ref.place}", "the proxy of a machine is told there whom to ask")
