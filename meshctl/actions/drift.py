"""What was changed behind the back of the deployed releases, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.stages.planning.drift import drift
from meshctl.stages.seeing.observe import look

if TYPE_CHECKING:
    from meshctl.model.drift import Drift
    from meshctl.ports import World


@dataclass(frozen=True)
class Drifts:
    """One cluster: the meshes that have a record there, and what is not as they left it."""

    cluster: str
    meshes: tuple[str, ...]
    objects: tuple[Drift, ...]


def drifted(world: World) -> tuple[Drifts, ...]:
    """Compare what is in every cluster with what its releases sent. Only reads."""
    return tuple(_drifted(world, name) for name in world.clusters)


def _drifted(world: World, name: str) -> Drifts:
    records = world.releases[name]
    meshes = records.meshes()
    found: list[Drift] = []
    for mesh in meshes:
        past = records.of(mesh)
        live = look(world.clusters[name], {ref for each in past for ref in each.refs})
        found += drift(past, live)
    return Drifts(name, meshes, tuple(found))
