"""From what is seen of a mesh to the steps that leave nothing of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.labels import MESH
from meshctl.model.plan import Await, Condition, Delete, Phase, Plan, Record, Relabel, Save, Strip
from meshctl.model.release import Status
from meshctl.stages.planning.claims import Claims, names
from meshctl.stages.planning.kinds import WEBHOOKS, WORKLOADS, same
from meshctl.stages.removing.belongings import INJECTION, is_istio
from meshctl.stages.removing.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshctl.model.objects import Object, Ref
    from meshctl.model.observation import Observation
    from meshctl.model.release import Release
    from meshctl.model.removal import Doomed, Scope
    from meshctl.stages.removing.verdict import Verdict

_ORDER = ("base", "cni", "istiod", "ztunnel")
"""Components in the order in which they are installed; all others stand on these. It is said here
once more because a mesh whose record is lost, or that another tool installed, has no `needs`."""

_OURS = "meshctl.dev/"
ADMISSION = frozenset({*WEBHOOKS, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"})


def removal(seen: Observation, scope: Scope, present: Sequence[Ref], *, head: str = "") -> Plan:
    """The steps that remove a mesh, in an order in which nothing can stand in the way.

    It hangs on nothing of the mesh being in order: webhooks go first, so that a broken istiod blocks
    nothing; what istiod's controllers make goes after istiod, which would make it again.

    Args:
        seen: the cluster with its records; `objects` holds what the records list and what
            `belongings.sight` finds.
        scope: how much is to go.
        present: names of all objects of the cluster, as `observe.inventory` gives them.
        head: YAML that is saved before the user's resources; see `restoring.backup`.

    Returns:
        Phases: record the intent; save resources whose definitions go; webhooks; workloads; the
        namespace, definitions and all the rest; wait until that is gone; what istiod's controllers
        made elsewhere; labels of namespaces put back; forget the records, or keep them as superseded
        where other control planes of the mesh go on.
        Objects that stood before the first install stay, and so does a namespace that holds what
        others made: `warnings` says so. A plan with nothing to do is empty.
    """
    verdict = judge(seen, scope, present)
    phases, warnings = _stripping(seen, scope, verdict)
    body = [
        *_saving(seen, scope, verdict, head),
        *phases,
        *_removing(seen, verdict),
        *_waiting(seen, scope, verdict),
        *_deleting("Remove what istiod made", verdict.made),
        *_labels(seen, scope, verdict),
    ]
    told = (*verdict.warnings, *warnings)
    if not body and not verdict.records:
        return Plan(seen.cluster, (), told)
    return Plan(seen.cluster, tuple(_recorded(verdict, body)), told)


def doomed(plan: Plan) -> tuple[Ref, ...]:
    """Everything that a plan removes by name."""
    return tuple(step.ref for step in plan.steps if isinstance(step, Delete))


def _recorded(verdict: Verdict, body: Sequence[Phase]) -> Iterator[Phase]:
    if verdict.records:
        intent = Record(replace(verdict.records[-1], status=Status.UNINSTALLING))
        yield Phase("Record what is intended", (intent,))
    yield from body
    if verdict.beside:
        kept = tuple(Record(replace(each, status=Status.SUPERSEDED)) for each in verdict.records)
        yield Phase("Keep the records as superseded", kept)
    elif verdict.records:
        forgotten = tuple(Record(each, forget=True) for each in verdict.records)
        yield Phase("Forget the records", forgotten)


def _saving(seen: Observation, scope: Scope, verdict: Verdict, head: str) -> Iterator[Phase]:
    groups = {each.ref.name.partition(".")[2] for each in verdict.definitions}
    users = [ref for ref in users_resources(seen.objects, verdict.records) if ref.group in groups]
    if users:
        yield Phase("Save your Istio resources", (Save("base", tuple(users), scope.file, head),))


def users_resources(objects: Iterable[Ref], records: Iterable[Release]) -> tuple[Ref, ...]:
    """Resources of Istio's own kinds that are the user's, as no record lists them; sorted."""
    sent = {same(ref) for record in records for ref in record.refs}
    return tuple(sorted(ref for ref in objects if is_istio(ref.group) and same(ref) not in sent))


def _stripping(
    seen: Observation, scope: Scope, verdict: Verdict
) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    """Definitions take the resources of their kinds with them, and wait for their finalizers."""
    held = tuple(
        Strip("base", ref, tuple(obj.at("metadata.finalizers")))
        for ref, obj in sorted(seen.objects.items())
        if verdict.definitions and is_istio(ref.group) and obj.at("metadata.finalizers")
    )
    if scope.strip:
        return ((Phase("Strip finalizers", held),) if held else ()), ()
    return (), tuple(
        f"{each.ref} goes only when its finalizers are done: {listed(each.finalizers)}; "
        "their controller must run, or `--strip-finalizers` takes them away"
        for each in held
    )


def _removing(seen: Observation, verdict: Verdict) -> Iterator[Phase]:
    """Webhooks, then workloads, from gateways inwards, then all the rest at once.

    The namespace is asked first of the rest, as its controller lets five seconds pass before it
    begins; roles, configuration and definitions need no pods to have ended either.
    """
    components = verdict.components
    admission = [each for each in components if each.ref.kind in ADMISSION]
    workloads = [each for each in components if each.ref.kind in WORKLOADS]
    others = set(components) - set(admission) - set(workloads)
    asked = [each for each in verdict.namespace if not seen.objects[each.ref].is_leaving]
    yield from _deleting("Remove webhooks and admission policies", admission)
    yield from _deleting("Remove workloads", sorted(workloads, key=_outermost_first))
    rest = [*asked, *sorted(others, key=_outermost_first), *verdict.definitions]
    yield from _deleting("Remove all the rest", rest)


def _waiting(seen: Observation, scope: Scope, verdict: Verdict) -> Iterator[Phase]:
    """One wait for all that does not go at once."""
    slow = [each for each in verdict.components if each.ref.kind in WORKLOADS or _lingers(seen, each.ref)]
    waits = tuple(
        Await(each.component, each.ref, Condition.GONE, scope.seconds)
        for each in chain(slow, verdict.definitions, verdict.namespace)
    )
    if waits:
        yield Phase("Wait until they are gone", waits)


def _lingers(seen: Observation, ref: Ref) -> bool:
    """Whether finalizers keep an object for a while, as a load balancer's does."""
    live = seen.objects.get(ref)
    return live is not None and bool(live.at("metadata.finalizers"))


