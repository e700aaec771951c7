"""What a rotation sees of its mesh: the authorities, the istiods that work with them, and every proxy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from meshctl import pki
from meshctl.actions.attempt import attempt
from meshctl.actions.doing import do
from meshctl.adapters import envoy_secrets, istiod_ca, xds, ztunnel
from meshctl.adapters.envoy import ADMIN_PORT
from meshctl.errors import ConfigError, ConflictError, FailedError, MeshctlError
from meshctl.model.fleet import Told
from meshctl.model.rotation import Witness
from meshctl.stages.gating.pods import admin_port, has_envoy, hears_of_roots
from meshctl.stages.moving.owners import maker
from meshctl.stages.moving.workloads import found
from meshctl.stages.rotating.live import issuer, live, marks, root
from meshctl.stages.trusting import cacerts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from meshctl import ports
    from meshctl.model.envoy import Identity
    from meshctl.model.event import Event
    from meshctl.model.mesh import Cluster, Mesh
    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Plan
    from meshctl.model.rotation import Rotation, Seat
    from meshctl.ports import World
    from meshctl.stages.rotating.live import Live

T = TypeVar("T")
News: TypeAlias = "Event | Told"
"""What happened: in one cluster, or over all."""

_AT_ONCE: Final = 12
_MULTIROOT: Final = "ISTIO_MULTIROOT_MESH"
_YES: Final = ("1", "t", "true")  # as Go reads it
_TOKEN_SECONDS: Final = 600
_ENTRY: Final = ("networking.istio.io/v1", "WorkloadEntry")


@dataclass(frozen=True)
class Run:
    """Where a rotation is made, and within which limits.

    Attributes:
        world: doors to every cluster of these meshes, and to their roots.
        meshes: the meshes that share a root, whole.
        namespaces: where istiod is, or would be, by cluster.
        seconds: budget of each wait.
    """

    world: World
    meshes: tuple[Mesh, ...]
    namespaces: Mapping[str, str]
    seconds: float = 300.0

    def mesh_of(self, cluster: str) -> Mesh:
        """The mesh that a cluster is part of."""
        return next(mesh for mesh in self.meshes if mesh.cluster(cluster) is not None)

    def do(self, plan: Plan) -> Iterator[Told]:
        """Do one plan of the story, whose locks are held."""
        for event in do(self.world, plan, held=True):
            yield Told(plan.cluster, event)

    def kept(self, rotation: Rotation, **changes: Any) -> Rotation:
        """The rotation with changes, once every cluster has them recorded."""
        changed = replace(rotation, **changes)
        for name in changed.clusters:
            self.world.releases[name].write_rotation(self.mesh_of(name).name, changed)
        return changed


# The authorities.


def authorities(run: Run, clusters: Iterable[Cluster]) -> Mapping[str, Live]:
    """What each of these clusters has, by its name, fit to be rotated.

    Raises:
        ConfigError: one has none, or one that cannot be read.
        ConflictError: somebody else looks after one.
    """
    found = {}
    for each in clusters:
        place = cacerts.ref(run.namespaces[each.name])
        secret = run.world.clusters[each.name].get(place)
        there = live(secret) if secret is not None else None
        if there is None or not there.root:
            what = (
                "has no authority" if there is None else "has an authority that does not come from its roots"
            )
            raise ConfigError(
                "no-authority",
                f"{each.name!r} {what} in the Secret {place.place}, so there is nothing to rotate",
                hint="`meshctl ca status` tells what signs there; `meshctl install` plugs one in where no "
                "proxy runs yet",
            )
        if there.by in ("cert-manager", "istiod"):
            raise ConflictError(
                "authority-of-others",
                f"the Secret {place.place} of {each.name!r} is kept by {there.by}",
                hint="rotate it there, or take it away from them first",
            )
        found[each.name] = there
    return found


def authority_of(run: Run, seat: Seat) -> Live:
    """What a cluster's istiods are to work with.

    Raises:
        FailedError: it is gone.
    """
    secret = run.world.clusters[seat.cluster].get(cacerts.ref(seat.namespace))
    if secret is None:
        raise FailedError(
            "no-authority",
            f"{seat.cluster!r} has no Secret {seat.namespace}/{cacerts.CACERTS} any more",
            hint=f"what it held before is in the Secret {seat.kept.place}, if that is there",
        )
    return live(secret)


def kept_of(run: Run, seat: Seat) -> Live | None:
    """The old authority that is kept to return to; None where none is."""
    secret = run.world.clusters[seat.cluster].get(seat.kept)
    return None if secret is None else live(secret)


# The istiods.


@dataclass(frozen=True, slots=True)
class Lag:
    """An istiod that does not work with its authority yet.

    Attributes:
        why: how that shows.
        is_stuck: whether it will not before it is started anew.
    """

    why: str
    is_stuck: bool = False


def istiods_behind(run: Run, rotation: Rotation, seat: Seat) -> tuple[Lag, ...]:
    """Istiods of a cluster that do not work with its authority yet; none where each has proven it."""
    door, there = run.world.clusters[seat.cluster], authority_of(run, seat)
    servers = [each for each in xds.servers(door, seat.namespace) if not each.is_leaving]
    if not servers:
        return (Lag(f"no istiod runs in {seat.namespace}"),)
    caller = attempt(partial(_caller, run, rotation, seat))
    if isinstance(caller, MeshctlError):
        return (Lag(caller.message),)
    reads = takes_roots(run, seat)
    looks = [partial(_lag, door, server, caller, there, reads) for server in servers]
    return tuple(lag for lag in _at_once(looks) if lag is not None)


def _lag(
    door: ports.Cluster, server: xds.Server, caller: xds.Caller, there: Live, takes_roots: bool
) -> Lag | None:
    given = attempt(partial(istiod_ca.handed_out, door, server, caller))
    if isinstance(given, MeshctlError):
        return Lag(given.message)
    if given.text != there.text:  # without several roots, any other letter keeps it from reading
        return Lag(f"{server.pod} has not read its roots yet", is_stuck=not takes_roots)
    if issuer(given) != there.mark:
        return Lag(f"{server.pod} signs with another intermediate still")
    return None


def _caller(run: Run, rotation: Rotation, seat: Seat) -> xds.Caller:
    """Who asks istiods of a cluster. An external one believes the cluster that it works for."""
    mesh, door = run.mesh_of(seat.cluster), run.world.clusters[seat.cluster]
    cluster = mesh.cluster(seat.cluster)
    assert cluster is not None  # a seat has one
    voucher = run.world.clusters.get(mesh.known_as(cluster).name, door)
    token = voucher.token(seat.namespace, "default", audiences=("istio-ca",), seconds=_TOKEN_SECONDS)
    roots = b"".join(each.certificate.encode() for each in rotation.roots)
    return xds.Caller(seat.namespace, roots, token)


def takes_roots(run: Run, seat: Seat) -> bool:
    """Whether all istiods of a cluster take other roots while they run, and tell proxies of them."""
    pods = istiods_of(run, seat)
    return bool(pods) and all(map(_is_multiroot, pods))


def istiods_of(run: Run, seat: Seat) -> tuple[Object, ...]:
    """The running pods of a cluster's istiods."""
    where = {"namespace": seat.namespace, "labels": "app=istiod", "fields": "status.phase=Running"}
    pods = run.world.clusters[seat.cluster].list("v1", "Pod", **where)
    return tuple(pod for pod in pods if not pod.is_leaving)


