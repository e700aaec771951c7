"""All doors at once: of one kubeconfig context, or of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.adapters import recordings
from meshctl.adapters.clock import SystemClock
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.kube import connect
from meshctl.adapters.releases import ClusterReleases
from meshctl.ports import World

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meshctl.model.mesh import Cluster


def world(kubeconfig: str = "", context: str = "", name: str = "") -> World:
    """The doors to one cluster; sends nothing yet.

    Args:
        kubeconfig: a file; empty: as kubectl would find it.
        context: a context in it; empty: the current one.
        name: of the cluster within its mesh; empty: its context's.

    Raises:
        ConfigError: no such file or context, or the entry is not usable.
        AccessError: the credential plugin failed.
    """
    clock = SystemClock()
    cluster = connect(kubeconfig or None, context or None, name=name, clock=clock)
    return World(
        {cluster.name: cluster}, {cluster.name: ClusterReleases(cluster, clock)}, clock, LocalFiles()
    )


def recorded(folder: Path, clusters: Iterable[str]) -> World:
    """The doors to clusters as they were recorded; nothing can be changed through them.

    Args:
        folder: where `meshctl observe` has put the recordings.
        clusters: their names.

    Raises:
        ConfigError: there is no recording of one of them, or it cannot be read.
    """
    clock = SystemClock()
    doors = {each.name: each for each in recordings.read(folder, clusters)}
    records = {name: ClusterReleases(door, clock) for name, door in doors.items()}
    return World(doors, records, clock, LocalFiles(), is_recorded=True)


def fleet(clusters: Iterable[Cluster], kubeconfig: str = "") -> World:
    """The doors to clusters of a mesh.yaml, each under its name; sends nothing yet.

    Args:
        clusters: each with its context, and with its kubeconfig where it has its own.
        kubeconfig: file of the others; empty: as kubectl would find it.

    Raises:
        ConfigError: no such file or context, or the entry is not usable.
        AccessError: the credential plugin failed.
    """
    clock = SystemClock()
    doors = {
        each.name: connect(
            each.kubeconfig or kubeconfig or None, each.context or None, name=each.name, clock=clock
        )
        for each in clusters
    }
    records = {name: ClusterReleases(door, clock) for name, door in doors.items()}
    return World(doors, records, clock, LocalFiles())
