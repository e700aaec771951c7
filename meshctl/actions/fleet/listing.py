"""The clusters of a fleet and the links between them: as they are, and as istiods say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.actions.fleet.working import CLUSTERS
from meshctl.actions.links.linking import Ends, links, offline, seen_of, state_of, wanted_of
from meshctl.actions.links.remote_clusters import SYNCED, Reading, remote_clusters
from meshctl.errors import MeshctlError
from meshctl.model.labels import installed_by
from meshctl.model.link import (
    CONFIG_KEY,
    CONFIG_SECRET,
    MULTICLUSTER,
    READS,
    Life,
    Link,
    LinkKind,
    links_wanted,
)
from meshctl.model.mesh import Role
from meshctl.model.objects import Ref
from meshctl.stages.linking.secrets import SERVER
from meshctl.stages.linking.standing import ending, fault, life_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from meshctl.model.mesh import Cluster, Mesh
    from meshctl.model.objects import Object
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


@dataclass(frozen=True)
class Member:
    """One cluster of a fleet.

    Attributes:
        mesh: name of its mesh; empty where no mesh.yaml says it.
        cluster: as the mesh.yaml has it.
        server: address of its API server, as we reach it.
        version: of its Kubernetes; empty where it does not answer.
        istiods: what each istiod in it says of the clusters that it reads.
        error: why nothing is known of it; None where it answers.
    """

    mesh: str
    cluster: Cluster
    server: str
    version: str = ""
    istiods: tuple[Reading, ...] = ()
    error: MeshctlError | None = None


@dataclass(frozen=True)
class Linked:
    """One link, wanted or there.

    Attributes:
        link: which istiod reads which cluster.
        secret: the remote secret.
        is_wanted: whether the topology asks for it; True where no mesh.yaml says one.
        is_there: whether there is such a Secret.
        by: which tool made it; empty where nothing tells.
        server: address of the API server that is read; empty where nothing tells.
        life: of its token; None where nothing tells.
        fault: why it is not as it should be; empty where it is.
        states: what each istiod says, by its pod: `synced` and others, or why it does not say.
    """

    link: Link
    secret: Ref
    is_wanted: bool
    is_there: bool
    by: str
    server: str
    life: Life | None
    fault: str
    states: tuple[tuple[str, str], ...]

    @property
    def is_in_sync(self) -> bool:
        """Whether every istiod there is reads the cluster by it."""
        return all(state == SYNCED for _, state in self.states)

    @property
    def is_sound(self) -> bool:
        """Whether there is nothing to do about it."""
        return not self.fault and self.is_in_sync


@dataclass(frozen=True)
class Listing:
    """The clusters of a fleet, and all links from one to another."""

    now: datetime
    members: tuple[Member, ...]
    links: tuple[Linked, ...]

    @property
    def is_sound(self) -> bool:
        """Whether every cluster answers and every link is as it should be."""
        return all(each.error is None for each in self.members) and all(each.is_sound for each in self.links)


def listing(world: World, asked: Sequence[Loaded], *, istio_namespace: str = "istio-system") -> Listing:
    """How clusters and links stand. Only reads; what a cluster does not tell is told of it.

    Args:
        world: doors to the clusters.
        asked: meshes of a mesh.yaml, or one cluster without.
        istio_namespace: where istiod runs, where no mesh.yaml says it.
    """
    places = [(each, cluster) for each in asked for cluster in each.mesh.clusters]
    homes = {
        cluster.name: offline(each, cluster).namespace if each.is_fleet else istio_namespace
        for each, cluster in places
    }
    ends = links(asked)
    meshes = [each.share(cluster).mesh for each, cluster in places if each.is_fleet]
    whole = {link for each in meshes for link in links_wanted(each)} | {each.link for each in ends}

    def one(place: tuple[Loaded, Cluster]) -> tuple[Member, tuple[Linked, ...]]:
        loaded, cluster = place
        name = cluster.name
        mesh = loaded.share(cluster).mesh
        member = _member(world, mesh, cluster, homes[name])
        member = member if loaded.is_fleet else replace(member, mesh="")
        if member.error is not None or cluster.role in (Role.REMOTE, Role.CONFIG):
            return member, ()
        there = attempt(partial(_secrets, world, name, homes[name]))
        if isinstance(there, MeshctlError):
            return replace(member, error=there), ()
        mine = [each for each in ends if each.link.server == name]
        strange = {*there} - whole if loaded.is_fleet else set()
        return member, tuple(_linked(world, member, there, mine, strange))

    with ThreadPoolExecutor(min(CLUSTERS, len(places))) as pool:
        found = tuple(pool.map(one, places))
    return Listing(
        world.clock.now(), tuple(each for each, _ in found), tuple(link for _, each in found for link in each)
    )


def _member(world: World, mesh: Mesh, cluster: Cluster, namespace: str) -> Member:
    door = world.clusters[cluster.name]
    version = attempt(door.version)
    if isinstance(version, MeshctlError):
        return Member(mesh.name, cluster, door.server, error=version)
    found = attempt(partial(remote_clusters, world, mesh, cluster.name, namespace))
    if isinstance(found, MeshctlError):
        return Member(mesh.name, cluster, door.server, version, error=found)
    return Member(mesh.name, cluster, door.server, version, found)


def _linked(
    world: World,
    member: Member,
    there: Mapping[Link, Object],
    wanted: Sequence[Ends],
    strange: Collection[Link],
) -> Iterator[Linked]:
    """The links of a cluster's istiods: those that are judged whole, then others that are there.

    Args:
        world: doors to the clusters.
        member: the cluster.
        there: its remote secrets.
        wanted: links both of whose clusters are asked for.
        strange: links that the topology does not ask for.
    """
    for ends in wanted:
        why = attempt(partial(_fault, world, ends))
        told = why.message if isinstance(why, MeshctlError) else why
        secret = there.get(ends.link)
        ref = secret.ref if secret else ends.link.secret(ends.serving.namespace)
        yield _told(member, ends.link, secret, ref, told)
    judged = {each.link for each in wanted}
    for link, secret in ((each, there[each]) for each in sorted(there) if each not in judged):
        life = life_in(secret, link.key)
        told = "the mesh.yaml does not ask for it" if link in strange else ""
        told = told or (ending(life, world.clock.now()) if life else "")
        yield _told(member, link, secret, secret.ref, told, is_wanted=link not in strange)


def _secrets(world: World, name: str, namespace: str) -> Mapping[Link, Object]:
    """The remote secrets of the istiods of a cluster, whoever made them."""
    door = world.clusters[name]
    found = {
        Link(name, key): secret
        for secret in door.list("v1", "Secret", namespace=namespace, labels=f"{MULTICLUSTER}=true")
        for key in secret.at("data", {})
        if secret.ref.name != CONFIG_SECRET
    }
    config = door.get(Ref("v1", "Secret", namespace, CONFIG_SECRET))
    if config is not None:
        found[Link(name, config.annotations.get(READS, CONFIG_KEY), LinkKind.CONFIG)] = config
    return found


def _fault(world: World, ends: Ends) -> str:
    return fault(wanted_of(world, ends), seen_of(world, ends), world.clock.now())


def _told(
    member: Member, link: Link, secret: Object | None, ref: Ref, fault: str, *, is_wanted: bool = True
) -> Linked:
    states = tuple((each.pod, state_of(each, link.reads)) for each in member.istiods)
    if secret is None:
        return Linked(link, ref, is_wanted, False, "", "", None, fault, states)
    server = secret.annotations.get(SERVER, "")
    life = life_in(secret, link.key)
    return Linked(link, secret.ref, is_wanted, True, installed_by(secret), server, life, fault, states)
