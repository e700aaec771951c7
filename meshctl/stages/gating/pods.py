"""Pods as a gate looks at them: found by what owns them or by name, and what their proxy says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from meshctl.stages.seeing.sync import ALIVE, proxy_container

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from meshctl.model.objects import Object, Ref
    from meshctl.ports import Cluster

Place: TypeAlias = tuple[str, str]
"""Namespace and name of a pod."""

_AGENTGATEWAY: Final = "agentgateway"  # container of a Gateway's proxy that is no Envoy


def owned(cluster: Cluster, workloads: Iterable[Ref]) -> tuple[Place, ...]:
    """The pods of these workloads that run or are about to, by namespace and name.

    A Deployment owns its pods by way of ReplicaSets; a Pod among the workloads stands for itself.
    """
    wanted: dict[str, set[tuple[str, str]]] = {}
    for ref in workloads:
        wanted.setdefault(ref.namespace, set()).add((ref.kind, ref.name))
    found: list[Place] = []
    for namespace, makers in sorted(wanted.items()):
        sets = cluster.list("apps/v1", "ReplicaSet", namespace=namespace)
        ours = makers | {("ReplicaSet", each.ref.name) for each in sets if _owners(each) & makers}
        found += [
            place(pod)
            for pod in _running(cluster, namespace)
            if _owners(pod) & ours or ("Pod", pod.ref.name) in makers
        ]
    return tuple(sorted(found))


def alive(cluster: Cluster, places: Collection[Place]) -> tuple[Object, ...]:
    """Those of these pods that run or are about to, as they are now, by namespace and name."""
    wanted = set(places)
    found = [
        pod
        for namespace in sorted({namespace for namespace, _ in wanted})
        for pod in _running(cluster, namespace)
        if place(pod) in wanted
    ]
    return tuple(sorted(found, key=place))


def place(pod: Object) -> Place:
    """Namespace and name of a pod."""
    return pod.ref.namespace, pod.ref.name


def cluster_id(pod: Object) -> str:
    """The ID of its cluster that the proxy of a pod tells istiod."""
    told = _environment(pod)
    return str(told.get("ISTIO_META_CLUSTER_ID") or told.get("CLUSTER_ID") or "Kubernetes")


def has_proxy(pod: Object) -> bool:
    """Whether a pod holds a proxy of any kind."""
    return bool(_proxy(pod))


def has_envoy(pod: Object) -> bool:
    """Whether the proxy of a pod is an Envoy: a ztunnel is none, nor an agent that serves gRPC alone."""
    proxy = proxy_container(pod)
    if proxy is None or "ztunnel" in proxy.get("args", ()):
        return False
    return _environment(pod).get("DISABLE_ENVOY") != "true"


def hears_of_roots(pod: Object) -> bool:
    """Whether the agent of a pod takes other roots while it runs, as its istiod tells of them."""
    return str(_environment(pod).get("PROXY_CONFIG_XDS_AGENT", "")).lower() in ("1", "t", "true")


def admin_port(pod: Object, default: int) -> int:
    """Where the Envoy of a pod has its admin interface."""
    import yaml

    try:  # JSON from the injector, YAML where a person wrote it
        told = yaml.safe_load(str(_environment(pod).get("PROXY_CONFIG") or "{}"))
        return int(told.get("proxyAdminPort") or default)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return default


def _running(cluster: Cluster, namespace: str) -> Iterator[Object]:
    pods = cluster.list("v1", "Pod", namespace=namespace, fields=ALIVE)
    return (pod for pod in pods if not pod.is_leaving)


def _owners(obj: Object) -> set[tuple[str, str]]:
    return {(each.get("kind", ""), each.get("name", "")) for each in obj.at("metadata.ownerReferences", ())}


def _proxy(pod: Object) -> Mapping[str, Any]:
    proxy = proxy_container(pod)
    if proxy is not None:
        return proxy
    return next((each for each in pod.at("spec.containers", ()) if each.get("name") == _AGENTGATEWAY), {})


def _environment(pod: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", "") for each in _proxy(pod).get("env") or ()}
