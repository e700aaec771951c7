"""Plans that move workloads to another control plane, back again, or out of the mesh."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from meshctl.model.labels import REVISION
from meshctl.model.objects import Ref
from meshctl.model.plan import Await, Condition, Delete, Evict, Phase, Plan, Relabel, Restart
from meshctl.model.tag import DEFAULT
from meshctl.model.upgrade import Method
from meshctl.stages.applying.readiness import unready
from meshctl.stages.moving.injectors import INJECTION, named
from meshctl.stages.moving.judging import GATEWAY, is_gateway, leads_itself
from meshctl.stages.moving.methods import rolls
from meshctl.stages.moving.owners import maker
from meshctl.stages.moving.workloads import AMBIENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.plan import Step
    from meshctl.model.upgrade import Batch, Labels, Mover
    from meshctl.stages.moving.workloads import Riders

LABELS: Final = (INJECTION, REVISION)
"""Labels of a namespace that decide who injects its pods."""


def relabelled(labels: Mapping[str, str], to: str) -> Labels:
    """What leads a namespace with these labels to a control plane.

    `istio-injection` would beat the revision, and so goes.
    """
    gone = ((INJECTION, None),) if INJECTION in labels else ()
    return (*gone, (REVISION, named(to)))


def labels_before(labels: Mapping[str, str]) -> Labels:
    """What puts these labels back, whatever a move makes of them."""
    return tuple((key, labels.get(key)) for key in LABELS)


def touched(batch: Batch, riders: Riders) -> tuple[tuple[str, Labels], ...]:
    """What a move of this batch changes labels of, with those as they are: to be recorded before it.

    Namespaces by name, Gateways of the Gateway API as `namespace/name`.
    """
    namespaces = [
        (name, labels_before(riders.labels[name])) for name in batch.namespaces if name in riders.labels
    ]
    gateways = [
        (gateway.ref.place, ((REVISION, gateway.labels.get(REVISION)),))
        for gateway in _gateways(batch, riders)
    ]
    return (*namespaces, *gateways)


def move(cluster_name: str, batch: Batch, riders: Riders, *, to: str, moment: str, seconds: float) -> Plan:
    """Lead the namespaces of a batch to a control plane, and have its workloads make their pods anew.

    Only what is not there yet is moved: `riders` tells whose pods still have proxies of the old one, and
    a workload that is already being made anew at this `moment` is only awaited. What is not ready before
    is awaited first, so that nothing moves that could not be told from a move that failed.

    Args:
        cluster_name: name of the cluster within the mesh.
        batch: what moves.
        riders: who rides with the control plane that is left, as seen now.
        to: the control plane that they move to; empty is the unnamed one.
        moment: written into pod templates, RFC 3339.
        seconds: budget of each wait and of each eviction.
    """
    moves = _Moves(batch.name, riders, moment, seconds)
    moving = [now for each in batch.workloads if (now := _now(each, riders)) is not None]
    labels = {name: relabelled(riders.labels.get(name, {}), to) for name in batch.namespaces}
    relabels = [
        *_namespaces(batch.name, riders, labels),
        *(
            Relabel(batch.name, gateway.ref, ((REVISION, named(to)),), "it asks for the new revision")
            for gateway in _gateways(batch, riders)
            if gateway.labels.get(REVISION) != named(to)
        ),
    ]
    return _plan(
        cluster_name,
        Phase("Wait for workloads that are not ready yet", tuple(moves.unready(moving))),
        Phase(f"Lead namespaces to revision {named(to)}", tuple(relabels)),
        *moves.anew(moving),
        Phase("Wait for workloads", tuple(moves.awaits(batch.workloads, named(to)))),
    )


def back(
    cluster_name: str,
    batch: Batch,
    riders_now: Riders,
    labelled: Iterable[tuple[str, Labels]],
    *,
    moment: str,
    seconds: float,
    to: str | None = None,
    keep: Collection[Ref] = (),
) -> Plan:
    """Put the labels of a batch's namespaces back, and have what has moved make its pods anew once more.

    What moved by itself in these namespaces, because its pods were made anew meanwhile, goes back too. What
    was not begun is neither touched nor waited for, as it may not be well where it is.

    Args:
        cluster_name: name of the cluster within the mesh.
        batch: what goes back.
        riders_now: who rides with the control plane that is left this time, as seen now.
        labelled: namespaces and Gateways with their labels as they were, as `touched` told them.
        moment: written into pod templates, RFC 3339; another than that of the move.
        seconds: budget of each wait and of each eviction.
        to: the control plane that they go back to, so that what istiod makes for Gateways can be awaited.
        keep: workloads that moved before this batch, and stay where they are.
    """
    moves = _Moves(batch.name, riders_now, moment, seconds)
    own = {each.ref for each in batch.workloads}
    moving = [
        each
        for each in (*riders_now.moving, *riders_now.losing)
        if each.ref in own or (each.ref.namespace in batch.namespaces and each.ref not in keep)
    ]
    before = dict(labelled)
    labels = {name: before[name] for name in batch.namespaces if name in before}
    relabels = tuple(_namespaces(batch.name, riders_now, labels))
    moving += _stalled(batch, riders_now, {step.ref.name for step in relabels}, moving)
    gateways = [
        Relabel(batch.name, gateway.ref, before[gateway.ref.place], "as it was")
        for gateway in _gateways(batch, riders_now)
        if gateway.ref.place in before
    ]
    known = {each.ref for each in moving}
    following = [each for each in batch.workloads if each.method is Method.FOLLOW and each.ref not in known]
    return _plan(
        cluster_name,
        Phase("Put labels back", (*relabels, *gateways)),
        *moves.anew(moving, stuck=True),
        Phase(
            "Wait for workloads", tuple(moves.awaits((*moving, *following), "" if to is None else named(to)))
        ),
    )


def _stalled(batch: Batch, riders: Riders, changed: Collection[str], moving: Sequence[Mover]) -> list[Mover]:
    """Workloads that were begun, and have no pod of the new control plane: not one could be made.

    Their ReplicaSets try again only now and then; a new template is tried at once.
    """
    known = {each.ref for each in moving}
    return [
        each
        for each in batch.workloads
        if each.method is Method.RESTART
        and each.ref not in known
        and each.ref.namespace in changed
        and (live := riders.live.get(each.ref)) is not None
        and unready(live)
    ]


def restored(
    cluster_name: str,
    part: str,
    riders: Riders,
    labelled: Iterable[tuple[str, Labels]],
    *,
    contested: bool = False,
) -> Plan:
    """Put labels back that moves have changed, without making any pod of a workload anew.

    The unnamed istiod takes every Gateway that names no revision for its own, whoever has the default. Beside
    another that has it, the two would write the same Deployment in turn for as long as both are there.

    Args:
        cluster_name: name of the cluster within the mesh.
        part: what the steps are told to belong to.
        riders: anybody's, as seen now; tells which namespaces and Gateways are still there.
        labelled: as `touched` told it.
        contested: whether there is such an unnamed istiod: what keeps Gateways from it is left as it is, to
            be put back when it is gone.
    """
    before = dict(labelled)
    gateways = {ref: obj for ref, obj in sorted(riders.live.items()) if ref.kind == GATEWAY[1]}
    held = {
        *(ref.place for ref in gateways if contested),
        *(ref.namespace for ref, obj in gateways.items() if contested and REVISION not in obj.labels),
    }
    held = {place for place in held if dict(before.get(place, ())).get(REVISION) in (None, DEFAULT)}
    namespaces = {name: labels for name, labels in before.items() if "/" not in name and name not in held}
    relabels = [
        Relabel(part, ref, before[ref.place], "as it was")
        for ref, obj in gateways.items()
        if ref.place in before and ref.place not in held and not _has(obj.labels, before[ref.place])
    ]
    return _plan(cluster_name, Phase("Put labels back", (*_namespaces(part, riders, namespaces), *relabels)))


def renewed(
    cluster_name: str, part: str, riders: Riders, refs: Collection[Ref], *, moment: str, seconds: float
) -> Plan:
    """Have workloads make their pods anew where they are; no label changes.

    What istiod makes for a Gateway is restarted as any Deployment: it keeps its hands off that annotation.

    Args:
        cluster_name: name of the cluster within the mesh.
        part: what the steps are told to belong to.
        riders: whoever has a proxy, as seen now.
        refs: the workloads; those that cannot be made anew are left alone.
        moment: written into pod templates, RFC 3339: one that has it already is only awaited.
        seconds: budget of each wait and of each eviction.
    """
    moves = _Moves(part, riders, moment, seconds)
    moving = [
        replace(each, method=Method.RESTART) if each.method is Method.FOLLOW else each
        for each in riders.in_place
        if each.ref in refs
    ]
    return _plan(
        cluster_name,
        *moves.anew(moving),
        Phase("Wait for workloads", tuple(moves.awaits(moving, ""))),
    )


def uninjected(cluster_name: str, riders: Riders, *, moment: str, seconds: float) -> Plan:
    """Take away what leads namespaces to a control plane, and have workloads make their pods without proxy.

    Gateways are not among them, as they are nothing but a proxy. What is injected because its own pods ask
    for it goes without only once no webhook answers that; the plan's warnings name it.
    Enrolment in ambient mode ends where `riders` are those of any control plane.

    Args:
        cluster_name: name of the cluster within the mesh.
        riders: whose proxies go.
        moment: written into pod templates, RFC 3339.
        seconds: budget of each wait and of each eviction.
    """
    part = "workloads"
    moves = _Moves(part, riders, moment, seconds)
    names = LABELS if riders.revision is not None else (*LABELS, AMBIENT)
    taken = {
        name: labels
        for name in riders.labels
        if (labels := tuple((key, None) for key in names if _leads(riders, name, key)))
    }
    out = [*riders.movers, *riders.losing]
    moving = [each for each in out if not is_gateway(riders.pods[each.ref])]
    gateways = [each for each in out if each not in moving]
    warnings = [
        *(f"{each.ref}: {each.why}" for each in riders.late),
        *(
            f"{each.ref} is a gateway, and nothing without its proxy; remove it"
            for each in (*riders.gateways, *gateways)
        ),
    ]
    steps = _plan(
        cluster_name,
        Phase("Take labels away", tuple(_namespaces(part, riders, taken))),
        *moves.anew(moving),
        Phase("Wait for workloads", tuple(moves.awaits(moving, ""))),
    )
    return replace(steps, warnings=tuple(warnings))


def _leads(riders: Riders, namespace: str, key: str) -> bool:
    """Whether this label of a namespace is there, and one that goes with these riders."""
    value = riders.labels[namespace].get(key)
    if key == AMBIENT:
        return value == "ambient"
    is_told = value is not None and value != "disabled"
    return is_told and (riders.revision is None or namespace in riders.namespaces)


def _now(mover: Mover, riders: Riders) -> Mover | None:
    """What is to be done now about a workload of a batch; None where none of its pods is left behind."""
    return next((each for each in (*riders.moving, *riders.late) if each.ref == mover.ref), None)


def _gateways(batch: Batch, riders: Riders) -> Iterator[Object]:
    """Gateways whose own label leads what istiod makes for them."""
    for each in batch.workloads:
        gateway = riders.gateway_of(each.ref) if each.method is Method.FOLLOW else None
        if gateway is not None and leads_itself(gateway, riders.labels.get(each.ref.namespace, {})):
            yield gateway


def _namespaces(part: str, riders: Riders, wanted: Mapping[str, Labels]) -> Iterator[Relabel]:
    """The steps that give namespaces these labels, where they have others."""
    for name, labels in sorted(wanted.items()):
        if name in riders.labels and not _has(riders.labels[name], labels):
            yield Relabel(part, Ref("v1", "Namespace", "", name), labels)


def _has(there: Mapping[str, str], labels: Labels) -> bool:
    return all(there.get(key) == value for key, value in labels)


def _plan(cluster_name: str, *phases: Phase) -> Plan:
    return Plan(cluster_name, tuple(phase for phase in phases if phase.steps))


class _Moves:
    """The steps by which workloads make their pods anew."""

    def __init__(self, part: str, riders: Riders, moment: str, seconds: float) -> None:
        self._part = part
        self._riders = riders
        self._moment = moment
        self._seconds = seconds

    def unready(self, moving: Iterable[Mover]) -> Iterator[Await]:
        """Waits for those that are not ready as it is."""
        yield from self.awaits([each for each in moving if each.ref in self._riders.unready], "")

    def anew(self, moving: Sequence[Mover], *, stuck: bool = False) -> Iterator[Phase]:
        """Restarts, all at once, then evictions, one at a time for each workload.

        Args:
            moving: what is made anew.
            stuck: whether pods that are not ready are taken away, too, where their StatefulSet would wait
                for them for ever instead of going on with its new template.
        """
        restarts: list[Step] = []
        for each in moving:
            if each.method is Method.RESTART:
                restarts.append(Restart(self._part, each.ref, self._moment, each.why))
                if stuck and each.ref.kind == "StatefulSet":
                    restarts += self._stuck(each)
        yield Phase("Make pods anew", tuple(restarts))
        evicted = [each for each in moving if each.method is Method.EVICT]
        most = max((len(self._riders.pods[each.ref]) for each in evicted), default=0)
        for number in range(most):
            turn = [(each, self._riders.pods[each.ref][number:]) for each in evicted]
            now = [(each, left[0], len(left) == 1) for each, left in turn if left]
            yield Phase("Let pods end as budgets allow", tuple(self._end(each, pod) for each, pod, _ in now))
            yield Phase("Wait until they are gone", tuple(self._gone(pod) for _, pod, _ in now))
            between = [each for each, _, is_last in now if not is_last]
            yield Phase("Wait for those in their place", tuple(self.awaits(between, "")))

    def awaits(self, workloads: Iterable[Mover], revision: str) -> Iterator[Await]:
        """Waits until workloads are ready again; those that are gone are waited for no more.

        Pods that were evicted are counted, as whoever makes them may not have noticed yet that one is gone.
        """
        for each in workloads:
            match each.method:
                case Method.FOLLOW:
                    yield self._ready(each.ref, revision=revision)
                case Method.RESTART:
                    yield self._ready(each.ref)
                case Method.EVICT if rolls(each.ref):
                    yield self._ready(each.ref, pods=1)
                case Method.EVICT:
                    for ref, pods in sorted(self._makers(each).items()):
                        yield self._ready(ref, pods=pods)
                case _:
                    assert_never(each.method)

    def _makers(self, mover: Mover) -> dict[Ref, int]:
        """What makes the pods of an owner of another kind, such as ReplicaSets, and how many each has."""
        count: dict[Ref, int] = {}
        for pod in self._riders.pods.get(mover.ref, ()):
            if (ref := maker(pod)) is not None:
                count[ref] = count.get(ref, 0) + 1
        return count

    def _ready(self, ref: Ref, *, revision: str = "", pods: int = 0) -> Await:
        return Await(
            self._part, ref, Condition.READY, self._seconds, or_gone=True, revision=revision, pods=pods
        )

    def _end(self, mover: Mover, pod: Object) -> Step:
        if why := unready(pod):
            # No budget counts it as healthy, and one that lacks a pod would not let this one go either.
            return Delete(self._part, pod.ref, f"of {mover.ref}: {why}")
        return Evict(self._part, pod.ref, self._seconds, f"of {mover.ref}: {mover.why}", pod.uid)

    def _gone(self, pod: Object) -> Await:
        return Await(self._part, pod.ref, Condition.GONE, self._seconds, uid=pod.uid)

    def _stuck(self, mover: Mover) -> Iterator[Delete]:
        for pod in self._riders.pods.get(mover.ref, ()):
            if why := unready(pod):
                yield Delete(self._part, pod.ref, f"of {mover.ref}: {why}")
