"""Does an `Inherit` step: claims of other managers become ours, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConflictError
from meshctl.model.event import Changed, Skipped, Unchanged
from meshctl.stages.planning.inheritance import inherited

if TYPE_CHECKING:
    from meshctl.model.event import Event
    from meshctl.model.plan import Inherit
    from meshctl.ports import Cluster

_TRIES = 5


def inherit(cluster: Cluster, step: Inherit) -> Event:
    """Rewrite who holds what of an object, at the version that was read.

    Raises:
        ConflictError: somebody changes the object faster than we can read it.
    """
    subject = str(step.ref)
    for attempt in range(_TRIES):
        live = cluster.get(step.ref)
        if live is None:
            return Skipped(step.part, subject, "it is gone")
        fields = inherited(live, step.managers).at("metadata.managedFields", [])
        if fields == live.at("metadata.managedFields", []):
            return Unchanged(step.part, subject)
        version = live.at("metadata.resourceVersion", "")
        try:
            cluster.patch(step.ref, {"metadata": {"resourceVersion": version, "managedFields": fields}})
            break
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
    return Changed(step.part, subject, "adopted")
