"""Install a mesh, or bring it in line: plan, rehearse, apply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions import rights
from meshctl.actions.adopt import adopted, as_it_stands
from meshctl.errors import AccessError, ConflictError, FailedError, MeshctlError
from meshctl.model.event import Changed, Done, Failed, Skipped, Unchanged
from meshctl.model.labels import MESH
from meshctl.model.plan import Apply
from meshctl.model.release import Release, Status
from meshctl.stages.planning.adoption import joined, refuse_unadopted
from meshctl.stages.planning.claims import Claims
from meshctl.stages.planning.plan import plan
from meshctl.stages.planning.records import standing
from meshctl.stages.planning.tags import held_back
from meshctl.stages.removing.belongings import comes_with_istiod, own_secrets
from meshctl.stages.rendering.render import render
from meshctl.stages.seeing.observe import inventory, look, observe, webhooks
from meshctl.stages.settings import catalogue, support
from meshctl.stages.settings.keeping import forgone, kept, require_same_version
from meshctl.stages.settings.recorded import asked_of
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl import ports
    from meshctl.model.event import Event
    from meshctl.model.manifest import Manifest
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Ref
    from meshctl.model.observation import Observation
    from meshctl.model.plan import Plan
    from meshctl.model.values import Values
    from meshctl.ports import Releases, World
    from meshctl.stages.settings.load import Loaded


@dataclass(frozen=True)
class Wave:
    """One cluster's turn: what it is to have, and the steps there."""

    cluster: str
    values: Values
    plan: Plan


def install(
    world: World, asked: Loaded, *, take_over: bool = False, adopt: bool = False, seconds: float = 300.0
) -> Iterator[Wave]:
    """Plan each cluster of the mesh. Only reads; a wave is sent by `doing.do`.

    Args:
        world: doors to the clusters of the mesh.
        asked: what the user gave, loaded.
        take_over: take fields that other managers hold.
        adopt: what stood there before and is desired becomes ours.
        seconds: budget of each wait.

    Raises:
        UnsupportedError: the cluster's Kubernetes is outside the range of this Istio.
        ConflictError: fields belong to other managers, and `take_over` is off; or an upgrade or a rotation is
            under way.
        ConfigError: the revision runs another version.
        AccessError: the cluster may not even be looked at; tells every right that an install needs.
    """
    for cluster in asked.mesh.clusters:
        try:
            draft = drafted(world, asked, cluster)
            require_same_version(draft.values, draft.seen.releases)
            refuse_during_upgrade(world.releases[cluster.name], asked.mesh.name)
            refuse_during_rotation(world.releases[cluster.name], asked.mesh.name)
            wave = planned(world, draft, take_over=take_over, adopt=adopt, seconds=seconds)
        except AccessError as error:
            if error.code == "not-allowed":  # the first of many: better to tell them all
                values = resolve(asked, cluster)
                desired = render(values, owner=asked.mesh.name, install=True)
                rights.require(world.clusters[cluster.name], values, desired)
            raise
        lost = forgone(draft.values, draft.seen.releases)
        if lost and not wave.plan.is_empty:
            wave = replace(wave, plan=replace(wave.plan, warnings=(lost, *wave.plan.warnings)))
        yield wave


def keeping(world: World, asked: Loaded, *, adopt: bool = False) -> tuple[str, str]:
    """The version and the revision to load the input with again, as they are there; see `keeping.kept`."""
    [records] = world.releases.values()
    try:
        recorded = kept(asked, records.of(asked.mesh.name))
        return as_it_stands(world, asked) if adopt and not any(recorded) else recorded
    except AccessError:  # `install` asks again, and tells every right that is missing
        return "", ""


