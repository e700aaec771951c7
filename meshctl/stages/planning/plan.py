"""From what is desired and what is seen to the steps between them."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, ConflictError, listed
from meshctl.model.labels import MESH, TAG
from meshctl.model.plan import Apply, Await, Condition, Delete, Phase, Plan, Probe, Record
from meshctl.model.release import Release, Status
from meshctl.stages.planning import tags
from meshctl.stages.planning.claims import Claims
from meshctl.stages.planning.definitions import newest_kept
from meshctl.stages.planning.difference import adjusted, changes, held_by_others, words
from meshctl.stages.planning.kinds import DEFINITION, by_rank, same
from meshctl.stages.planning.records import CUT_SHORT, current
from meshctl.stages.removing.belongings import comes_with_istiod
from meshctl.stages.removing.webhook_guard import require_answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.objects import Object, Ref
    from meshctl.model.observation import Observation


def plan(
    desired: Manifest,
    seen: Observation,
    draft: Release,
    *,
    take_over: bool = False,
    adopt: bool = False,
    seconds: float = 300.0,
) -> Plan:
    """The steps that turn what is seen into what is desired.

    Args:
        desired: the parts to have.
        seen: the cluster as observed in this run. Its `objects` must cover `desired` and every ref
            of `seen.releases`; what is absent there counts as absent in the cluster.
        draft: what the caller knows of the release to come: mesh, cluster, version, revision,
            profile, namespace, created, values, labelled, and the inventory for a first one. Its
            generation, status and manifest are settled here, and the inventory and the time of
            creation are those of the record that is carried on.
        take_over: take fields that other managers hold.
        adopt: objects that stood before the first install and are desired become ours, with all that
            the istiod of then has made, so that they may be pruned and uninstalled.
        seconds: budget of each wait.

    Returns:
        Phases in order: record intent; for each rank of parts by need, objects in the order of
        their kinds, then the wait for what makes the parts ready; prune in reverse rank; record the
        result. Steps within a phase are independent. An object equal to what is seen yields no
        step, and a plan whose only steps would be records is empty, unless an earlier run was cut
        short: then it is finished. Definitions of a newer Istio that a release has sent stay.

    Raises:
        ConfigError: parts need each other in a circle.
        ConflictError: an object to apply holds fields of another manager, and `take_over` is off. What
            we had sent and an update has changed since is no such field: it is put right. Or what is
            pruned would leave a webhook of `seen.objects` without anybody who answers.
    """
    past = tuple(each for each in seen.releases if each.mesh == draft.mesh)
    own = tuple(each for each in past if each.revision == draft.revision)
    desired = newest_kept(desired, seen.objects, _held(past, draft.mesh))
    release = _settled(desired, draft, past, own, adopt=adopt)
    ranks = by_need(desired.parts)
    former = _former_objects(current(own, draft.mesh, draft.revision))
    applied = [tuple(applying(parts, seen, former, take_over=take_over)) for parts in ranks]
    _refuse_conflicts(chain.from_iterable(applied))
    pruned, warnings = _pruning(desired, seen, release, past, own, seconds)
    if not any(applied) and not pruned and not _unfinished(own, desired):
        return Plan(seen.cluster, (), warnings)
    body = [with_waits(parts, phases, seconds) for parts, phases in zip(ranks, applied, strict=True)]
    made = Plan(
        seen.cluster,
        (
            Phase("Record what is intended", (Record(replace(release, status=Status.PENDING)),)),
            *_leaving(desired, seen, seconds),
            *chain.from_iterable(body),
            *pruned,
            *_probes(desired.parts, release, seconds),
            Phase("Record what was done", (Record(replace(release, status=Status.DEPLOYED)),)),
        ),
        (*desired.warnings, *warnings),
    )
    require_answered(made, seen.objects)
    return made


def by_need(parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    """Parts in ranks: each needs only components of ranks before its own; by name within a rank.

    A need that no part provides is a component switched off, and asks for nothing.

    Raises:
        ConfigError: parts need each other in a circle.
    """
    waiting = sorted(parts, key=lambda part: part.name)
    ranks = []
    while waiting:
        components = {part.component for part in waiting}
        ready = tuple(part for part in waiting if not components.intersection(part.needs))
        if not ready:
            names = listed(part.name for part in waiting)
            raise ConfigError(
                "needs-circle",
                f"components need each other in a circle: {names}",
                hint="remove one of the `needs` in their component.yaml",
            )
        ranks.append(ready)
        waiting = [part for part in waiting if part not in ready]
    return tuple(ranks)


def _held(past: Sequence[Release], mesh: str) -> list[Release]:
    """The releases of every revision whose objects may be in the cluster."""
    revisions = {each.revision for each in past}
    return [each for revision in sorted(revisions) for each in current(past, mesh, revision)]


def _settled(
    desired: Manifest, draft: Release, past: Sequence[Release], own: Sequence[Release], *, adopt: bool
) -> Release:
    """The release that this plan makes: the newest one carried on when it was cut short, or the next."""
    inventory = past[-1].inventory if past else draft.inventory
    if adopt:
        ours = {same(ref) for ref in desired.refs}
        inventory = tuple(
            ref for ref in inventory if same(ref) not in ours and not comes_with_istiod(ref, draft.namespace)
        )
    labelled = dict(draft.labelled) | {
        name: labels for each in reversed(own) for name, labels in each.labelled
    }
    release = replace(
        draft,
        generation=1 + max((each.generation for each in past), default=0),
        manifest=desired,
        inventory=tuple(sorted(inventory)),
        labelled=tuple(sorted(labelled.items())),
    )
    if own and own[-1].status in CUT_SHORT and own[-1].manifest == desired:
        return replace(release, generation=own[-1].generation, created=own[-1].created)
    return release


def _unfinished(own: Sequence[Release], desired: Manifest) -> bool:
    """Whether a record is owed even though no object differs."""
    if not own or own[-1].status is Status.SUPERSEDED:
        return bool(desired.objects)
    return own[-1].status in CUT_SHORT


def _former_objects(records: Sequence[Release]) -> dict[Ref, list[Object]]:
    """What earlier releases sent, by name; several of one name when runs were cut short."""
    sent: dict[Ref, list[Object]] = {}
    for record in records:
        for obj in record.manifest.objects:
            sent.setdefault(obj.ref, []).append(obj)
    return sent


def applying(
    parts: Sequence[Part], seen: Observation, former: Mapping[Ref, Sequence[Object]], *, take_over: bool
) -> Iterator[Phase]:
    """The phases that send what differs of one rank of parts, in the order of kinds."""
    steps: dict[Ref, Apply] = {}
    for part in parts:
        for obj in part.objects:
            live = seen.objects.get(obj.ref)
            step = _apply(part, obj, live, former.get(obj.ref, ()), take_over=take_over)
            if step is not None:
                steps[obj.ref] = step
    names = listed(part.name for part in parts)
    for what, refs in by_rank(steps):
        yield Phase(f"Apply {what} of {names}", tuple(steps[ref] for ref in refs))


def _apply(
    part: Part, obj: Object, live: Object | None, former: Sequence[Object], *, take_over: bool
) -> Apply | None:
    if live is None or live.is_leaving:
        return Apply(part.name, obj, take_over=take_over, yields=part.yields)
    found = changes(obj, live, part.yields, former)
    if not found:
        return None
    if any(each.drifted for each in found) and not held_by_others(found):
        take_over = True  # what was changed behind our back is put right without asking
    return Apply(part.name, adjusted(obj, live, part.yields), live, found, take_over, part.yields)


def _leaving(desired: Manifest, seen: Observation, seconds: float) -> Iterator[Phase]:
    """The wait for desired objects that somebody is removing just now: until then, they cannot be sent."""
    waits = []
    for part in desired.parts:
        for ref in sorted(obj.ref for obj in part.objects):
            live = seen.objects.get(ref)
            if live is not None and live.is_leaving:
                waits.append(Await(part.name, ref, Condition.GONE, seconds))
    if waits:
        yield Phase("Wait until what is being removed is gone", tuple(waits))


def with_waits(parts: Sequence[Part], phases: Sequence[Phase], seconds: float) -> Iterator[Phase]:
    """Phases of one rank with the waits they call for.

    Definitions are awaited as soon as they are sent: the API server answers 404 for a custom kind
    until then. Workloads of the rank are awaited at its end, changed or not, because the next rank
    counts on them.
    """
    for phase in phases:
        yield phase
        sent = [step for step in phase.steps if isinstance(step, Apply) and step.ref.kind == DEFINITION]
        if sent:
            waits = (Await(step.part, step.ref, Condition.ESTABLISHED, seconds) for step in sent)
            yield Phase("Wait for definitions", tuple(waits))
    ready = tuple(Await(part.name, ref, Condition.READY, seconds) for part in parts for ref in part.ready)
    if ready:
        yield Phase(f"Wait for {listed(part.name for part in parts if part.ready)}", ready)


def _probes(parts: Sequence[Part], release: Release, seconds: float) -> Iterator[Phase]:
    """What comes after an install is injected and judged: it needs webhooks that answer.

    Those of the unnamed revision are of the tag `default`, which comes later than istiod. External and remote
    control planes have no injector of their own that could be asked.
    """
    injectors = [
        Probe(part.name, obj.ref, release.revision, release.namespace, seconds)
        for part in parts
        if part.component == "istiod"
        for obj in part.objects
        if obj.ref.kind == "MutatingWebhookConfiguration" and TAG not in obj.labels
    ]
    if injectors:
        yield Phase("Ask the webhooks", tuple(injectors))


def _refuse_conflicts(phases: Iterable[Phase]) -> None:
    """Tell before anything is sent what the API server would refuse at its turn."""
    steps = (step for phase in phases for step in phase.steps)
    taken = [
        (step.ref, clashes)
        for step in steps
        if isinstance(step, Apply) and not step.take_over and (clashes := held_by_others(step.changes))
    ]
    if not taken:
        return
    owners = {owner for _, clashes in taken for change in clashes for owner in change.owner.split(", ")}
    fields = sum(len(clashes) for _, clashes in taken)
    raise ConflictError(
        "fields-owned-by-others",
        f"{fields} fields of {len(taken)} objects belong to {listed(sorted(owners))}",
        hint="`--take-over` makes them ours; `meshctl plan --take-over` shows what would change",
        details=[f"{ref}: {words(clashes)}" for ref, clashes in taken],
    )


def _pruning(
    desired: Manifest,
    seen: Observation,
    release: Release,
    past: Sequence[Release],
    own: Sequence[Release],
    seconds: float,
) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    """The phases that remove what earlier releases sent and this one does not ask for."""
    kept = {same(ref) for ref in (*desired.refs, *release.inventory)}
    for other in {each.revision for each in past} - {release.revision}:
        kept |= {same(ref) for each in current(past, release.mesh, other) for ref in each.refs}
    phases: list[Phase] = []
    warnings: list[str] = []
    gone: set[tuple[str, str, str, str]] = set()
    for parts in _former_ranks(current(own, release.mesh, release.revision)):
        doomed = {}
        for part in parts:
            for ref in sorted(obj.ref for obj in part.objects):
                live = seen.objects.get(ref)
                if live is None or same(ref) in kept or same(ref) in gone:
                    continue
                if tags.is_given_away(live, release.revision):
                    continue  # the tag was given to another revision since
                gone.add(same(ref))
                reason = _stays(ref, live)
                if reason:
                    warnings.append(f"{ref} stays: {reason}")
                else:
                    doomed[ref] = part.name
        phases += _removing(doomed, seconds)
    return tuple(phases), tuple(warnings)


def _former_ranks(records: Sequence[Release]) -> Iterator[tuple[Part, ...]]:
    """Parts of earlier releases, newest release first, last rank first."""
    for record in reversed(records):
        yield from reversed(by_need(record.manifest.parts))


def _stays(ref: Ref, live: Object) -> str:
    """Why an object that is no longer desired must not be pruned; empty when it may go."""
    if ref.kind == DEFINITION:
        return "removing a definition removes every resource of its kind; `meshctl uninstall --purge` does"
    if ref.kind == "Namespace":
        return "removing a namespace removes all that is in it; `meshctl uninstall` does"
    claims = Claims.of(live)
    if MESH not in live.labels and claims.known and claims.ours is None:
        return "somebody else has replaced it since"
    return ""


def _removing(doomed: dict[Ref, str], seconds: float) -> Iterator[Phase]:
    why = "no longer part of the mesh"
    for what, refs in by_rank(doomed, reverse=True):
        yield Phase(f"Remove {what}", tuple(Delete(doomed[ref], ref, why) for ref in refs))
    if doomed:
        waits = tuple(Await(doomed[ref], ref, Condition.GONE, seconds) for ref in sorted(doomed))
        yield Phase("Wait until they are gone", waits)
