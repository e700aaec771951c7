"""What is not as it should be in a cluster as a member of its fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.model.finding import Level, Rule
from meshctl.stages.fleet.addresses import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.finding import Finding
    from meshctl.model.mesh import Cluster
    from meshctl.model.standing import Standing

MEMBER_INSTALLED: Final = Rule(
    "member-installed",
    Level.ERROR,
    "Every cluster of a mesh.yaml has its mesh.",
    "`meshctl install -f` installs what is missing",
)
ISTIOD_WHERE_TOLD: Final = Rule(
    "istiod-where-told",
    Level.ERROR,
    "The gateway of an istiod has the address at which the clusters that it serves look for it.",
    "`meshctl install -f` tells them the address that it has now",
)


def rules() -> tuple[Rule, ...]:
    """Every rule above, in that order."""
    return tuple(each for each in globals().values() if isinstance(each, Rule))


def judged(one: Standing, cluster: Cluster, mesh: str, entrances: Mapping[str, str]) -> Standing:
    """The standing, with what is to be found of a member besides.

    Args:
        one: how the cluster stands.
        cluster: as its mesh.yaml says.
        mesh: name of its mesh.
        entrances: addresses of the gateways that lead to istiods, as they are now, by name of the cluster.
    """
    return replace(one, findings=(*one.findings, *_found(one, cluster, mesh, entrances)))


def _found(one: Standing, cluster: Cluster, mesh: str, entrances: Mapping[str, str]) -> Iterator[Finding]:
    if any(what in ("cluster", "releases") for what, _ in one.unread):
        return  # what could not be read is not missing
    mine = [each for each in one.releases if each.mesh == mesh]
    if not mine:
        yield MEMBER_INSTALLED.at(f"cluster {cluster.name}", f"mesh {mesh!r} is not installed here")
    now = entrances.get(cluster.control_plane, "")
    for release in mine:
        then = told(release.manifest)
        if now and then and then != now:
            yield ISTIOD_WHERE_TOLD.at(
                f"cluster {cluster.name}",
                f"it looks for istiod at {then}, and {cluster.control_plane!r} has {now}",
            )
