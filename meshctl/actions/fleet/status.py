"""How every cluster of a fleet stands, all at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.actions.fleet.install import entrance_of
from meshctl.actions.status import status
from meshctl.errors import MeshctlError
from meshctl.stages.fleet.addresses import address
from meshctl.stages.fleet.standing import judged

if TYPE_CHECKING:
    from meshctl.actions.fleet.install import Fleet
    from meshctl.model.standing import MeshStatus
    from meshctl.ports import World


def fleet_status(world: World, fleet: Fleet) -> MeshStatus:
    """How the clusters of a mesh.yaml stand, by themselves and as members of their mesh. Only reads.

    Raises:
        UnreachableError: no cluster answered.
        AccessError: no cluster let us in.
    """
    namespaces = {name: each.namespace for name, each in fleet.values.items()}
    found = status(world, namespaces=namespaces)
    entrances = {}
    for server in {each.control_plane for each in fleet.clusters.values()} & fleet.clusters.keys():
        service = attempt(partial(entrance_of, world, fleet.inputs[server].mesh.name, server))
        if service and not isinstance(service, MeshctlError) and not fleet.clusters[server].address:
            entrances[server] = address(service)
    standings = (
        judged(one, fleet.clusters[one.cluster], fleet.inputs[one.cluster].mesh.name, entrances)
        for one in found.clusters
    )
    return replace(found, clusters=tuple(standings))
