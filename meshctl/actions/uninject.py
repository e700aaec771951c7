"""Take sidecars out of running workloads before their control plane goes, and see that they are out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from meshctl.errors import FailedError
from meshctl.model.event import Done, Waiting
from meshctl.model.labels import INJECTED
from meshctl.model.plan import Await, Evict, Phase, Plan, Record, Relabel, Restart
from meshctl.model.proxy import Carrier
from meshctl.stages.moving.moves import uninjected
from meshctl.stages.moving.workloads import AMBIENT, found
from meshctl.stages.removing.attached import in_ambient
from meshctl.stages.seeing.sync import ALIVE, proxy_container, seats

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from meshctl.model.event import Event
    from meshctl.model.objects import Object, Ref
    from meshctl.model.removal import Scope
    from meshctl.model.upgrade import Mover
    from meshctl.ports import Cluster, World
    from meshctl.stages.moving.workloads import Riders
    from meshctl.stages.removing.attached import Attached

GROUP: Final = "workloads"
_PAUSE: Final = 1.0
_GATEWAY: Final = "a gateway is nothing without its proxy; remove it"
_MACHINE: Final = "the proxy of a machine is taken out there"
_ELSEWHERE: Final = "it is in no pod of this cluster"
_UNKNOWN: Final = "nothing makes its pod anew without it"


@dataclass(frozen=True)
class Freeing:
    """Steps that take sidecars out, and the proxies that stay all the same, each with the reason."""

    plan: Plan
    keeping: tuple[Attached, ...]


def freeing(
    world: World,
    cluster: str,
    scope: Scope,
    attached: tuple[Attached, ...],
    going: Collection[Object],
    webhooks: Collection[Ref],
) -> Freeing:
    """How attached proxies get out of their workloads. Only reads.

    The pods are made anew once no webhook would inject them, so whatever their labels say, they come
    without; labels stay. Ambient mode ends by its label, which is put back when the mesh is gone.

    Args:
        world: doors to the clusters.
        cluster: name of the one to look at.
        scope: what goes; without `uninject` there are no steps, and all keep their proxies.
        attached: proxies that would lose their control plane.
        going: workloads that go themselves.
        webhooks: those that go before.
    """
    if not scope.uninject or not attached:
        return Freeing(Plan(cluster), attached)
    door = cast("Cluster", _Without(world.clusters[cluster], frozenset(webhooks)))
    riders = found(door, scope.revision, istio_namespace=scope.namespace)
    places = {each.place for each in attached}
    alone = {obj.ref for obj in going}

    def leaves(mover: Mover) -> bool:
        pods = riders.pods[mover.ref]
        is_wanted = mover.ref not in alone and any(pod.ref.place in places for pod in pods)
        return is_wanted and not _is_gateway(pods)

    chosen = replace(
        riders,
        movers=tuple(filter(leaves, riders.movers)),
        losing=tuple(filter(leaves, riders.losing)),
        gateways=(),
        late=(),
    )
    moment = world.clock.now().isoformat(timespec="seconds")
    plan = _without_injection_labels(uninjected(cluster, chosen, moment=moment, seconds=scope.seconds))
    freed = {pod.ref.place for each in (*chosen.movers, *chosen.losing) for pod in chosen.pods[each.ref]}
    ambient = {step.ref.name for step in plan.steps if isinstance(step, Relabel)}
    keeping = tuple(
        replace(each, why=_why(each, riders))
        for each in attached
        if each.place not in freed
        and not (each.carrier is Carrier.ZTUNNEL and each.place.partition("/")[0] in ambient)
    )
    return Freeing(plan, keeping)


def remembering(phase: Phase, plan: Plan) -> Phase:
    """A phase whose record also tells the labels that `plan` takes away, as they are, to be put back."""
    taken = tuple(
        (step.ref.name, ((AMBIENT, "ambient"),)) for step in plan.steps if isinstance(step, Relabel)
    )

    def remember(step: Record) -> Record:
        known = dict(step.release.labelled)
        more = {name: (*known.get(name, ()), *labels) for name, labels in taken}
        return replace(step, release=replace(step.release, labelled=tuple(sorted({**known, **more}.items()))))

    if not taken:
        return phase
    return replace(
        phase, steps=tuple(remember(step) if isinstance(step, Record) else step for step in phase.steps)
    )


def verified(
    world: World, cluster: str, plan: Plan, keeping: Sequence[Attached], scope: Scope
) -> Iterator[Event]:
    """Wait until no pod of these workloads has a proxy any more.

    Args:
        world: doors to the clusters.
        cluster: name of the one to look at.
        plan: what took them out.
        keeping: proxies that are known to stay.
        scope: what is to go; its time is the budget.

    Raises:
        FailedError: some have one still; the control plane is still there.
    """
    door, clock = world.clusters[cluster], world.clock
    refs = [step.ref for step in plan.steps if isinstance(step, Relabel | Restart | Evict | Await)]
    namespaces = {ref.namespace or ref.name for ref in refs}
    known = {each.place for each in keeping}
    until, told = clock.monotonic() + scope.seconds, ""
    while left := sorted(_left(door, namespaces) - known):
        if clock.monotonic() >= until:
            raise FailedError(
                "still-injected",
                f"{len(left)} pods still have a proxy; the control plane is still there",
                hint="see what makes them, then run the same command again",
                details=left,
            )
        if told != left[0]:
            told = left[0]
            yield Waiting(GROUP, f"{len(left)} pods", f"{told} still has a proxy")
        clock.sleep(_PAUSE)
    yield Done(GROUP, "no pod has a sidecar any more")


def _left(door: Cluster, namespaces: Collection[str]) -> set[str]:
    injected = [pod for pod in door.list("v1", "Pod", labels=INJECTED, fields=ALIVE) if not pod.is_leaving]
    found = {pod.ref.place for pod in injected if proxy_container(pod) is not None and not _is_gateway([pod])}
    ambient = (pod for each in namespaces for pod in door.list("v1", "Pod", namespace=each, fields=ALIVE))
    found |= {each.place for each in in_ambient(ambient)}
    return {place for place in found if place.partition("/")[0] in namespaces}


def _without_injection_labels(plan: Plan) -> Plan:
    """Labels that ask for a sidecar stay: without webhooks nobody heeds them, and they are the user's."""
    phases = []
    for phase in plan.phases:
        steps = [
            replace(step, labels=tuple(each for each in step.labels if each[0] == AMBIENT))
            if isinstance(step, Relabel)
            else step
            for step in phase.steps
        ]
        kept = tuple(step for step in steps if not isinstance(step, Relabel) or step.labels)
        if kept:
            phases.append(replace(phase, steps=kept))
    return Plan(plan.cluster, tuple(phases))


def _why(one: Attached, riders: Riders) -> str:
    """Why a proxy cannot be taken out."""
    if one.carrier is Carrier.VM:
        return _MACHINE
    for ref, pods in riders.pods.items():
        if any(pod.ref.place == one.place for pod in pods):
            if _is_gateway(pods):
                return _GATEWAY
            return next((each.why for each in riders.stayers if each.name == str(ref)), _UNKNOWN)
    return _ELSEWHERE if one.carrier is Carrier.UNKNOWN else _UNKNOWN


def _is_gateway(pods: Sequence[Object]) -> bool:
    return any(each.carrier in (Carrier.GATEWAY, Carrier.WAYPOINT) for each in seats(pods, ""))


class _Without:
    """A cluster as it is when some of its objects are gone."""

    def __init__(self, cluster: Cluster, gone: frozenset[Ref]) -> None:
        self._cluster = cluster
        self._gone = gone

    def list(self, api_version: str, kind: str, **selectors: Any) -> tuple[Object, ...]:
        found = self._cluster.list(api_version, kind, **selectors)
        return tuple(obj for obj in found if obj.ref not in self._gone)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)
