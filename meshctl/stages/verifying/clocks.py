"""How far clocks are apart, told from times that servers write."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from meshctl.model.objects import Object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Clock, Cluster

_LEASES: Final = "kube-node-lease"
_HALF: Final = 0.5  # the API server writes whole seconds, so half of one is the best guess


def ahead(door: Cluster, clock: Clock, namespace: str) -> tuple[float | None, float]:
    """Seconds that the API server's clock is ahead of ours, and by how many that may be wrong.

    The API server is asked by a dry run to make a ConfigMap, and says when it was made.
    """
    meta = {"name": "meshctl-probe", "namespace": namespace}
    probe = Object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    before = clock.now()
    made = door.create(probe, dry_run=True)
    after = clock.now()
    told = _moment(made.at("metadata.creationTimestamp", ""))
    if told is None:
        return None, _HALF
    there = told.timestamp() + _HALF
    here = (before.timestamp() + after.timestamp()) / 2
    return there - here, _HALF + (after - before).total_seconds() / 2


def nodes_ahead(door: Cluster) -> Mapping[str, float]:
    """Seconds that nodes' clocks are ahead of their API server's, by node, give or take one.

    A node writes its own time into its Lease, and the API server notes when it did.
    """
    found = {}
    for lease in door.list("coordination.k8s.io/v1", "Lease", namespace=_LEASES):
        renewed = _moment(lease.at("spec.renewTime", ""))
        noted = [
            moment
            for each in lease.at("metadata.managedFields", ())
            if (moment := _moment(each.get("time", "")))
        ]
        if renewed and noted:
            found[lease.ref.name] = renewed.timestamp() - (max(noted).timestamp() + _HALF)
    return dict(sorted(found.items()))


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
