"""What was seen of a cluster in this run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.model.release import Release


@dataclass(frozen=True)
class Observation:
    """A cluster as seen: facts that settle values, and the live objects that a plan compares with.

    Attributes:
        cluster: name of the cluster within the mesh.
        version: the API server's version, `v1.34.4`.
        kinds: every kind it serves, at its preferred version.
        platforms: names of platform profiles that the nodes point to, in order of application.
        objects: live objects by name; those looked for and not found are absent.
        releases: records of meshctl in this cluster, oldest first.
    """

    cluster: str
    version: str
    kinds: tuple[Kind, ...] = ()
    platforms: tuple[str, ...] = ()
    objects: Mapping[Ref, Object] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
