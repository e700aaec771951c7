"""Whether the Services that webhooks call are answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from meshctl.model.webhook import called, endpoints_of, silence
from meshctl.stages.seeing.observe import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.objects import Object, Ref
    from meshctl.ports import Cluster


def silent(cluster: Cluster, ref: Ref) -> str:
    """Why nobody answers at a Service; empty when somebody does. Only reads."""
    service = cluster.get(ref)
    if service is None:
        return silence(ref, None, ())
    slices = cluster.list(
        "discovery.k8s.io/v1", "EndpointSlice", namespace=ref.namespace, labels=endpoints_of(ref)
    )
    return silence(ref, service, slices)


def silences(cluster: Cluster, configurations: Iterable[Object]) -> Mapping[Ref, str]:
    """For each Service that webhook configurations call, why nobody answers there. Only reads."""
    refs = {ref for each in configurations for hook in each.at("webhooks", ()) if (ref := called(hook))}
    wanted = sorted(refs)
    if not wanted:
        return {}
    with ThreadPoolExecutor(min(THREADS, len(wanted))) as pool:
        return dict(zip(wanted, pool.map(lambda ref: silent(cluster, ref), wanted), strict=True))
