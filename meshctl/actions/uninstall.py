"""Remove a mesh, and prove that nothing is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.model.labels import INJECTED
from meshctl.stages.planning.kinds import WORKLOADS
from meshctl.stages.removing.belongings import sight
from meshctl.stages.removing.draining import OWNED, drained
from meshctl.stages.removing.removal import doomed, removal
from meshctl.stages.removing.residue import attached, residue
from meshctl.stages.seeing.observe import inventory, look, observe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl import ports
    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Plan
    from meshctl.model.removal import Scope
    from meshctl.ports import World
    from meshctl.stages.removing.residue import Attached, Remainder


@dataclass(frozen=True)
class Leave:
    """One cluster's turn: what goes there, and whom it leaves without a control plane.

    Attributes:
        cluster: name of the cluster.
        plan: the steps.
        attached: running pods with a proxy that lose their control plane.
        before: names of all objects before the first install; empty where no record tells.
        scope: how much is to go.
    """

    cluster: str
    plan: Plan
    attached: tuple[Attached, ...]
    before: tuple[Ref, ...]
    scope: Scope

    def left(self, world: World) -> tuple[Remainder, ...]:
        """What is still there and was not there before, each with the reason why it stays. Only reads."""
        door = world.clusters[self.cluster]
        kinds = door.kinds()
        return residue(self.before, inventory(door, kinds=kinds), sight(door, kinds), self.scope)


def uninstall(world: World, scope: Scope, *, drain: int = 2) -> Iterator[Leave]:
    """Plan the removal from each cluster. Only reads; it is done by `doing.do`.

    It needs no files, and no record either: what a record does not list is found by labels and names.

    Args:
        world: doors to the clusters.
        scope: how much is to go.
        drain: seconds that gateways and control planes may finish what is under way.
    """
    for name in world.clusters:
        yield _leave(world, name, scope, drain)


def _leave(world: World, name: str, scope: Scope, drain: int) -> Leave:
    door = world.clusters[name]
    seen = observe(door, world.releases[name], scope.mesh)
    if seen.releases:  # the record knows the mesh's namespace better than who types the command
        scope = replace(scope, namespace=seen.releases[-1].namespace)
    listed = frozenset(ref for release in seen.releases for ref in release.refs)
    seen = replace(seen, objects={**sight(door, seen.kinds), **look(door, listed)})
    steps = removal(seen, scope, inventory(door, kinds=seen.kinds))
    going = [seen.objects[ref] for ref in doomed(steps) if ref.kind in WORKLOADS and ref in seen.objects]
    pods = door.list("v1", "Pod", labels=INJECTED)
    before = seen.releases[-1].inventory if seen.releases else ()
    return Leave(
        name, drained(steps, going, _owned(door, going), drain), attached(pods, going), before, scope
    )


def _owned(door: ports.Cluster, workloads: Sequence[Object]) -> tuple[Object, ...]:
    """ReplicaSets and pods of the namespaces of some workloads."""
    namespaces = sorted({each.ref.namespace for each in workloads})
    asked = [(*kind, namespace) for kind in OWNED for namespace in namespaces]
    return tuple(
        obj for version, kind, namespace in asked for obj in door.list(version, kind, namespace=namespace)
    )
