"""Who vouches for whom: in Secrets, in what namespaces are given, in istiods, and in live proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl import pki
from meshctl.actions.attempt import attempt
from meshctl.actions.fleet.working import CLUSTERS
from meshctl.adapters import envoy, envoy_secrets, istiod_ca, xds, ztunnel
from meshctl.errors import MeshctlError
from meshctl.model.labels import INJECTED
from meshctl.model.mesh import Source
from meshctl.model.objects import Ref
from meshctl.model.trust import ClusterTrust, Kind, Shown, TrustStatus
from meshctl.stages.gating.pods import admin_port, has_envoy
from meshctl.stages.removing.belongings import CA_SECRET
from meshctl.stages.trusting import cacerts, seeing
from meshctl.stages.trusting.cacerts import fingerprints
from meshctl.stages.trusting.judging import judged

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl import ports
    from meshctl.model.envoy import Identity
    from meshctl.model.mesh import Mesh
    from meshctl.model.objects import Object
    from meshctl.ports import World

T = TypeVar("T")

_AT_ONCE: Final = 12
_RUNNING: Final = "status.phase=Running"


@dataclass(frozen=True)
class Place:
    """Where to look in a cluster.

    Attributes:
        namespace: of its control plane, or of the one that serves it.
        server: name of the cluster whose istiod gives its proxies certificates.
        voucher: name of the cluster whose tokens its istiod believes.
    """

    namespace: str
    server: str
    voucher: str


@dataclass(frozen=True)
class _Seen:
    """A cluster as it was looked at, and every root that came to light."""

    trust: ClusterTrust
    roots: tuple[bytes, ...]


def places(meshes: Iterable[Mesh], namespaces: Mapping[str, str]) -> dict[str, Place]:
    """Where to look in each cluster of these meshes.

    Args:
        meshes: whole, with every cluster.
        namespaces: of control planes, by cluster.
    """
    return {
        each.name: Place(namespaces[each.name], each.control_plane or each.name, mesh.known_as(each).name)
        for mesh in meshes
        for each in mesh.clusters
        if each.name in namespaces
    }


def trust_status(
    world: World,
    where: Mapping[str, Place],
    meshes: Sequence[Mesh] = (),
    *,
    namespace: str = "",
    proxies: bool = True,
) -> TrustStatus:
    """Look at all clusters at once. Only reads, but that each istiod is asked for a short certificate.

    Args:
        world: doors to the clusters; and to the roots of their meshes, whose keys are not needed.
        where: where to look, by cluster.
        meshes: as a mesh.yaml says; none where there is no such file.
        namespace: only proxies in this namespace; empty for all.
        proxies: whether live proxies are asked.

    Raises:
        ConfigError: the folder of a mesh's roots is not sound.
    """
    kept = _kept(world, meshes)
    looks = [
        partial(_look, world, name, where[name], namespace if proxies else None) for name in sorted(where)
    ]
    with ThreadPoolExecutor(CLUSTERS) as pool:
        seen = {each.trust.cluster: each for each in pool.map(lambda look: look(), looks)}
    roots = seeing.distinct(chain(*kept.values(), *(each.roots for each in seen.values())))
    by_marks = {each.fingerprint: each for each in roots}
    now = world.clock.now()
    found = {
        one.cluster: one
        for group in _groups([seen[name].trust for name in where], meshes)
        for one in judged(group, {name: fingerprints(each) for name, each in kept.items()}, by_marks, now)
    }
    marks = frozenset(pki.fingerprint(each) for each in chain(*kept.values()))
    return TrustStatus(now, tuple(found[name] for name in where), roots, marks)


def _kept(world: World, meshes: Sequence[Mesh]) -> dict[str, tuple[bytes, ...]]:
    """The roots that the operator keeps for each cluster of a managed mesh."""
    managed = [mesh for mesh in meshes if mesh.trust.source is Source.MANAGED]
    assert world.signer or not managed, "whoever reads a mesh.yaml brings its roots"
    return {
        each.name: world.signer.roots(mesh.trust.root)
        for mesh in managed
        if world.signer
        for each in mesh.clusters
    }


def _groups(clusters: Sequence[ClusterTrust], meshes: Sequence[Mesh]) -> list[list[ClusterTrust]]:
    """Clusters that are to trust each other; where istiods make their own authorities, no two do."""
    apart = {
        each.name for mesh in meshes if mesh.trust.source is Source.SELF_SIGNED for each in mesh.clusters
    }
    together = [each for each in clusters if each.cluster not in apart]
    servers = dict.fromkeys(each.server for each in clusters if each.cluster in apart)
    return [together, *([one for one in clusters if one.server == server] for server in servers)]


def _look(world: World, name: str, place: Place, namespace: str | None) -> _Seen:
    door = world.clusters[name]
    away = attempt(door.version)  # first and alone: a cluster that is away is told once, not for each read
    if isinstance(away, MeshctlError):
        return _Seen(ClusterTrust(name, place.server, unread=(("cluster", away),)), ())
    unread: list[tuple[str, MeshctlError]] = []

    def read(what: str, work: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        found = attempt(work)
        if isinstance(found, MeshctlError):
            unread.append((what, found))
            return ()
        return found

    secrets: tuple[Object, ...] = ()
    if place.server == name:  # what lies in a remote is of no use to anybody
        secrets = read("authority", partial(_secrets, door, place.namespace))
    maps = read("published roots", partial(_published, door))
    shown = list(read("istiods", partial(_of_istiods, world, door, place, secrets)))
    if namespace is not None:
        pods = read("proxies", partial(_carriers, door, namespace))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            shown += chain.from_iterable(pool.map(partial(_of_pod, door), pods))
    trust = ClusterTrust(
        name,
        place.server,
        seeing.authority(secrets[0]) if secrets else None,
        seeing.published(maps),
        tuple(one for one, _ in shown),
        tuple(unread),
    )
    bundles = [cacerts.held(each).roots for each in secrets[:1]] + [seeing.roots_in(each) for each in maps]
    return _Seen(trust, tuple(chain(*bundles, *(roots for _, roots in shown))))


def _secrets(door: ports.Cluster, namespace: str) -> tuple[Object, ...]:
    """The authority that counts first: istiod takes its own only where none is plugged in."""
    found = (door.get(Ref("v1", "Secret", namespace, name)) for name in (cacerts.CACERTS, CA_SECRET))
    return tuple(each for each in found if each is not None)


def _published(door: ports.Cluster) -> tuple[Object, ...]:
    return door.list("v1", "ConfigMap", fields=f"metadata.name={xds.ROOT_CONFIG_MAP}")


def _carriers(door: ports.Cluster, namespace: str) -> tuple[Object, ...]:
    """Running pods with a proxy; a ztunnel is not injected."""
    found = {
        pod.ref: pod
        for labels in (INJECTED, "app=ztunnel")
        for pod in door.list("v1", "Pod", namespace=namespace, labels=labels, fields=_RUNNING)
        if not pod.is_leaving and (has_envoy(pod) or _is_ztunnel(pod))
    }
    return tuple(found[ref] for ref in sorted(found))


def _is_ztunnel(pod: Object) -> bool:
    return pod.labels.get("app") == "ztunnel"


_One = tuple[Shown, tuple[bytes, ...]]
"""A certificate in use, and the roots beside it, PEM."""


def _of_istiods(
    world: World, door: ports.Cluster, place: Place, secrets: Sequence[Object]
) -> tuple[_One, ...]:
    """What each istiod would give a proxy that starts now."""
    servers = [each for each in xds.servers(door, place.namespace) if not each.is_leaving]
    if not servers:
        return ()
    caller = attempt(partial(_caller, world, door, place, secrets))

    def ask(server: xds.Server) -> _One:
        told: Identity | MeshctlError
        if isinstance(caller, MeshctlError):
            told = caller
        else:
            told = attempt(partial(istiod_ca.handed_out, door, server, caller))
        return _shown(Kind.ISTIOD, server.namespace, server.pod, told)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(ask, servers))


def _caller(world: World, door: ports.Cluster, place: Place, secrets: Sequence[Object]) -> xds.Caller:
    """Who asks, and by which roots istiod is known: those of its own authority, where we may see that."""
    roots = b"".join(cacerts.held(secrets[0]).roots) if secrets else b""
    return xds.caller(world.clusters.get(place.voucher, door), place.namespace, roots)


def _of_pod(door: ports.Cluster, pod: Object) -> tuple[_One, ...]:
    """Certificates that the proxy of a pod works with."""
    namespace, name = pod.ref.namespace, pod.ref.name
    if _is_ztunnel(pod):
        many = attempt(partial(ztunnel.identities, door, namespace, name))
        if isinstance(many, MeshctlError):
            return (_shown(Kind.ZTUNNEL, namespace, name, many),)
        return tuple(_shown(Kind.ZTUNNEL, namespace, name, each) for each in many)
    port = admin_port(pod, envoy.ADMIN_PORT)
    return (
        _shown(
            Kind.ENVOY,
            namespace,
            name,
            attempt(partial(envoy_secrets.identity, door, namespace, name, port=port)),
        ),
    )


def _shown(kind: Kind, namespace: str, pod: str, told: Identity | MeshctlError) -> _One:
    if isinstance(told, MeshctlError):
        return Shown(kind, namespace, pod, error=told), ()
    return seeing.shown(kind, namespace, pod, told), told.roots
