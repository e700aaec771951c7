"""Revision tags: which there are, and the plans that set, move and remove them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.actions.doing import do, outdated, require_same
from meshctl.actions.install import refuse_during_upgrade
from meshctl.errors import ConflictError, FailedError, MeshctlError
from meshctl.model.labels import REVISION, TAG
from meshctl.model.tag import DEFAULT
from meshctl.model.webhook import called
from meshctl.stages.injecting.selection import INJECT
from meshctl.stages.planning import injection, tagging
from meshctl.stages.planning import tag_rules as rules
from meshctl.stages.planning.tag_rules import Sight
from meshctl.stages.planning.tags import VALIDATOR, revision_of, tags
from meshctl.stages.rendering.tag import tag_part
from meshctl.stages.seeing.answering import silences
from meshctl.stages.seeing.observe import look, webhooks
from meshctl.stages.settings.observed import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshctl import ports
    from meshctl.model.event import Event
    from meshctl.model.objects import Object
    from meshctl.model.plan import Plan
    from meshctl.model.tag import Moved, Tag
    from meshctl.model.values import Values
    from meshctl.ports import World


@dataclass(frozen=True)
class Retag:
    """One cluster's turn: what is sent, and whose injector changes.

    Attributes:
        cluster: name of the cluster.
        mesh: the mesh whose lock is held meanwhile.
        tag: name of the tag.
        revision: the one it is to lead to; empty is the unnamed one, None: the tag goes.
        source: the one it leads to now; None where there is none of the name.
        plan: the steps.
        again: plans the same once more, for the cluster as it is then; raises what speaks against it.
        moved: whose next proxies come from another control plane.
        users: namespaces and workloads that get their proxies by the tag now.
    """

    cluster: str
    mesh: str
    tag: str
    revision: str | None
    source: str | None
    plan: Plan
    again: Callable[[], Retag] = field(repr=False, compare=False)
    moved: tuple[Moved, ...] = ()
    users: tuple[str, ...] = ()


def every_tag(cluster: ports.Cluster) -> tuple[Tag, ...]:
    """The tags of a cluster by name, whoever made them. Only reads."""
    found = [*webhooks(cluster).values(), *cluster.list("v1", "Service", labels=TAG)]
    return tags(found)


def led(cluster: ports.Cluster, revision: str) -> tuple[Tag, ...]:
    """The tags that lead to a revision; empty is the unnamed one. Only reads."""
    return tuple(each for each in every_tag(cluster) if each.revision == revision)


def set_plan(
    cluster: ports.Cluster, values: Values, names: Sequence[str], *, owner: str, seconds: float = 300.0
) -> Plan:
    """The steps that make tags lead to the control plane that `values` describe. Only reads.

    Tags that are there are changed in place, whoever made them; for `default` the validating webhook
    moves as well. The plan has no records: a tag is no part of a release.

    Args:
        cluster: where.
        values: settled values of the control plane, which must run.
        names: of the tags.
        owner: name of the mesh.
        seconds: budget of the wait until its istiod has put its CA into webhooks that are new.
    """
    parts = [tag_part(values, name, owner=owner) for name in names]
    live = {**webhooks(cluster), **look(cluster, {obj.ref for part in parts for obj in part.objects})}
    return tagging.pointing(cluster.name, parts, live, seconds=seconds)


def set_tag(
    world: World,
    name: str,
    revision: str,
    *,
    overwrite: bool = False,
    istio_namespace: str = "istio-system",
    mesh: str = "mesh",
    seconds: float = 300.0,
) -> Iterator[Retag]:
    """Plan in each cluster that a tag leads to a revision. Only reads; it is done by `retag`.

    Args:
        world: doors to the clusters.
        name: of the tag.
        revision: a control plane that runs; empty or `default` is the unnamed one.
        overwrite: change a tag that leads elsewhere, or that another tool made.
        istio_namespace: where the control plane is, where its webhook calls an address and so does not tell.
        mesh: name of the mesh where no record tells it.
        seconds: budget of the wait until istiod has put its CA there.

    Raises:
        ConfigError: no name of a tag.
        ConflictError: the name is taken, another webhook would inject the same pods, or an upgrade is
            under way.
        FailedError: there is no such revision, or it does not answer.
    """
    rules.require_name(name)
    wanted = "" if revision == DEFAULT else revision
    for cluster in world.clusters:
        yield _setting(world, cluster, name, wanted, overwrite, istio_namespace, mesh, seconds)


def _setting(
    world: World,
    cluster: str,
    name: str,
    wanted: str,
    overwrite: bool,
    istio_namespace: str,
    mesh: str,
    seconds: float,
) -> Retag:
    door, records = world.clusters[cluster], world.releases[cluster]
    sight = see(door)
    injector = rules.control_plane(sight, wanted)
    rules.refuse_taken(sight, name, wanted, overwrite=overwrite)
    _require_answer(door, injector, wanted)
    owner = mesh_of(records, wanted) or mesh
    refuse_during_upgrade(records, owner)
    values = values_of(door, sight, injector, wanted, istio_namespace, owner)
    plan = set_plan(door, values, [name], owner=owner, seconds=seconds)
    after = tagging.after(plan, sight.configurations)
    rules.refuse_doubled(sight, after, name)
    former = sight.tag(name)
    return Retag(
        cluster,
        owner,
        name,
        wanted,
        former.revision if former else None,
        replace(plan, warnings=tuple(rules.set_warnings(plan, name, wanted))),
        partial(_setting, world, cluster, name, wanted, overwrite, istio_namespace, mesh, seconds),
        injection.moved(sight.configurations, after, sight.namespaces, sight.pods),
        injection.users(name, sight.configurations, sight.namespaces, sight.pods),
    )


def remove_tag(world: World, name: str, *, force: bool = False, mesh: str = "mesh") -> Iterator[Retag]:
    """Plan in each cluster that a tag goes. Only reads; it is done by `retag`.

    Args:
        world: doors to the clusters.
        name: of the tag.
        force: even while namespaces or pods get their proxies by it.
        mesh: name of the mesh where no record tells it.

    Raises:
        ConflictError: it is in use, or an upgrade is under way.
        FailedError: there is no such tag.
    """
    for cluster in world.clusters:
        yield _removing(world, cluster, name, force, mesh)


def _removing(world: World, cluster: str, name: str, force: bool, mesh: str) -> Retag:
    records = world.releases[cluster]
    sight = see(world.clusters[cluster])
    tag = sight.tag(name)
    if tag is None:
        raise rules.no_tag(name, sight)
    owner = mesh_of(records, tag.revision) or mesh
    refuse_during_upgrade(records, owner)
    users = injection.users(name, sight.configurations, sight.namespaces, sight.pods)
    if users and not force:
        raise ConflictError(
            "tag-in-use",
            f"{len(users)} namespaces and workloads get their proxies by tag {name!r}",
            hint="label them for another revision first; --force leaves new pods there without a proxy",
            details=users,
        )
    after = [each for each in sight.configurations if each.ref not in tag.refs]
    told = tuple(rules.remove_warnings(records.of(owner), tag))
    plan = replace(tagging.removing(cluster, [tag]), warnings=told)
    moved = injection.moved(sight.configurations, after, sight.namespaces, sight.pods)
    again = partial(_removing, world, cluster, name, force, mesh)
    return Retag(cluster, owner, name, None, tag.revision, plan, again, moved, users)


def retag(world: World, turn: Retag) -> Iterator[Event]:
    """Do what was planned, while nobody else works on the mesh.

    Raises:
        ConflictError: somebody else is at work on the mesh, an upgrade was begun since it was planned, or
            what was planned is not what would be done now.
    """
    records = world.releases[turn.cluster]
    with records.lock(turn.mesh):
        refuse_during_upgrade(records, turn.mesh)
        now = attempt(turn.again)
        if isinstance(now, (ConflictError, FailedError)):
            raise outdated([str(now), *now.details]) from now
        if isinstance(now, MeshctlError):
            raise now
        require_same(turn.plan, now.plan)
        yield from do(world, turn.plan, held=True)


@dataclass(frozen=True)
class Listed:
    """A tag of a cluster, and the namespaces and workloads that get their proxies by it."""

    cluster: str
    tag: Tag
    users: tuple[str, ...]


def list_tags(world: World) -> tuple[Listed, ...]:
    """The tags of every cluster, whoever made them. Only reads."""
    found = []
    for cluster, door in world.clusters.items():
        sight = see(door)
        for tag in sight.tags:
            users = injection.users(tag.name, sight.configurations, sight.namespaces, sight.pods)
            found.append(Listed(cluster, tag, users))
    return tuple(found)


# What there is.


def see(cluster: ports.Cluster) -> Sight:
    """What of a cluster has to do with tags. Only reads."""
    with ThreadPoolExecutor(max_workers=4) as threads:
        configurations = threads.submit(webhooks, cluster)
        services = threads.submit(cluster.list, "v1", "Service", labels=TAG)
        namespaces = threads.submit(cluster.list, "v1", "Namespace")
        choosing = [threads.submit(cluster.list, "v1", "Pod", labels=label) for label in (REVISION, INJECT)]
    pods = {each.ref: each for found in choosing for each in found.result()}
    return Sight(
        tuple(configurations.result().values()), services.result(), namespaces.result(), tuple(pods.values())
    )


def _require_answer(door: ports.Cluster, injector: Object, revision: str) -> None:
    """Refuse a revision whose injector nobody answers: every pod of the tag's namespaces would be refused."""
    for fault in silences(door, [injector]).values():
        if fault:
            raise FailedError(
                "revision-not-ready",
                f"nobody answers for revision {revision or DEFAULT!r}: {fault}",
                hint="a tag on it would have new pods refused; see `meshctl status`",
            )


