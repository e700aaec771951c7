"""What every proxy was told, by all istiods of all clusters at once."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl.actions.attempt import attempt
from meshctl.adapters import xds
from meshctl.errors import FailedError, MeshctlError, UnreachableError, nearest
from meshctl.model.labels import INJECTED
from meshctl.model.objects import Kind
from meshctl.model.proxy import Inventory, Istiod, ProxyStatus
from meshctl.stages.seeing import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshctl.adapters.xds import Caller, Server
    from meshctl.model.objects import Object
    from meshctl.model.proxy import Proxy
    from meshctl.ports import Clock, Cluster, World

T = TypeVar("T")

_GRACE: Final = 0.5  # seconds a stream has to give its own reason before its thread is given up
_POD: Final = Kind("v1", "Pod", "pods", namespaced=True)
_ENTRY: Final = ("networking.istio.io/v1", "WorkloadEntry")


@dataclass(frozen=True)
class _Scope:
    """What was asked for."""

    istio_namespace: str
    namespace: str
    revision: str
    seconds: float


@dataclass(frozen=True)
class _View:
    """What was learnt in one cluster; `inventory` is the reason where the pods could not be listed."""

    cluster: Cluster
    istiods: tuple[Istiod, ...]
    proxies: tuple[Proxy, ...]
    inventory: Inventory | MeshctlError


def proxy_status(
    world: World,
    *,
    istio_namespace: str = "istio-system",
    namespace: str = "",
    revision: str = "",
    workload: str = "",
    seconds: float = 10.0,
) -> ProxyStatus:
    """Ask every istiod for its proxies, and compare with the pods that have one.

    All istiods are asked at once, and each has `seconds`; one that is dead or frozen takes nothing
    from the others, and the result says that it did not answer.

    Args:
        world: clusters to look at.
        istio_namespace: where istiod runs.
        namespace: only proxies in this namespace; empty for all.
        revision: only istiods, and missing pods, of this revision; empty for all.
        workload: only proxies of `[kind/]name[.namespace]`; empty for all.
        seconds: how long each istiod may take.

    Raises:
        ConfigError: `workload` names a kind without pods.
        FailedError: there is no istiod, `workload` has no proxy, or the mesh root is not published.
        UnreachableError: no istiod answered.
        AccessError: none let us ask.
    """
    wanted = sync.reference(workload, namespace) if workload else None
    scope = _Scope(istio_namespace, namespace, revision, seconds)
    looks = {name: _start(partial(_look, world.clock, one, scope)) for name, one in world.clusters.items()}
    outcomes = {name: look.result() for name, look in looks.items()}
    views = [view for view in outcomes.values() if isinstance(view, _View)]
    unseen = {name: error for name, error in outcomes.items() if isinstance(error, MeshctlError)}
    _expect_an_answer(views, unseen, scope)

    proxies = [each for view in views for each in view.proxies if namespace in ("", each.namespace)]
    inventories = []
    for view in views:
        found = attempt(partial(_complete, view, proxies))
        if isinstance(found, MeshctlError):
            unseen[view.cluster.name] = found
        else:
            inventories.append(found)
    status = ProxyStatus(
        proxies=sync.settle(proxies, inventories),
        missing=sync.missing(proxies, inventories, revision),
        istiods=tuple(each for view in views for each in view.istiods),
        unseen=tuple(sorted(unseen.items())),
    )
    return status if wanted is None else _only(status, wanted, [view.cluster for view in views])


def _look(clock: Clock, cluster: Cluster, scope: _Scope) -> _View:
    """Ask one cluster's istiods, and list its pods meanwhile."""
    servers = xds.servers(cluster, scope.istio_namespace, scope.revision)
    deadline = clock.monotonic() + scope.seconds + _GRACE
    who = attempt(partial(xds.caller, cluster, scope.istio_namespace)) if servers else None
    asking = [_start(partial(_ask, cluster, server, who, scope.seconds)) for server in servers]
    inventory = attempt(partial(_inventory, cluster, servers, scope.namespace))
    istiods: list[Istiod] = []
    proxies: list[Proxy] = []
    for server, answer in zip(servers, asking, strict=True):
        outcome = _await(answer, deadline - clock.monotonic())
        istiod = Istiod(server.pod, server.namespace, cluster.name, server.revision)
        if not isinstance(outcome, MeshctlError):
            version, found = outcome
            istiods.append(replace(istiod, version=version, proxies=len(found)))
            proxies += found
        elif not server.is_leaving:  # nobody waits for an answer of one that is on its way out
            istiods.append(replace(istiod, error=outcome))
    return _View(cluster, tuple(istiods), tuple(proxies), inventory)


def _ask(
    cluster: Cluster, server: Server, who: Caller | MeshctlError | None, seconds: float
) -> tuple[str, tuple[Proxy, ...]]:
    if isinstance(who, MeshctlError):
        raise who
    assert who is not None  # where there are servers, there was a caller or the reason for none
    answer = xds.ask(cluster, server, who, xds.SYNCZ, seconds=seconds)
    return answer.version, xds.proxies(server, answer)