def _labels(seen: Observation, scope: Scope, verdict: Verdict) -> Iterator[Phase]:
    """Put back labels that we set on namespaces that stay."""
    if verdict.beside:
        return
    before = {name: dict(labels) for record in verdict.records[::-1] for name, labels in record.labelled}
    going = {each.ref for each in verdict.namespace}
    steps = []
    for ref, obj in sorted(seen.objects.items()):
        if ref.kind != "Namespace" or ref.group or ref in going:
            continue
        changed: dict[str, str | None] = dict.fromkeys(_our_labels(obj, scope.mesh))
        if ref.name in before:
            past = before[ref.name]
            changed |= {key: past.get(key) for key in INJECTION if obj.labels.get(key) != past.get(key)}
        if changed:
            steps.append(Relabel("namespaces", ref, tuple(sorted(changed.items())), "labelled by meshctl"))
    if steps:
        yield Phase("Put labels of namespaces back", tuple(steps))


def _our_labels(obj: Object, mesh: str) -> Iterator[str]:
    """Labels that a namespace has from our install, and from nobody else."""
    if obj.labels.get(MESH) != mesh:
        return
    held = Claims.of(obj).field("metadata").field("labels")
    ours = {name for name, _ in names(held.ours or {})}
    for key in obj.labels:
        if key.startswith(_OURS) or (key in ours and not held.field(key).others):
            yield key


def _layer(each: Doomed) -> int:
    return _ORDER.index(each.component) if each.component in _ORDER else len(_ORDER)


def _outermost_first(each: Doomed) -> tuple[int, Ref]:
    return -_layer(each), each.ref


def _deleting(title: str, group: Sequence[Doomed]) -> Iterator[Phase]:
    if group:
        yield Phase(title, tuple(Delete(each.component, each.ref, each.why) for each in group))
