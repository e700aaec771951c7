"""Remove a mesh or one of its control planes, and prove that nothing is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions import uninject
from meshctl.actions.backup import heading
from meshctl.actions.detaching import refusals, servers_of, unanswered_by
from meshctl.actions.doing import do, require_same
from meshctl.actions.rotation.leaving import left
from meshctl.errors import ConfigError, ConflictError, MeshctlError, Where, listed, nearest
from meshctl.model.labels import INJECTED, MESH
from meshctl.model.plan import Delete, Plan, Record
from meshctl.model.release import Status
from meshctl.model.tag import DEFAULT
from meshctl.stages.moving.moves import restored
from meshctl.stages.moving.workloads import found
from meshctl.stages.planning.kinds import WORKLOADS
from meshctl.stages.planning.tags import revision_of, tags
from meshctl.stages.removing.attached import by_xds, goes_silent, in_ambient, in_pods, leading
from meshctl.stages.removing.belongings import is_istiod, own_secrets, sight
from meshctl.stages.removing.draining import OWNED, drained
from meshctl.stages.removing.removal import ADMISSION, doomed, removal, users_resources
from meshctl.stages.removing.residue import residue
from meshctl.stages.removing.verdict import is_last
from meshctl.stages.removing.webhook_guard import unanswered
from meshctl.stages.seeing.observe import inventory, look, observe
from meshctl.stages.seeing.sync import ALIVE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from meshctl import ports
    from meshctl.model.event import Event
    from meshctl.model.objects import Object, Ref
    from meshctl.model.observation import Observation
    from meshctl.model.release import Release
    from meshctl.model.removal import Scope
    from meshctl.ports import World
    from meshctl.stages.removing.attached import Attached, Leading
    from meshctl.stages.removing.residue import Remainder

_ZTUNNEL = "ztunnel"
_NAMESPACES = "namespaces"


@dataclass(frozen=True)
class Leave:
    """One cluster's turn: what goes there, and whom it leaves without a control plane.

    Attributes:
        cluster: name of the cluster.
        plan: the steps; where sidecars are taken out first, they are planned anew after that.
        freeing: the steps that take sidecars out; empty where nobody asks for it, or has one.
        labels: the steps that put back what an upgrade under way has changed of labels, before all else;
            empty where there is none, or another control plane stays.
        attached: proxies that lose their control plane, those that are taken out aside.
        leading: tags that lead to the control plane that goes, while others stay.
        unasked: why istiods could not say which proxies they have; empty when they could.
        webhooks: those that stay and lose what answers them, each with the reason.
        before: names of all objects before the first install; empty where no record tells.
        scope: how much is to go; the revision of the last control plane is None, as all goes with it.
    """

    cluster: str
    plan: Plan
    freeing: Plan
    labels: Plan
    attached: tuple[Attached, ...]
    leading: tuple[Leading, ...]
    unasked: str
    webhooks: tuple[str, ...]
    before: tuple[Ref, ...]
    scope: Scope

    @property
    def refusals(self) -> tuple[MeshctlError, ...]:
        """Why this is not done without `--force`; none where it is forced or nothing speaks against it."""
        return refusals(self.scope, self.attached, self.leading, self.webhooks)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.plan.is_empty and self.labels.is_empty

    def left(self, world: World) -> tuple[Remainder, ...]:
        """What is still there and was not there before, each with the reason why it stays. Only reads."""
        door = world.clusters[self.cluster]
        kinds = door.kinds()
        seen = {**sight(door, kinds), **own_secrets(door, self.scope.mesh)}
        return residue(self.before, inventory(door, kinds=kinds), seen, self.scope)


def uninstall(
    world: World, scope: Scope, *, drain: int = 2, besides: Collection[str] = ()
) -> Iterator[Leave]:
    """Plan the removal from each cluster. Only reads; it is done by `remove`.

    It needs no files, and no record either: what a record does not list is found by labels and names.

    Args:
        world: doors to the clusters.
        scope: how much is to go; without a name of the mesh, the only one that is recorded.
        drain: seconds that gateways and control planes may finish what is under way.
        besides: other clusters that the mesh leaves; what becomes of their proxies is judged there.

    Raises:
        ConfigError: several meshes are recorded and none is named, or there is no such mesh or revision.
    """
    for name in world.clusters:
        yield _leave(world, name, scope, drain, besides)


def remove(world: World, leave: Leave, *, drain: int = 2) -> Iterator[Event]:
    """Do what was planned: take sidecars out where that is asked for, then remove.

    Labels that an upgrade under way has changed are put back before it is forgotten. Then injection ends,
    as its webhooks go; istiod serves the proxies there are until all are gone. Run again after it was
    stopped, it goes on where it was.

    Args:
        world: doors to the clusters.
        leave: one cluster's turn.
        drain: as for `uninstall`.

    Raises:
        FailedError: a workload does not come right without its sidecar, or a step failed; the control
            plane is still there.
        ConflictError: somebody else is at work on the mesh, an upgrade needs the revision that goes, or what
            was planned for one revision is not what would be done now.
    """
    name, mesh = leave.cluster, leave.scope.mesh
    records = world.releases[name]
    recorded = any(isinstance(step, Record) for step in leave.plan.steps) or records.upgrade(mesh)
    with records.lock(mesh) if recorded else nullcontext():
        yield from _end_upgrade(world, leave)
        if leave.scope.revision is None:
            left(world, name, mesh)
        if leave.scope.revision is not None:
            _require_same(leave, _leave(world, name, leave.scope, drain))
        if leave.freeing.is_empty:
            yield from do(world, leave.plan, held=True)
            return
        yield from do(world, _no_more_injection(leave), held=True)
        yield from do(world, leave.freeing, held=True)
        scope = replace(leave.scope, uninject=False)
        yield from uninject.verified(world, name, leave.freeing, leave.attached, scope)
        yield from do(world, _leave(world, name, scope, drain).plan, held=True)


def _require_same(planned: Leave, now: Leave) -> None:
    """Refuse what was agreed to when others have changed what it would do, or whom it would leave alone."""
    known = {str(each) for each in planned.refusals}
    against = [str(each) for each in now.refusals if str(each) not in known]
    require_same(planned.plan, now.plan, against)
    require_same(planned.freeing, now.freeing)


def _end_upgrade(world: World, leave: Leave) -> Iterator[Event]:
    """Forget the upgrade of a mesh that goes; one that needs the revision that goes is for others to end.

    The record alone knows what labels were before, so it is forgotten only when they are back.
    """
    records, scope = world.releases[leave.cluster], leave.scope
    upgrade = records.upgrade(scope.mesh)
    if upgrade is None:
        return
    if scope.revision is None:
        yield from do(world, _labels(world, leave.cluster, scope), held=True)
        records.forget_upgrade(scope.mesh)
    elif scope.revision in (upgrade.source.revision, upgrade.target.revision):
        raise ConflictError(
            "upgrade-under-way",
            f"an upgrade of mesh {scope.mesh!r} needs revision {scope.revision or DEFAULT!r}",
            hint="`meshctl upgrade promote` or `meshctl upgrade abort` ends it",
        )


def _labels(world: World, cluster: str, scope: Scope) -> Plan:
    """The steps that put labels back as they were before an upgrade of a mesh that goes as a whole."""
    upgrade = world.releases[cluster].upgrade(scope.mesh) if scope.revision is None else None
    if upgrade is None:
        return Plan(cluster)
    riders = found(world.clusters[cluster], None, istio_namespace=scope.namespace)
    return restored(cluster, _NAMESPACES, riders, upgrade.labelled)


def _no_more_injection(leave: Leave) -> Plan:
    """The part of the plan that records what is intended, and removes webhooks."""
    phases = [
        phase
        for phase in leave.plan.phases
        if all(
            (isinstance(step, Record) and step.release.status is Status.UNINSTALLING and not step.forget)
            or (isinstance(step, Delete) and step.ref.kind in ADMISSION)
            for step in phase.steps
        )
    ]
    recorded = tuple(uninject.remembering(phase, leave.freeing) for phase in phases)
    return Plan(leave.cluster, recorded)


def _leave(world: World, name: str, scope: Scope, drain: int, besides: Collection[str] = ()) -> Leave:
    door, records = world.clusters[name], world.releases[name]
    scope = replace(scope, mesh=scope.mesh or only_mesh(records))
    seen = observe(door, records, scope.mesh)
    if seen.releases:  # the record knows the mesh's namespace better than who types the command
        scope = replace(scope, namespace=seen.releases[-1].namespace)
    listed_refs = frozenset(ref for release in seen.releases for ref in release.refs)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(servers_of, world, scope.namespace)
        there = pool.submit(inventory, door, kinds=seen.kinds)
        live = {**sight(door, seen.kinds), **own_secrets(door, scope.mesh), **look(door, listed_refs)}
        seen = replace(seen, objects=live)
        _require_mesh(records, seen, scope)
        scope = _one_or_all(seen, scope)
        steps = removal(seen, scope, there.result(), head=_head(door, seen, scope))
        status = asked.result()
    going = [seen.objects[ref] for ref in doomed(steps) if ref.kind in WORKLOADS and ref in seen.objects]
    silent = goes_silent(steps)
    pods = (
        door.list("v1", "Pod", labels=INJECTED, fields=ALIVE) if silent or scope.revision is not None else ()
    )
    attached = in_pods(pods, seen, scope, going) if silent else ()
    unasked = ""
    if silent:
        proxies, unasked = unanswered_by(status, name, going)
        here = [each for each in proxies if each.cluster not in besides]
        attached += by_xds(here, pods, going, attached)
        if any(obj.ref.name == _ZTUNNEL for obj in going):
            attached += in_ambient(door.list("v1", "Pod", fields=ALIVE))
    webhooks = {ref for ref in doomed(steps) if ref.kind in ADMISSION}
    freeing = uninject.freeing(world, name, scope, attached, going, webhooks)
    namespaces = [obj for ref, obj in seen.objects.items() if (ref.group, ref.kind) == ("", "Namespace")]
    return Leave(
        name,
        drained(steps, going, _owned(door, going), drain),
        freeing.plan,
        _labels(world, name, scope),
        freeing.keeping,
        leading(seen, scope, namespaces, pods),
        unasked,
        unanswered(steps, seen.objects),
        seen.releases[-1].inventory if seen.releases else (),
        scope,
    )


def only_mesh(records: ports.Releases) -> str:
    """The mesh that is recorded; the usual name where none is.

    Raises:
        ConfigError: several are.
    """
    found = records.meshes()
    if len(found) > 1:
        raise ConfigError(
            "several-meshes",
            f"{len(found)} meshes are recorded in this cluster",
            where=Where("--mesh"),
            hint=f"choose one of {listed(found)}",
        )
    return found[0] if found else "mesh"


def _require_mesh(records: ports.Releases, seen: Observation, scope: Scope) -> None:
    """Refuse a name that no record and no label knows, while others are known."""
    if seen.releases or any(obj.labels.get(MESH) == scope.mesh for obj in seen.objects.values()):
        return
    known = [each for each in records.meshes() if each != scope.mesh]
    if known:
        near = nearest(scope.mesh, known)
        raise ConfigError(
            "unknown-mesh",
            f"no mesh {scope.mesh!r} is installed here{f'; did you mean {near!r}?' if near else ''}",
            where=Where("--mesh"),
            hint=f"choose one of {listed(known)}",
        )


def _one_or_all(seen: Observation, scope: Scope) -> Scope:
    """The scope with the revision as records know it; None where no other control plane would be left."""
    if scope.revision is None:
        return scope
    scope = replace(scope, revision="" if scope.revision == DEFAULT else scope.revision)
    assert scope.revision is not None
    istiods = {revision_of(obj) for obj in seen.objects.values() if is_istiod(obj)}
    known = istiods | {each.revision for each in seen.releases}
    if known and scope.revision not in known:
        _refuse_revision(seen, scope.revision, known)
    return replace(scope, revision=None) if is_last(seen, scope) else scope


def _refuse_revision(seen: Observation, revision: str, known: set[str]) -> None:
    names = sorted(each or DEFAULT for each in known)
    tag = next((each for each in tags(seen.objects.values()) if each.name == revision), None)
    if tag is not None:
        what = f"{revision!r} is a tag; it leads to revision {tag.revision or DEFAULT!r}"
    else:
        near = nearest(revision, names)
        what = f"there is no revision {revision!r}{f'; did you mean {near!r}?' if near else ''}"
    raise ConfigError(
        "no-such-revision", what, where=Where("--revision"), hint=f"choose one of {listed(names)}"
    )


def _head(door: ports.Cluster, seen: Observation, scope: Scope) -> str:
    """What is saved besides resources of Istio's kinds, where their definitions go."""
    if not scope.purge:
        return ""
    releases: Sequence[Release] = seen.releases
    resources = [seen.objects[ref] for ref in users_resources(seen.objects, releases)]
    return heading(door, seen.kinds, seen.objects, releases, resources)[0] if resources else ""


def _owned(door: ports.Cluster, workloads: Sequence[Object]) -> tuple[Object, ...]:
    """ReplicaSets and pods of the namespaces of some workloads."""
    namespaces = sorted({each.ref.namespace for each in workloads})
    asked = [(*kind, namespace) for kind in OWNED for namespace in namespaces]
    return tuple(
        obj for version, kind, namespace in asked for obj in door.list(version, kind, namespace=namespace)
    )