def _inventory(cluster: Cluster, servers: Sequence[Server], namespace: str) -> Inventory:
    """The cluster's pods with a proxy, without what only proxies that match none of them need."""
    cluster_id = servers[0].cluster_id if servers else cluster.name
    pods: list[Object] = []
    for labels in (INJECTED, "app=ztunnel"):  # a ztunnel is not injected
        pods += cluster.list("v1", "Pod", namespace=namespace, labels=labels, fields=sync.ALIVE)
    return Inventory(cluster_id, sync.seats(pods, cluster_id))


def _complete(view: _View, proxies: Sequence[Proxy]) -> Inventory:
    """The inventory, with all that is needed to tell what its unmatched proxies run in."""
    inventory = view.inventory
    if isinstance(inventory, MeshctlError):
        raise inventory
    if not sync.unmatched(proxies, inventory):
        return inventory
    pods = frozenset((ref.namespace, ref.name) for ref in view.cluster.names(_POD))
    hosts = frozenset(
        (entry.annotations.get("istio.io/workloadController", ""), entry.ref.namespace)
        for entry in view.cluster.list(*_ENTRY)
        if "istio.io/connectedAt" in entry.annotations
    )
    return replace(inventory, pods=pods, hosts=hosts)


def _only(status: ProxyStatus, wanted: sync.Reference, clusters: Sequence[Cluster]) -> ProxyStatus:
    """The part of a status that is about one workload."""
    pods = None if wanted.kind == "Pod" else _pods(clusters, wanted)

    def is_wanted(name: str, namespace: str) -> bool:
        if pods is not None:
            return (namespace, name) in pods
        # A dot may also be part of the pod's name.
        whole = f"{wanted.name}.{wanted.namespace}"
        return name in (wanted.name, whole) and (name == whole or wanted.namespace in ("", namespace))

    proxies = tuple(each for each in status.proxies if is_wanted(each.name, each.namespace))
    missing = tuple(each for each in status.missing if is_wanted(each.name, each.namespace))
    if not proxies and not missing:
        close = nearest(wanted.name, {each.name for each in status.proxies})
        raise FailedError(
            "no-such-proxy",
            f"no istiod that answered has a proxy of {wanted}",
            hint=f"did you mean {close}?" if close else "`meshctl proxy-status` lists all",
            details=tuple(f"{each.name} did not answer" for each in status.failed),
        )
    return replace(status, proxies=proxies, missing=missing)


def _pods(clusters: Sequence[Cluster], wanted: sync.Reference) -> frozenset[tuple[str, str]]:
    """`(namespace, name)` of the pods of a workload, wherever it is found."""
    named = f"metadata.name={wanted.name}"
    return frozenset(
        (pod.ref.namespace, pod.ref.name)
        for cluster in clusters
        for owner in cluster.list(wanted.api_version, wanted.kind, namespace=wanted.namespace, fields=named)
        if (labels := sync.selector(owner))
        for pod in cluster.list("v1", "Pod", namespace=owner.ref.namespace, labels=labels)
    )


def _expect_an_answer(views: Sequence[_View], unseen: dict[str, MeshctlError], scope: _Scope) -> None:
    istiods = [istiod for view in views for istiod in view.istiods]
    errors = [istiod.error for istiod in istiods if istiod.error is not None]
    if not istiods and unseen:
        raise next(iter(unseen.values()))
    if not istiods:
        of = f" of revision {scope.revision!r}" if scope.revision else ""
        raise FailedError(
            "no-istiod",
            f"no istiod{of} runs in namespace {scope.istio_namespace!r}",
            hint="name another namespace with -i, or see what is installed with `meshctl status`",
        )
    if len(errors) < len(istiods):
        return
    if len({error.code for error in errors}) == 1:
        raise errors[0]
    raise UnreachableError(
        "no-istiod-answers", "no istiod answered", details=tuple(error.message for error in errors)
    )


def _start(work: Callable[[], T]) -> Future[T | MeshctlError]:
    """Attempt `work` in a thread that does not keep the program alive: a frozen istiod may hold it long."""
    future: Future[T | MeshctlError] = Future()

    def run() -> None:
        try:
            future.set_result(attempt(work))
        except BaseException as fault:  # noqa: BLE001 (raised again where the result is asked for)
            future.set_exception(fault)

    threading.Thread(target=run, daemon=True).start()
    return future


def _await(future: Future[T | MeshctlError], seconds: float) -> T | MeshctlError:
    """The result, or why there is none within `seconds`."""
    try:
        return future.result(max(0.0, seconds))
    except TimeoutError:
        return UnreachableError(
            "istiod-silent",
            "no connection to it in time",
            hint="give it longer with --timeout, or look at its pod",
        )
