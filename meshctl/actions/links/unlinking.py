"""Take a link between two clusters away, so that nothing of it is left on either side."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from meshctl.actions.links.linking import refs_of, seen_of
from meshctl.errors import ConfigError
from meshctl.model.labels import COMPONENT, MESH
from meshctl.model.link import LinkKind
from meshctl.stages.linking import plans
from meshctl.stages.linking.plans import Leftover
from meshctl.stages.linking.reader import namespace_of, reader
from meshctl.stages.linking.secrets import PART
from meshctl.stages.planning.claims import Claims
from meshctl.stages.removing.belongings import SECRET, controllers_own, is_born_with
from meshctl.stages.seeing.observe import inventory, look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from meshctl.actions.links.linking import Ends
    from meshctl.model.objects import Ref
    from meshctl.model.plan import Plan
    from meshctl.model.values import Values
    from meshctl.ports import World


def unlink_plan(world: World, ends: Ends) -> Plan:
    """The end of a link beside the istiod that reads; it comes first. Only reads."""
    seen = seen_of(world, ends)
    going = {seen.secret.ref} if seen.secret else set()
    return plans.unlinking(ends.link, seen, _leftover(world, ends.serving, going))


def release_plan(world: World, ends: Ends) -> Plan:
    """The end of a link in the cluster that is read. Only reads.

    Its tokens go, and the account, unless others read by it, an install has made it, or it was there before.
    """
    seen = seen_of(world, ends)
    going = {each.ref for each in seen.holders}
    return plans.releasing(ends.link, seen, _leftover(world, ends.read, going))


def _leftover(world: World, values: Values, going: Collection[Ref]) -> Leftover:
    """What only links can have made or said in a cluster; nothing while there are others, or an install.

    Args:
        world: doors to the clusters.
        values: of the cluster.
        going: Secrets of a link that go.
    """
    name, mesh = values.cluster.name, values.mesh.name
    door = world.clusters[name]
    others = {*door.names(SECRET, labels=f"{MESH}={mesh},{COMPONENT}={PART}")} - {*going}
    if not going or others or world.releases[name].of(mesh):
        return Leftover()
    made = {*refs_of(namespace_of(values)), *_accounts(values)}
    live = {ref: obj for ref, obj in look(door, made).items() if not obj.is_leaving}
    ours = {ref for ref, obj in live.items() if obj.labels.get(MESH) == mesh}
    names = inventory(door) if any(ref.kind == "Namespace" for ref in ours) else ()
    held = {
        ref for ref in ours if ref.kind == "Namespace" and _holds_others(ref.name, names, {*going, *ours})
    }
    lent = (
        obj
        for ref, obj in live.items()
        if ref in held
        or (ref.kind == "Namespace" and MESH not in obj.labels and Claims.of(obj).ours is not None)
    )
    return Leftover(tuple(sorted(ours - held)), tuple(lent))


def _accounts(values: Values) -> Iterator[Ref]:
    """All that anybody could read a cluster by."""
    for kind in LinkKind:
        with suppress(ConfigError):  # then nobody reads it so
            yield from refs_of(reader(values, kind).parts)


def _holds_others(namespace: str, names: Iterable[Ref], gone: Collection[Ref]) -> bool:
    return any(
        ref.namespace == namespace and ref not in gone and not is_born_with(ref) and not controllers_own(ref)
        for ref in names
    )