def values_of(
    door: ports.Cluster, sight: Sight, injector: Object, revision: str, namespace: str, mesh: str
) -> Values:
    """What a control plane is like, from its own objects: they are there whoever installed it. Only reads.

    Args:
        door: its cluster.
        sight: from `see`.
        injector: its own injector.
        revision: its name; empty is the unnamed one.
        namespace: where it is, where its webhook calls an address and so does not tell.
        mesh: name of the mesh.
    """
    ref = called(injector.at("webhooks[0]", {}))
    home = ref.namespace if ref else namespace
    service = door.get(ref) if ref else None
    own = (each for each in sight.configurations if each.ref.kind == VALIDATOR and TAG not in each.labels)
    validator = next((each for each in own if _validates(each, revision)), None)
    return observed(injector, service, validator, revision=revision, namespace=home, mesh=mesh)


def _validates(configuration: Object, revision: str) -> bool:
    names = {each.get("name") for each in configuration.at("webhooks", ())}
    return "rev.validation.istio.io" in names and revision_of(configuration) == revision


def mesh_of(records: ports.Releases, revision: str) -> str:
    """The mesh that a revision belongs to, by its newest record; empty where no record tells."""
    meshes = records.meshes()
    holders = [mesh for mesh in meshes if any(each.revision == revision for each in records.of(mesh))]
    return (*holders, *meshes, "")[0]
