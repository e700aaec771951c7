"""What a check is given: one cluster, and what is known of the mesh there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from meshctl.model.manifest import Manifest
from meshctl.model.right import Needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from meshctl.model.objects import Kind
    from meshctl.model.proxy import Seat
    from meshctl.model.release import Release
    from meshctl.model.upgrade_path import UpgradePath
    from meshctl.ports import Cluster


_NOTHING = Manifest()
_NO_NEEDS = Needs()


def _any(_: str) -> str:
    """Takes every Kubernetes."""
    return ""


def _none() -> tuple[str, ...]:
    """Takes nothing from anybody."""
    return ()


@dataclass(frozen=True)
class Site:
    """One cluster to look at.

    Attributes:
        cluster: the door to it.
        mesh: name of the mesh.
        namespace: the mesh's namespace.
        revision: control-plane revision asked for; empty for the unnamed one.
        desired: what an install would send; empty when nothing is to be installed.
        conflicts: looks for what an install would have to take from others, an object a line:
            `Kind name: fields`.
        kinds: what the cluster serves; empty when it does not answer.
        releases: records of the mesh, oldest first.
        require_kubernetes: raises `UnsupportedError` for a Kubernetes this Istio does not run on, and
            gives a warning for one that it was not tested with.
        needs: the rights that an install would need.
        path: from which Istio to which, where there is one already.
        seats: pods with a proxy of the control plane that is left.
        now: this moment, for what comes to its end; None where nobody asks about that.
    """

    cluster: Cluster
    mesh: str = "mesh"
    namespace: str = "istio-system"
    revision: str = ""
    desired: Manifest = _NOTHING
    conflicts: Callable[[], tuple[str, ...]] = _none
    kinds: tuple[Kind, ...] = ()
    releases: tuple[Release, ...] = ()
    require_kubernetes: Callable[[str], str] = _any
    needs: Needs = _NO_NEEDS
    path: UpgradePath | None = None
    seats: tuple[Seat, ...] = ()
    now: datetime | None = None

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.cluster.name

    @cached_property
    def ours(self) -> frozenset[tuple[str, str, str]]:
        """Kind, namespace and name of what the records list."""
        return frozenset(
            (ref.kind, ref.namespace, ref.name) for record in self.releases for ref in record.refs
        )
