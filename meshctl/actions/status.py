"""What is installed, whether it is ready, and for how long its certificates last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl.actions.attempt import attempt
from meshctl.adapters.xds import ROOT_CONFIG_MAP
from meshctl.errors import MeshctlError
from meshctl.model.labels import INJECTED
from meshctl.model.objects import Ref
from meshctl.model.release import Status
from meshctl.model.standing import MeshStatus, Standing
from meshctl.stages.seeing import standing, sync
from meshctl.stages.seeing.soundness import judged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from datetime import datetime

    from meshctl.model.objects import Object
    from meshctl.model.release import Release
    from meshctl.model.standing import Installation
    from meshctl.ports import Cluster, Releases, World

T = TypeVar("T")

_DEPLOYMENTS: Final = ("istio", "app=istiod", "gateway.istio.io/managed")
_DAEMON_SETS: Final = ("k8s-app=istio-cni-node", "app=ztunnel")
_HOOKS: Final = "admissionregistration.k8s.io/v1"


def status(
    world: World, *, istio_namespace: str = "istio-system", namespaces: Mapping[str, str] | None = None
) -> MeshStatus:
    """How the mesh stands in every cluster of `world`, whoever installed it.

    Only the API servers are asked, so it works while istiod does not. What cannot be read is left
    out and named; a cluster that does not answer at all is told among the others.

    Args:
        world: clusters to look at.
        istio_namespace: where the mesh's CA is kept.
        namespaces: the same of single clusters, by name.

    Raises:
        UnreachableError: no cluster answered.
        AccessError: no cluster let us in.
    """
    now = world.clock.now()
    homes = namespaces or {}
    with ThreadPoolExecutor(max_workers=len(world.clusters)) as threads:
        looks = {
            name: threads.submit(
                attempt,
                partial(_look, cluster, world.releases.get(name), homes.get(name, istio_namespace), now),
            )
            for name, cluster in world.clusters.items()
        }
    found = {name: look.result() for name, look in looks.items()}
    errors = [each for each in found.values() if isinstance(each, MeshctlError)]
    if errors and len(errors) == len(found):
        raise errors[0]
    return MeshStatus(
        now,
        tuple(
            Standing(name, world.clusters[name].server, unread=(("cluster", each),))
            if isinstance(each, MeshctlError)
            else each
            for name, each in found.items()
        ),
    )


def _look(cluster: Cluster, releases: Releases | None, namespace: str, now: datetime) -> Standing:
    version = (
        cluster.version()
    )  # on its own and first: a cluster that is away is told once, not for each read
    with ThreadPoolExecutor(max_workers=6) as threads:
        records = threads.submit(attempt, partial(_records, releases))
        workloads = threads.submit(attempt, partial(_workloads, cluster))
        hooks = threads.submit(attempt, partial(_hooks, cluster))
        root = threads.submit(attempt, partial(_root, cluster, namespace))
        secrets = threads.submit(attempt, partial(_secrets, cluster, namespace))
        pods = threads.submit(attempt, partial(_pods, cluster))
    unread: dict[str, MeshctlError] = {}
    configurations, endpoints = _take(unread, "webhooks", hooks, ((), {}))
    config_map = _take(unread, "mesh root", root, None)
    held = _take(unread, "CA secrets", secrets, ())
    carrying = _take(unread, "pods", pods, None)
    seen = Standing(
        cluster=cluster.name,
        server=cluster.server,
        version=version,
        releases=_take(unread, "releases", records, ()),
        installations=_take(unread, "workloads", workloads, ()),
        webhooks=standing.webhooks(configurations, endpoints, standing.root_of(config_map)),
        default=standing.default_owner(configurations),
        certificates=standing.certificates(config_map, held),
        data_plane=None if carrying is None else standing.data_plane(sync.seats(carrying, "")),
    )
    return judged(replace(seen, unread=tuple(unread.items())), now)


def _records(releases: Releases | None) -> tuple[Release, ...]:
    """The newest record of each mesh and revision; of a revision that was removed there is none."""
    if releases is None:
        return ()
    newest = {(mesh, each.revision): each for mesh in releases.meshes() for each in releases.of(mesh)}
    return tuple(each for each in newest.values() if each.status is not Status.SUPERSEDED)


def _workloads(cluster: Cluster) -> tuple[Installation, ...]:
    found = [each for labels in _DEPLOYMENTS for each in cluster.list("apps/v1", "Deployment", labels=labels)]
    found += [each for labels in _DAEMON_SETS for each in cluster.list("apps/v1", "DaemonSet", labels=labels)]
    objects = {each.ref: each for each in found}
    told = standing.installations(found)
    around = {
        name: _around(cluster, name) for name in sorted({each.ref.namespace for each in told if each.trouble})
    }
    return tuple(
        standing.explained(each, objects[each.ref], around[each.ref.namespace]) if each.trouble else each
        for each in told
    )


def _around(cluster: Cluster, namespace: str) -> standing.Around:
    """What explains why workloads of a namespace are not ready."""
    return standing.Around(
        pods=cluster.list("v1", "Pod", namespace=namespace),
        sets=cluster.list("apps/v1", "ReplicaSet", namespace=namespace),
        events=cluster.list("v1", "Event", namespace=namespace),
    )


def _hooks(
    cluster: Cluster,
) -> tuple[tuple[Object, ...], Mapping[tuple[str, str], tuple[Object, ...]]]:
    """Webhook configurations, and the EndpointSlices behind those of Istio's."""
    configurations = (
        *cluster.list(_HOOKS, "MutatingWebhookConfiguration"),
        *cluster.list(_HOOKS, "ValidatingWebhookConfiguration"),
    )
    endpoints = {
        (namespace, name): cluster.list(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            namespace=namespace,
            labels=f"kubernetes.io/service-name={name}",
        )
        for namespace, name in standing.services(configurations)
    }
    return configurations, endpoints


def _root(cluster: Cluster, namespace: str) -> Object | None:
    return cluster.get(Ref("v1", "ConfigMap", namespace, ROOT_CONFIG_MAP))


def _secrets(cluster: Cluster, namespace: str) -> tuple[Object, ...]:
    """The CA's Secrets. They hold its key too: nothing but the certificates is looked at, nothing is kept."""
    found = (cluster.get(Ref("v1", "Secret", namespace, name)) for name, _ in standing.CA_FILES)
    return tuple(secret for secret in found if secret is not None)


def _pods(cluster: Cluster) -> tuple[Object, ...] | None:
    return cluster.list("v1", "Pod", labels=INJECTED, fields=sync.ALIVE)


def _take(unread: dict[str, MeshctlError], what: str, read: Future[T | MeshctlError], default: T) -> T:
    """What was read; `default` where that failed, which `unread` then tells."""
    outcome = read.result()
    if isinstance(outcome, MeshctlError):
        unread[what] = outcome
        return default
    return outcome