def refuse_during_upgrade(records: Releases, mesh: str) -> None:
    """Keep everything else from working on a mesh that is half-way between two control planes.

    Raises:
        ConflictError: an upgrade by a second control plane is under way.
    """
    upgrade = records.upgrade(mesh)
    if upgrade is not None:
        raise ConflictError(
            "upgrade-under-way",
            f"an upgrade of mesh {mesh!r} from Istio {upgrade.source.version} to "
            f"{upgrade.target.version} is under way",
            hint="`meshctl upgrade resume` goes on, `meshctl upgrade abort` goes back",
        )


def refuse_during_rotation(records: Releases, mesh: str) -> None:
    """Keep what sends a cluster its authority from a mesh whose authorities are being replaced.

    Raises:
        ConflictError: a rotation is under way.
    """
    rotation = records.rotation(mesh)
    if rotation is not None:
        raise ConflictError(
            "rotation-under-way",
            f"a rotation of the authorities of mesh {mesh!r} is under way, at {str(rotation.stage)!r}",
            hint="`meshctl ca rotate` goes on, `meshctl ca rotate --abort` goes back",
        )


@dataclass(frozen=True)
class Draft:
    """What one cluster is to have, and what it has: all that a plan is made from.

    Attributes:
        values: settled settings.
        desired: the whole manifest, with the tag `default` even where another revision has it.
        seen: the cluster, with live objects for all of `desired` and of the records.
        release: what is known of the release to come; `planning.plan` settles the rest.
        warning: about the cluster's Kubernetes; empty when there is none.
    """

    values: Values
    desired: Manifest
    seen: Observation
    release: Release
    warning: str = ""


def drafted(world: World, asked: Loaded, cluster: Cluster) -> Draft:
    """Settle and render what is asked for one cluster, as it is now. Only reads.

    Raises:
        UnsupportedError: the cluster's Kubernetes is outside the range of this Istio.
    """
    door, records = world.clusters[cluster.name], world.releases[cluster.name]
    mesh = asked.mesh.name
    seen = observe(door, records, mesh, detections=catalogue.detections())
    warning = support.require(asked.version, seen.version)
    values = resolve(asked, cluster, seen)
    desired = render(values, owner=mesh, install=True)
    former = frozenset(ref for release in seen.releases for ref in release.refs)
    seen = replace(seen, objects={**webhooks(door), **look(door, desired.refs | former)})
    stands = any(each.revision == values.revision for each in standing(seen.releases, mesh))
    release = Release(
        mesh=mesh,
        cluster=cluster.name,
        generation=0,
        status=Status.PENDING,
        version=values.version.full,
        revision=values.revision,
        profile=values.profile,
        namespace=values.namespace,
        created=world.clock.now().isoformat(timespec="seconds"),
        manifest=desired,
        values=values.own(),
        inventory=() if seen.releases else _before(door, seen, values),
        asked=asked_of(asked, cluster),
        cause="brought in line" if stands else "install",
    )
    return Draft(values, desired, seen, release, warning or "")


def _before(door: ports.Cluster, seen: Observation, values: Values) -> tuple[Ref, ...]:
    """Names of all that was there before the mesh.

    What comes before the install is the mesh's: an authority, what a link has made, and what the istiod that
    serves this cluster has made since it reads it.
    """
    mesh = values.mesh.name
    ours = {ref for ref, obj in seen.objects.items() if obj.labels.get(MESH) == mesh}
    ours |= own_secrets(door, mesh).keys()
    served = bool(ours and values.cluster.control_plane)
    return tuple(
        ref
        for ref in inventory(door, kinds=seen.kinds)
        if ref not in ours and not (served and comes_with_istiod(ref, values.namespace))
    )


def planned(world: World, draft: Draft, *, take_over: bool, adopt: bool, seconds: float) -> Wave:
    """The steps to what is drafted. Only reads.

    Raises:
        ConflictError: fields belong to other managers, and `take_over` is off.
    """
    values, seen = draft.values, draft.seen
    desired = held_back(draft.desired, seen.objects, values.revision)
    name = draft.release.cluster
    door = world.clusters[name]
    steps = agreed(door, desired, seen, draft.release, take_over=take_over, adopt=adopt, seconds=seconds)
    if draft.warning:
        steps = replace(steps, warnings=(draft.warning, *steps.warnings))
    return Wave(name, values, steps)


