"""Which clusters istiods read, and whether they are in sync with them: asked of each istiod itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from meshctl.actions.attempt import attempt
from meshctl.adapters import xds
from meshctl.errors import FailedError, MeshctlError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.adapters.xds import Caller, Server
    from meshctl.model.mesh import Mesh
    from meshctl.ports import Cluster, World

SYNCED: Final = "synced"
"""What istiod says of a cluster that it has read whole."""
_PAGE: Final = "clusterz"


@dataclass(frozen=True)
class Reading:
    """What one istiod says of the clusters it reads.

    Attributes:
        pod: its pod.
        revision: its control-plane revision; `default` for the unnamed one.
        states: `synced`, `syncing`, `timeout` or `closed`, by the cluster's name; its own is among them.
        error: why it did not say.
    """

    pod: str
    revision: str
    states: Mapping[str, str] = field(default_factory=dict)
    error: MeshctlError | None = None


def remote_clusters(
    world: World, mesh: Mesh, server: str, namespace: str, *, seconds: float = 10.0
) -> tuple[Reading, ...]:
    """What every istiod of a cluster says; none where none runs.

    Args:
        world: doors to the clusters of the mesh.
        mesh: the mesh.
        server: name of the cluster in which they run.
        namespace: where, in it.
        seconds: how long each may take.

    Raises:
        AccessError: the cluster does not let us look for them.
        UnreachableError: it does not answer.
    """
    door = world.clusters[server]
    found = [each for each in xds.servers(door, namespace) if not each.is_leaving]
    if not found:
        return ()
    place = mesh.cluster(server)
    # An external istiod believes tokens of its config cluster, and keeps its root there.
    vouching = world.clusters.get(mesh.known_as(place).name, door) if place else door
    who = attempt(partial(xds.caller, vouching, namespace))
    with ThreadPoolExecutor(len(found)) as pool:
        return tuple(pool.map(lambda each: _asked(door, each, who, seconds), found))


def _asked(door: Cluster, server: Server, who: Caller | MeshctlError, seconds: float) -> Reading:
    states = who if isinstance(who, MeshctlError) else attempt(partial(_states, door, server, who, seconds))
    if isinstance(states, MeshctlError):
        return Reading(server.pod, server.revision, error=states)
    return Reading(server.pod, server.revision, states)


def _states(door: Cluster, server: Server, who: Caller, seconds: float) -> Mapping[str, str]:
    answer = xds.ask(door, server, who, xds.DEBUG, (_PAGE,), seconds=seconds)
    text = b"".join(each.value for each in answer.resources)
    try:
        return {str(each["id"]): str(each["syncStatus"]) for each in json.loads(text) or ()}
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError(
            "istiod-answer-unknown",
            f"istiod {server.namespace}/{server.pod} says nothing of the clusters it reads",
            hint="see its log",
            details=(text[:200].decode(errors="replace"),),
        ) from error
