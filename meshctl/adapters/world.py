"""All doors at once, for one kubeconfig context."""

from __future__ import annotations

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.kube import connect
from meshctl.adapters.releases import ClusterReleases
from meshctl.ports import World


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