def _is_multiroot(pod: Object) -> bool:
    env = chain.from_iterable(each.get("env") or () for each in pod.at("spec.containers", ()))
    return any(each["name"] == _MULTIROOT and str(each.get("value", "")).lower() in _YES for each in env)


def deployments_of(run: Run, seat: Seat) -> tuple[Ref, ...]:
    """The Deployments of a cluster's istiods."""
    door = run.world.clusters[seat.cluster]
    found = door.list("apps/v1", "Deployment", namespace=seat.namespace, labels="app=istiod")
    return tuple(each.ref for each in found)


# The proxies.


def witnesses(run: Run, rotation: Rotation) -> tuple[Witness, ...]:
    """Every proxy of the clusters that a rotation is about, as it says itself which certificates it has."""
    there = run.world.clusters
    seats = [seat for seat in rotation.seats if seat.cluster in there]
    hearing = {name for seat in seats if takes_roots(run, seat) for name in seat.serves}
    looks = [partial(_of_cluster, run, name, name in hearing) for name in rotation.clusters if name in there]
    return tuple(chain.from_iterable(_at_once(looks)))


def _of_cluster(run: Run, cluster: str, can_hear: bool) -> tuple[Witness, ...]:
    door = run.world.clusters[cluster]
    riders = found(door, None, istio_namespace=run.namespaces[cluster])
    looks = [
        partial(_asked, door, pod, ref, can_hear)
        for ref, pods in riders.pods.items()
        for pod in pods
        if pod.at("status.phase") == "Running"  # others get what istiod has when they begin
    ]
    ztunnels = door.list("v1", "Pod", labels="app=ztunnel", fields="status.phase=Running")
    of_nodes = _at_once([partial(_ztunnel, door, pod) for pod in ztunnels if not pod.is_leaving])
    machines = [
        Witness(
            cluster,
            each.ref.namespace,
            each.ref.name,
            each.ref,
            unseen="the proxy of a machine is asked there",
        )
        for each in door.list(*_ENTRY)
        if "istio.io/connectedAt" in each.annotations
    ]
    return (*_at_once(looks), *chain.from_iterable(of_nodes), *machines)