def agreed(
    door: ports.Cluster,
    desired: Manifest,
    seen: Observation,
    release: Release,
    *,
    take_over: bool,
    adopt: bool,
    seconds: float,
) -> Plan:
    """The plan, where nobody else has a say in what it changes; see `planning.plan` for the arguments.

    Raises:
        ConflictError: fields belong to other managers, and `take_over` is off; or another tool has
            installed the mesh, and `adopt` is off.
        UnsupportedError: the mesh to adopt is of another version.
    """
    if not adopt:
        refuse_unadopted(desired, seen.objects)
        steps = plan(desired, seen, release, take_over=take_over, seconds=seconds)
        refuse_what_belongs_to_others(door, steps)
        return steps
    around = adopted(door, desired, seen, release)
    seen = replace(seen, objects=around.objects)
    steps = plan(
        desired, seen, release, take_over=take_over or bool(around.before), adopt=True, seconds=seconds
    )
    refuse_what_belongs_to_others(door, steps)
    return joined(steps, around)


def refuse_what_belongs_to_others(door: ports.Cluster, steps: Plan) -> None:
    """Ask the API server, by a dry run, about objects that others made and we never sent.

    Who owns a list that is one field as a whole (a definition's versions) cannot be told from the
    object alone: the server fills in defaults, and compares before it does.
    """
    foreign = [
        step
        for step in steps.steps
        if isinstance(step, Apply) and step.live is not None and Claims.of(step.live).ours is None
    ]
    details = []
    for step in foreign:
        try:
            door.apply(step.object, take_over=step.take_over, dry_run=True)
        except ConflictError as error:
            details += [f"{step.ref}: {line}" for line in error.details]
    if details:
        raise ConflictError(
            "fields-owned-by-others",
            "an install would change fields that belong to other field managers; nothing was sent",
            hint="`--take-over` makes them ours; `meshctl plan --take-over` shows what would change",
            details=details,
        )


def rehearse(world: World, steps: Plan) -> Iterator[Event]:
    """Let the API server judge every object of a plan without keeping any (server-side dry run).

    An object whose namespace or kind is itself part of the plan cannot be judged before that is
    there; it is skipped and says so.

    Raises:
        FailedError: the API server would refuse something; each was told as `Failed`.
    """
    door = world.clusters[steps.cluster]
    failed = 0
    for step in steps.steps:
        if not isinstance(step, Apply):
            continue
        try:
            after = door.apply(step.object, take_over=step.take_over, dry_run=True)
        except (ConflictError, AccessError, FailedError) as error:
            if _comes_later(steps, step, error):
                yield Skipped(
                    step.part, str(step.ref), "cannot be judged before its namespace or kind is there"
                )
                continue
            failed += 1
            yield Failed(step.part, str(step.ref), error)
            continue
        same = step.live is not None and after.content == step.live.content
        yield Unchanged(step.part, str(step.ref)) if same else Changed(step.part, str(step.ref), "dry run")
    if failed:
        raise FailedError(
            "dry-run-failed", f"the API server would refuse {failed} objects", hint="nothing was sent"
        )
    yield Done("dry run", "nothing was sent")


def _comes_later(steps: Plan, step: Apply, error: MeshctlError) -> bool:
    """Whether the refusal is only that the namespace or the kind is not there yet."""
    if error.code != "not-found":
        return False
    coming = {each.ref for each in steps.steps if isinstance(each, Apply) and each.live is None}
    return any(
        ref.kind == "CustomResourceDefinition" or (ref.kind == "Namespace" and ref.name == step.ref.namespace)
        for ref in coming
    )
