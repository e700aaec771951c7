"""Proxies that still run another version than their control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import MeshctlError, listed
from meshctl.model.event import Warned
from meshctl.model.labels import INJECTED
from meshctl.model.tag import DEFAULT
from meshctl.stages.seeing.sync import ALIVE, seats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.event import Event
    from meshctl.model.release import Release
    from meshctl.ports import World


def lagging(world: World, cluster: str, release: Release) -> Iterator[Event]:
    """Tell of running proxies of a release's revision that are of another version; they go on working."""
    try:
        pods = world.clusters[cluster].list("v1", "Pod", labels=INJECTED, fields=ALIVE)
    except MeshctlError:  # the work is done, and this beside it
        return
    found = [
        seat.namespace
        for seat in seats(pods, cluster)
        if not seat.is_leaving
        and (seat.revision or DEFAULT) == (release.revision or DEFAULT)
        and not seat.version.startswith(release.version)
    ]
    if found:
        places = listed(sorted(set(found)))
        yield Warned(
            "proxies",
            f"{len(found)} in {places}",
            f"run another version than {release.version} until their workloads are restarted, "
            "as by `kubectl rollout restart deployment -n NAMESPACE`",
        )