def _asked(door: ports.Cluster, pod: Object, workload: Ref, can_hear: bool) -> Witness:
    place = (pod.ref.namespace, pod.ref.name)
    witness = Witness(door.name, *place, workload, hears=can_hear and hears_of_roots(pod))
    if not has_envoy(pod):
        return replace(witness, unseen="its proxy is no Envoy, and does not tell")
    told = attempt(lambda: envoy_secrets.identity(door, *place, port=admin_port(pod, ADMIN_PORT)))
    if isinstance(told, MeshctlError):
        return replace(witness, unseen=told.message)
    return _shown(witness, told)


def _ztunnel(door: ports.Cluster, pod: Object) -> tuple[Witness, ...]:
    """What a ztunnel tells of the identities on its node; those that say the same count once."""
    place = (pod.ref.namespace, pod.ref.name)
    witness = Witness(door.name, *place, maker(pod) or pod.ref)
    told = attempt(partial(ztunnel.identities, door, *place))
    if isinstance(told, MeshctlError):
        return (replace(witness, unseen=told.message),)
    if not all(each.roots for each in told):
        return (replace(witness, unseen="it does not tell whom it trusts"),)
    every = {(each.issuer, each.trusts): each for each in (_shown(witness, one) for one in told)}
    return tuple(every.values())


def _shown(witness: Witness, told: Identity) -> Witness:
    return replace(
        witness,
        issuer=issuer(told),
        root=root(told),
        trusts=frozenset(cacerts.fingerprints(told.roots)),
        expires=pki.validity(told.chain[0])[1],
    )


def unpublished(run: Run, rotation: Rotation, seen: Iterable[Witness]) -> tuple[str, ...]:
    """Namespaces with proxies to which the roots of this stage are not published yet, with their clusters.

    Agents verify istiod by that ConfigMap: they have to know the new root before istiod shows it.
    """
    places = {(each.cluster, each.namespace) for each in seen}
    behind = []
    for seat in rotation.seats:
        wanted = set(rotation.trusted(seat))
        for name in seat.serves:
            maps = run.world.clusters[name].list(
                "v1", "ConfigMap", fields=f"metadata.name={xds.ROOT_CONFIG_MAP}"
            )
            behind += [
                f"{name}/{each.ref.namespace}"
                for each in maps
                if (name, each.ref.namespace) in places
                and not wanted <= {*marks(str(each.at("data.root-cert\\.pem", "")).encode())}
            ]
    return tuple(sorted(behind))


def _at_once(looks: Sequence[Callable[[], T]]) -> tuple[T, ...]:
    """The results of several looks, in their order."""
    if not looks:
        return ()
    with ThreadPoolExecutor(min(len(looks), _AT_ONCE)) as pool:
        return tuple(pool.map(lambda look: look(), looks))
