"""Record what a plan needs to know of clusters, so that it can be made where they are not reached."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions.fleet.install import Choices, preview
from meshctl.actions.fleet.working import CLUSTERS
from meshctl.actions.links.access import authority_of
from meshctl.actions.links.linking import own_endpoints
from meshctl.adapters.record import rewritten
from meshctl.adapters.recorder import Recorder
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import MeshctlError, UnreachableError
from meshctl.model.labels import MESH
from meshctl.model.objects import Object
from meshctl.model.recording import Recording
from meshctl.stages.comparing import secrets
from meshctl.stages.linking.addressing import is_loopback
from meshctl.stages.linking.secrets import READER
from meshctl.stages.planning.kinds import DEFINITION
from meshctl.stages.removing.belongings import CA_SECRET, is_definition, is_istio, links_clusters, sight
from meshctl.stages.seeing.observe import CHURNING, THREADS, look
from meshctl.stages.seeing.withholding import withheld
from meshctl.stages.trusting.cacerts import CACERTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.actions.fleet.install import Fleet
    from meshctl.model.objects import Ref
    from meshctl.ports import World

_USERS = "gateway.networking.k8s.io"
"""Group of what users make for a mesh, as are Istio's own: no plan looks at these."""


@dataclass(frozen=True)
class Observed:
    """What came of looking at one cluster.

    Attributes:
        cluster: its name.
        recording: what was seen, without secrets; None where it could not be looked at.
        error: why not; or what speaks against a plan, which is then told by every plan, too.
    """

    cluster: str
    recording: Recording | None
    error: MeshctlError | None = None


def observed(world: World, fleet: Fleet) -> tuple[Observed, ...]:
    """Look at every cluster as a plan does, and further, so that other settings can be planned, too.

    Only reads, and asks for no dry run. The plan that is made on the way is what tells which objects matter.

    Raises:
        ConfigError: the input is wrong.
    """
    recorders = {name: Recorder(world.clusters[name]) for name in fleet.clusters}
    records = {name: ClusterReleases(door, world.clock) for name, door in recorders.items()}
    through = replace(world, clusters=recorders, releases=records)
    errors = {each.task.cluster: each.error for each in preview(through, fleet, Choices()) if each.error}
    taken = world.clock.now().isoformat(timespec="seconds")

    def one(name: str) -> Observed:
        error = errors.get(name)
        if isinstance(error, UnreachableError):
            return Observed(name, None, error)
        try:
            _widen(recorders[name])
        except MeshctlError as fault:
            return Observed(name, None, fault)
        return Observed(name, _without_secrets(recorders[name].recording(taken)), error)

    with ThreadPoolExecutor(min(CLUSTERS, len(recorders))) as pool:
        return tuple(pool.map(one, recorders))


def _widen(door: Recorder) -> None:
    """Look at what other settings may ask for: all names, what Istio's installers have made, links."""
    kinds = [each for each in door.kinds() if not each.verbs or "list" in each.verbs]
    counted = [each for each in kinds if each.kind not in CHURNING]
    with ThreadPoolExecutor(THREADS) as pool:
        names = [ref for refs in pool.map(door.counted, counted) for ref in refs]
    sight(door, [each for each in kinds if not is_istio(each.group) and each.group != _USERS])
    look(door, [ref for ref in names if ref.kind == DEFINITION and is_definition(ref)])
    door.list("apps/v1", "Deployment", labels="app=istiod")
    _widen_links(door, names)


def _widen_links(door: Recorder, names: Iterable[Ref]) -> None:
    """Look at what links and authorities are made of, should the cluster come to have others to talk to."""
    kept = (ref for ref in names if (ref.group, ref.kind) == ("", "Secret"))
    look(door, [ref for ref in kept if links_clusters(ref) or ref.name in (CACERTS, CA_SECRET)])
    for label in (MESH, READER):
        door.list("v1", "Secret", labels=label)
    authority_of(door, server="")  # whom the cluster's own pods believe
    if is_loopback(door.server):  # then it matters whether its pods are processes of this machine
        door.list("v1", "Node")
        own_endpoints(door)


def _without_secrets(recording: Recording) -> Recording:
    objects = {ref: _shown(obj) for ref, obj in recording.objects.items()}
    return replace(recording, objects=objects)


def _shown(obj: Object) -> Object:
    """An object as it may be kept where everybody reads it; a record of ours, with its contents masked."""
    return rewritten(obj, secrets.withheld) or withheld(obj)
