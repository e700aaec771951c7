"""Uninstall a mesh from several clusters: links first, then the clusters that are served, then the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.actions.doing import do
from meshctl.actions.fleet.working import CLUSTERS, work
from meshctl.actions.links.unlinking import release_plan, unlink_plan
from meshctl.actions.uninstall import Leave, remove, uninstall
from meshctl.errors import ConfigError, FailedError, MeshctlError
from meshctl.model.fleet import Work
from meshctl.stages.fleet.waves import uninstalling, unlinking

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from meshctl.actions.fleet.install import Fleet
    from meshctl.actions.fleet.working import Heed
    from meshctl.model.event import Event
    from meshctl.model.fleet import Ended, Needs, Task, Told
    from meshctl.model.link import Link
    from meshctl.model.plan import Plan
    from meshctl.model.removal import Scope
    from meshctl.ports import World
    from meshctl.stages.removing.residue import Remainder


@dataclass(frozen=True)
class Departure:
    """What goes from a fleet.

    Attributes:
        fleet: the clusters, all of which are seen.
        leaves: what goes from each that is asked for, by name; one with other meshes alone is left out.
        errors: why nothing can be said of others that are asked for.
        left: what is still there of each, once it is done; filled as clusters are.
    """

    fleet: Fleet
    leaves: Mapping[str, Leave]
    errors: Mapping[str, MeshctlError]
    left: dict[str, tuple[Remainder, ...]] = field(default_factory=dict)

    @property
    def links(self) -> tuple[Link, ...]:
        """Links that end: those of clusters that lose their last control plane."""
        going = {name for name, each in self.leaves.items() if each.scope.revision is None}
        return tuple(each for each in self.fleet.links if going & {each.server, each.reads})

    @property
    def refusals(self) -> tuple[MeshctlError, ...]:
        """Why this is not done without `--force`, of every cluster."""
        return tuple(refusal for each in self.leaves.values() for refusal in each.refusals)


def departure(world: World, fleet: Fleet, scope: Scope, names: tuple[str, ...], *, drain: int) -> Departure:
    """Plan the removal from several clusters, side by side. Only reads.

    Args:
        world: doors to all clusters of `fleet`.
        fleet: what the mesh.yaml says.
        scope: how much is to go; mesh and namespace are those of each cluster.
        names: clusters that it goes from.
        drain: as for `uninstall`.

    Raises:
        ConfigError: there is no such mesh or revision in one of them.
    """
    with ThreadPoolExecutor(min(CLUSTERS, len(names))) as pool:
        looks = [partial(_leave, world, fleet, scope, name, names, drain) for name in names]
        found = dict(zip(names, pool.map(attempt, looks), strict=True))
    wrong = [each for each in found.values() if isinstance(each, ConfigError)]
    elsewhere = [each for each in wrong if each.code == "unknown-mesh"]  # other meshes are there, this is not
    for each in wrong:
        if each not in elsewhere or len(elsewhere) == len(found):
            raise each
    return Departure(
        fleet,
        {name: each for name, each in found.items() if isinstance(each, Leave)},
        {
            name: each
            for name, each in found.items()
            if isinstance(each, MeshctlError) and each not in elsewhere
        },
    )


def _leave(world: World, fleet: Fleet, scope: Scope, name: str, names: tuple[str, ...], drain: int) -> Leave:
    values = fleet.values[name]
    mine = replace(scope, mesh=values.mesh.name, namespace=values.namespace)
    others = [each for each in names if each != name]
    [leave] = uninstall(_only(world, name), mine, drain=drain, besides=others)
    return leave


def _only(world: World, name: str) -> World:
    """The doors to one cluster."""
    return replace(world, clusters={name: world.clusters[name]}, releases={name: world.releases[name]})


def ending(world: World, gone: Departure) -> Iterator[Plan]:
    """What ends links, as things are; of clusters that do not answer nothing is told here."""
    for task in unlinking(gone.links):
        found = attempt(partial(_unlinking, world, gone.fleet, task))
        if not isinstance(found, MeshctlError):
            yield found


def _unlinking(world: World, fleet: Fleet, task: Task) -> Plan:
    assert task.link
    make = unlink_plan if task.work is Work.UNLINK else release_plan
    return make(world, fleet.ends(task.link))


def depart(world: World, gone: Departure, *, drain: int) -> Generator[Told | Ended, None, None]:
    """End the links, then take the mesh out of the clusters; see `working.work`.

    A link that cannot be ended, as one of its clusters does not answer, keeps no cluster back.
    """

    def unlink(task: Task, heed: Heed) -> Generator[Event, None, None]:
        yield from do(world, _unlinking(world, gone.fleet, task), heed=heed)

    def leave(task: Task, heed: Heed) -> Generator[Event, None, None]:
        name = task.cluster
        if name in gone.errors:
            raise gone.errors[name]
        here, mine = _only(world, name), gone.leaves[name]
        if mine.is_empty and mine.scope.revision is None:
            world.releases[name].forget_upgrade(mine.scope.mesh)
        for event in remove(here, mine, drain=drain) if not mine.is_empty else ():
            yield event
            heed()
        gone.left[name] = mine.left(here)
        missed = sum(not each.meant for each in gone.left[name])
        if missed:
            raise FailedError(
                "residue",
                f"{missed} objects of the mesh are left in {name!r}",
                hint="run the same command again; if they stay, see which finalizers hold them",
            )

    yield from work(unlinking(gone.links), unlink)
    yield from work(needs(gone), leave)


def needs(gone: Departure) -> Needs:
    """The clusters that the mesh leaves, and which go before which."""
    names = {*gone.leaves, *gone.errors}
    return uninstalling(each for name, each in gone.fleet.clusters.items() if name in names)
