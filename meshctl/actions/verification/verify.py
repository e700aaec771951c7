"""Whether the clusters of a fleet work together: what is seen of each, calls between them, and judgement."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from meshctl.actions.attempt import attempt
from meshctl.actions.checks import checks, run
from meshctl.actions.links.linking import offline
from meshctl.actions.links.remote_clusters import remote_clusters
from meshctl.actions.verification.traffic import Trial, traffic
from meshctl.adapters import envoy, envoy_secrets
from meshctl.errors import ConfigError, MeshctlError, Where
from meshctl.model.check import Moment
from meshctl.model.finding import Level
from meshctl.model.mesh import Role
from meshctl.model.release import Status
from meshctl.model.verification import FleetSeen, IstiodSeen, Trusted
from meshctl.stages.gating.pods import admin_port
from meshctl.stages.seeing.sync import ALIVE, image_tag
from meshctl.stages.verifying.looking import look, trusted
from meshctl.stages.verifying.remote_secrets import remote_secrets

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from meshctl import ports
    from meshctl.model.check import Outcome
    from meshctl.model.fleet import Told
    from meshctl.model.mesh import Cluster, Mesh
    from meshctl.model.objects import Object
    from meshctl.model.verification import ClusterSeen
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded

_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Verification:
    """What came of a verification.

    Attributes:
        fleet: what was seen, and which calls were made.
        outcomes: of every check.
    """

    fleet: FleetSeen
    outcomes: tuple[Outcome, ...]

    def is_sound(self, worst: Level = Level.ERROR) -> bool:
        """Whether nothing was found that is as bad as `worst`, or worse."""
        return all(each.level is None or each.level.rank < worst.rank for each in self.outcomes)


def verify(
    world: World, asked: Sequence[Loaded], trial: Trial | None = None
) -> Generator[Told, None, Verification]:
    """Look at every cluster, have them call each other, and hold what is seen against every rule of fleets.

    Without traffic nothing is changed. With it, pods in a namespace of their own come and go; what an earlier
    run has left is removed.

    Args:
        world: doors to the clusters.
        asked: the meshes of a mesh.yaml, with those of their clusters that are asked for.
        trial: how traffic is tried; None: not at all.

    Raises:
        ConfigError: no mesh.yaml says which clusters there are.
        ConflictError: somebody else is verifying.
    """
    if not asked[0].is_fleet:
        raise ConfigError(
            "no-mesh-file",
            "which clusters are to work together is not known",
            where=Where("--filename"),
            hint="name a mesh.yaml with -f; `meshctl profile dump multi-primary` makes one to start from",
        )
    fleet = look_at(world, asked)
    if trial is not None:
        tried = yield from traffic(world, fleet, trial)
        fleet = replace(fleet, traffic=tried)
    chosen = [each for each in checks() if each.fits(Moment.FLEET)]
    return Verification(fleet, run(fleet, chosen, world.clock))


def look_at(world: World, asked: Sequence[Loaded]) -> FleetSeen:
    """What is seen of every cluster, all at once."""
    pairs = [(each, cluster) for each in asked for cluster in each.mesh.clusters]
    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(pairs)))) as pool:
        seen = tuple(pool.map(lambda pair: _seen(world, *pair), pairs))
    meshes = tuple(_whole(each) for each in asked)
    return FleetSeen(meshes, seen, world.clock.now())


def _whole(asked: Loaded) -> Mesh:
    """The mesh, with those of its clusters that are not asked for."""
    return next(iter(asked.shares.values())).mesh


def _seen(world: World, asked: Loaded, cluster: Cluster) -> ClusterSeen:
    door, mesh = world.clusters[cluster.name], _whole(asked)
    namespace, revision = _home(world, asked, cluster)
    seen = look(
        door,
        cluster,
        world.clock,
        mesh=mesh.name,
        namespace=namespace,
        revision=revision,
        ask=partial(_roots, door),
    )
    if seen.why:
        return seen
    unread = list(seen.unread)
    istiods = attempt(partial(_istiods, world, mesh, cluster, namespace))
    if isinstance(istiods, MeshctlError):
        unread.append(("istiods", istiods.message))
        istiods = ()
    config = mesh.known_as(cluster).name if cluster.role is Role.EXTERNAL else ""
    secrets = attempt(partial(remote_secrets, world.clusters, cluster.name, namespace, config))
    if isinstance(secrets, MeshctlError):
        unread.append(("remote secrets", secrets.message))
        secrets = ()
    return replace(seen, istiods=istiods, secrets=secrets, unread=tuple(unread))


def _home(world: World, asked: Loaded, cluster: Cluster) -> tuple[str, str]:
    """Namespace and revision of what is installed in a cluster; without a record, what is asked for."""
    values = attempt(partial(offline, asked, cluster))
    wanted = ("istio-system", "") if isinstance(values, MeshctlError) else (values.namespace, values.revision)
    records = attempt(partial(world.releases[cluster.name].of, asked.mesh.name))
    if isinstance(records, MeshctlError):
        return wanted
    there = [(each.namespace, each.revision) for each in records if each.status is Status.DEPLOYED]
    return wanted if wanted in there or not there else there[-1]


def _istiods(world: World, mesh: Mesh, cluster: Cluster, namespace: str) -> tuple[IstiodSeen, ...]:
    pods = world.clusters[cluster.name].list(
        "v1", "Pod", namespace=namespace, labels="app=istiod", fields=ALIVE
    )
    versions = {pod.ref.name: (_environment(pod).get("CLUSTER_ID", ""), _version(pod)) for pod in pods}
    seen = []
    for each in remote_clusters(world, mesh, cluster.name, namespace):
        name, version = versions.get(each.pod, ("", ""))
        why = each.error.message if each.error else ""
        seen.append(IstiodSeen(each.pod, name or "Kubernetes", version, dict(each.states), why))
    return tuple(seen)


def _environment(pod: Object) -> dict[str, str]:
    told = pod.at("spec.containers[0].env", ())
    return {each["name"]: str(each.get("value", "")) for each in told}


def _version(pod: Object) -> str:
    return image_tag(str(pod.at("spec.containers[0].image", "")))


def _roots(door: ports.Cluster, pod: Object) -> Trusted:
    """The roots that the Envoy of a pod trusts."""
    port = admin_port(pod, envoy.ADMIN_PORT)
    found = attempt(partial(envoy_secrets.identity, door, pod.ref.namespace, pod.ref.name, port=port))
    if isinstance(found, MeshctlError):
        return Trusted(str(pod.ref), frozenset(), found.message)
    return trusted(str(pod.ref), b"".join(found.roots))
