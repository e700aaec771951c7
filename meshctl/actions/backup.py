"""Save what a user made for the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.stages.applying.saving import dump
from meshctl.stages.removing.belongings import sight
from meshctl.stages.removing.removal import users_resources
from meshctl.stages.restoring.backup import head, secrets_named, surroundings
from meshctl.stages.seeing.observe import look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.model.release import Release
    from meshctl.ports import Cluster, World


@dataclass(frozen=True)
class Copy:
    """What was saved of one cluster.

    Attributes:
        cluster: name of the cluster.
        text: the file; may hold tokens, and keys where Secrets were asked for.
        resources: Istio's resources in it.
        secrets: Secrets that resources name, in it where they were asked for.
    """

    cluster: str
    text: str
    resources: tuple[Ref, ...]
    secrets: tuple[Ref, ...]


def backup(world: World, cluster: str, mesh: str, *, with_secrets: bool = False) -> Copy:
    """Everything that the user made for the mesh. Only reads.

    Args:
        world: doors to the clusters.
        cluster: name of the one to save.
        mesh: whose settings are saved too; those of no mesh where nothing is recorded.
        with_secrets: save the Secrets with certificates that gateways name, too.
    """
    door = world.clusters[cluster]
    kinds, releases = door.kinds(), world.releases[cluster].of(mesh)
    objects = sight(door, kinds)
    resources = users_resources(objects, releases)
    found = [objects[ref] for ref in resources]
    text, secrets = heading(door, kinds, objects, releases, found, with_secrets=with_secrets)
    return Copy(cluster, text + dump(found), resources, secrets)


def heading(
    door: Cluster,
    kinds: Sequence[Kind],
    objects: Mapping[Ref, Object],
    releases: Sequence[Release],
    resources: Sequence[Object],
    *,
    with_secrets: bool = False,
) -> tuple[str, tuple[Ref, ...]]:
    """What stands in a backup before Istio's resources, and the Secrets that these name. Only reads."""
    around = surroundings(door, kinds)
    home = releases[-1].namespace if releases else "istio-system"
    named = secrets_named(door, (*resources, *around), home)
    secrets = tuple(look(door, named).values()) if with_secrets else ()
    namespaces = [obj for ref, obj in sorted(objects.items()) if (ref.group, ref.kind) == ("", "Namespace")]
    return head(releases, namespaces, around, secrets=secrets, left_out=() if with_secrets else named), named
