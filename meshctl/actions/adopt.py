"""Carry on a mesh that istioctl, Helm or another tool has installed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.labels import REVISION
from meshctl.model.tag import DEFAULT
from meshctl.stages.planning import helm_releases, kept_settings
from meshctl.stages.planning.adoption import (
    Adoption,
    adoption,
    former_owner,
    refuse_other_version,
    version_of,
)
from meshctl.stages.removing.belongings import sight
from meshctl.stages.settings.keeping import followed

if TYPE_CHECKING:
    from meshctl import ports
    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Object
    from meshctl.model.observation import Observation
    from meshctl.model.release import Release
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


@dataclass(frozen=True, order=True)
class Standing:
    """A control plane as it stands.

    Attributes:
        revision: empty for the unnamed one.
        version: Istio's version; empty where the tag of its image does not tell.
        namespace: where it runs.
        tool: who installed it; empty where we did.
    """

    revision: str
    version: str
    namespace: str
    tool: str


def standing(world: World) -> tuple[Standing, ...]:
    """The control planes to adopt in the one cluster there is: of other tools, else our own. Only reads.

    Our own are told too, because an adoption that was cut short has made some of it ours.
    """
    [door] = world.clusters.values()
    istiods = [_standing(obj) for obj in door.list("apps/v1", "Deployment", labels="app=istiod")]
    theirs = [each for each in istiods if each.tool]
    return tuple(sorted(theirs or istiods))


def as_it_stands(world: World, asked: Loaded) -> tuple[str, str]:
    """The version and the revision to adopt; each empty where the input says its own, or nothing stands.

    Raises:
        ConfigError: several revisions run, none of them the unnamed one, and none is named.
    """
    versions = {each.revision: each.version for each in standing(world)}
    return followed(asked, versions, f"choose one of {listed(versions)}: they are adopted one by one")


def _standing(istiod: Object) -> Standing:
    revision = istiod.labels.get(REVISION, DEFAULT)
    return Standing(
        "" if revision == DEFAULT else revision,
        version_of(istiod),
        istiod.ref.namespace,
        former_owner(istiod),
    )


def adopted(door: ports.Cluster, desired: Manifest, seen: Observation, release: Release) -> Adoption:
    """What an adoption does besides sending what is desired. Only reads.

    Raises:
        UnsupportedError: the istiod there is of another version.
    """
    refuse_other_version(desired, seen.objects, release.version)
    around = sight(door, seen.kinds)
    theirs = [obj for obj in (*seen.objects.values(), *around.values()) if former_owner(obj)]
    wanted = helm_releases.named(theirs)
    records = [
        obj
        for kind in ("Secret", "ConfigMap")
        for namespace in sorted({namespace for namespace, _ in wanted})
        for obj in door.list("v1", kind, namespace=namespace, labels=helm_releases.RECORDS)
    ]
    found = adoption(desired, release, seen.objects, around, helm_releases.releases(records, wanted))
    hint = kept_settings.hint(kept_settings.lost(desired, seen.objects)) if theirs else ""
    return replace(found, warnings=(hint, *found.warnings)) if hint else found
