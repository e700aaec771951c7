"""Link clusters: whose istiod reads which cluster, by which token, and for how long.

A link has two sides, and a plan for each: in the cluster that is read an account, its roles and a Secret on
which the token hangs; beside the istiod that reads, the remote secret. A token is replaced with overlap: the
next one hangs on another Secret, and the former goes once istiod says that it reads by the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from meshctl.actions.doing import do
from meshctl.actions.links.access import authority_of
from meshctl.actions.links.remote_clusters import SYNCED, remote_clusters
from meshctl.errors import AccessError, FailedError
from meshctl.model.event import Waiting
from meshctl.model.link import LinkKind, links_wanted
from meshctl.model.mesh import Role
from meshctl.model.objects import Ref
from meshctl.stages.linking import plans
from meshctl.stages.linking.addressing import are_processes, is_loopback, refusal, url
from meshctl.stages.linking.reader import account_of, namespace_of, place, reader
from meshctl.stages.linking.secrets import PART, READER, fingerprint, number_of
from meshctl.stages.linking.standing import Seen, Wanted, stale
from meshctl.stages.seeing.observe import look
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshctl import ports
    from meshctl.actions.links.remote_clusters import Reading
    from meshctl.model.event import Event
    from meshctl.model.link import Link
    from meshctl.model.manifest import Part
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Object
    from meshctl.model.plan import Plan
    from meshctl.model.values import Values
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded

SETTLED: Final = 5.0
"""Seconds for which istiod must say that it is in sync: it may not have seen the new Secret at first."""
_PAUSE: Final = 0.5
_UNKNOWN: Final = "unknown.invalid"  # never sent: what an account needs hangs on no address


@dataclass(frozen=True)
class Ends:
    """A link, with the values of both its clusters.

    Attributes:
        link: which istiod reads which cluster.
        serving: values of the cluster in which that istiod runs.
        read: values of the cluster that it reads.
    """

    link: Link
    serving: Values
    read: Values


def links(asked: Sequence[Loaded]) -> tuple[Ends, ...]:
    """The links of all meshes of a file, both of whose clusters are asked for."""
    meshes = [next(iter(each.shares.values())).mesh for each in asked]
    values = {
        cluster.name: offline(each, cluster)
        for each in asked
        if each.is_fleet
        for cluster in each.mesh.clusters
    }
    return tuple(
        Ends(link, values[link.server], values[link.reads])
        for mesh in meshes
        for link in links_wanted(mesh, [each for each in meshes if each is not mesh])
        if link.server in values and link.reads in values
    )


def offline(asked: Loaded, cluster: Cluster) -> Values:
    """Values that tell who reads a cluster, also before it is known where the istiod is that serves it."""
    share = asked.share(cluster)
    server = cluster.name if cluster.role is Role.EXTERNAL else cluster.control_plane
    known = tuple(
        replace(each, address=each.address or each.found or _UNKNOWN) if each.name == server else each
        for each in share.mesh.clusters
    )
    share = replace(share, mesh=replace(share.mesh, clusters=known))
    here = next((each for each in known if each.name == cluster.name), cluster)
    return resolve(replace(asked, shares={**asked.shares, cluster.name: share}), here)


def access_plan(world: World, ends: Ends, *, renew: bool = False) -> Plan:
    """What has to be in the cluster that is read before there can be a token for it. Only reads.

    Args:
        world: doors to both clusters.
        ends: the link.
        renew: replace the token though nothing is wrong with it.

    Raises:
        ConfigError: its API server is not reached from elsewhere, or nothing lets anybody read it.
    """
    who = reader(ends.read, ends.link.kind)
    live = look(world.clusters[ends.link.reads], refs_of(who.parts))
    wanted, seen = wanted_of(world, ends), seen_of(world, ends)
    owner = ends.read.mesh.name
    return plans.access(wanted, seen, who, live, world.clock.now(), owner=owner, renew=renew)


def link_plan(world: World, ends: Ends, *, renew: bool = False) -> Plan:
    """The remote secret, beside the istiod that reads by it; empty where it is right. Only reads.

    It is done after the `access_plan` of the same link; planned before that, it says what will be done.

    Args:
        world: doors to both clusters.
        ends: the link.
        renew: replace the token though nothing is wrong with it.

    Raises:
        ConfigError: as `access_plan`.
    """
    link = ends.link
    wanted, seen = wanted_of(world, ends), seen_of(world, ends)
    home, door = namespace_of(ends.serving), world.clusters[link.server]
    live = dict(look(door, refs_of(home)))
    if link.kind is LinkKind.CONFIG:
        istiods = door.list("apps/v1", "Deployment", namespace=ends.serving.namespace, labels="app=istiod")
        live |= {each.ref: each for each in istiods}
    return plans.linking(wanted, seen, home, live, world.clock.now(), renew=renew)


def settle(world: World, ends: Ends, *, seconds: float = 120.0) -> Iterator[Event]:
    """Revoke the tokens that were replaced, once istiod reads by the new one; nothing where there are none.

    Args:
        world: doors to both clusters.
        ends: the link.
        seconds: how long istiod may take to be in sync.

    Raises:
        FailedError: it does not come in sync; the former tokens are still valid.
        AccessError: we may not ask it; they are, too.
    """
    seen = seen_of(world, ends)
    if not stale(seen):
        return
    yield from _synced(world, ends, seconds)
    yield from do(world, plans.retiring(ends.link, seen))


def _synced(world: World, ends: Ends, seconds: float) -> Iterator[Event]:
    """Wait until every istiod of the serving cluster has been in sync for a while; none is as good."""
    link, clock = ends.link, world.clock
    begun = clock.monotonic()
    while True:
        found = remote_clusters(world, ends.serving.mesh, link.server, ends.serving.namespace)
        waiting = [each for each in found if each.states.get(link.reads) != SYNCED]
        for each in waiting:
            if isinstance(each.error, AccessError):  # waiting gives no rights
                raise each.error
        if not waiting and (not found or clock.monotonic() >= begun + SETTLED):
            return
        if waiting and clock.monotonic() >= begun + seconds:
            raise FailedError(
                "link-not-in-sync",
                f"istiod of {link.server!r} does not come in sync with {link.reads!r} by its new token",
                hint="the former token is still valid; see that its API server is reached from there, "
                "then run the same command again",
                details=[f"{each.pod}: {state_of(each, link.reads)}" for each in waiting],
            )
        if waiting:
            yield Waiting(PART, str(link), f"{waiting[0].pod}: {state_of(waiting[0], link.reads)}")
        clock.sleep(_PAUSE)


def state_of(reading: Reading, cluster: str) -> str:
    """What an istiod says of a cluster, in words."""
    return reading.error.message if reading.error else reading.states.get(cluster, "it does not know of it")


def refs_of(parts: Iterable[Part]) -> tuple[Ref, ...]:
    """Names of all objects of some parts."""
    return tuple(obj.ref for part in parts for obj in part.objects)


def seen_of(world: World, ends: Ends) -> Seen:
    """What there is of a link. Only reads."""
    link = ends.link
    door, account = world.clusters[link.reads], account_of(ends.read, link.kind)
    return Seen(
        world.clusters[link.server].get(link.secret(ends.serving.namespace)),
        door.get(account),
        holders_of(door, ends.serving.mesh.name, link, account.namespace),
    )


def holders_of(door: ports.Cluster, mesh: str, link: Link, namespace: str) -> tuple[Object, ...]:
    """Secrets in a namespace on which tokens of a link hang, by name; `mesh` is that of the istiod."""
    found = door.list("v1", "Secret", namespace=namespace, labels=f"{READER}={link.server}")
    return tuple(sorted((each for each in found if number_of(mesh, link, each.ref.name)), key=_by_ref))


def _by_ref(obj: Object) -> Ref:
    return obj.ref


def wanted_of(world: World, ends: Ends) -> Wanted:
    """What a link is to be.

    Raises:
        ConfigError: the API server that is read is not reached from elsewhere.
    """
    link, mesh = ends.link, ends.serving.mesh
    server = server_of(world, ends)
    authority = fingerprint(authority_of(world.clusters[link.reads], server))
    secret, account = link.secret(ends.serving.namespace), account_of(ends.read, link.kind)
    return Wanted(mesh.name, link, secret, account, server, authority, mesh.tokens)


def server_of(world: World, ends: Ends) -> str:
    """The address by which the istiod of a link reads its cluster.

    Raises:
        ConfigError: none is said, and the one in the kubeconfig leads whoever uses it to itself.
    """
    door, said = world.clusters[ends.link.reads], ends.read.cluster.server
    if said:
        return url(said, place(ends.read))
    address = door.server.rstrip("/")
    if is_loopback(address) and not are_processes(world.clusters[ends.link.server].list("v1", "Node")):
        raise refusal(ends.link.reads, address, own_endpoints(door), place(ends.read))
    return address


def own_endpoints(door: ports.Cluster) -> tuple[Object, ...]:
    """The EndpointSlices by which an API server says where its cluster finds it."""
    labels = "kubernetes.io/service-name=kubernetes"
    return door.list("discovery.k8s.io/v1", "EndpointSlice", namespace="default", labels=labels)
