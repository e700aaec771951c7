"""The labels and annotations that injection leaves on a pod, told from the user's own.

What the user had not said, an injector writes in one way only; a mark with another value is the user's.

Source: the templates of Istio's injector.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting import prometheus
from meshctl.stages.injecting.finishing import NETWORK, REWRITE
from meshctl.stages.injecting.pod_annotations import OVERRIDES
from meshctl.stages.injecting.probes import PROXY
from meshctl.stages.injecting.workloads import STATUS, owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.workloads import Workload

GATEWAY_RIGHTS = {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}
"""What the gateway template says of a pod's security, where values do not."""

_TRAFFIC = "traffic.sidecar.istio.io"
_MULTUS = "k8s.v1.cni.cncf.io/networks"
_MULTUS_NETWORK = ("default", "istio-cni")
_STATUS_PORT = "15020"


@dataclass(frozen=True)
class Seen:
    """An injected pod, and what is known of its injection.

    Attributes:
        meta: metadata of the pod.
        status: what the injector says that it added.
        variables: environment of the sidecar.
        application: name of the first container that is not the sidecar.
        workload: name of the workload, as people know it.
    """

    meta: Mapping[str, Any]
    status: Mapping[str, Any]
    variables: Mapping[str, str]
    application: str
    workload: str

    @staticmethod
    def of(
        pod: Mapping[str, Any], status: Mapping[str, Any], variables: Mapping[str, str], workload: Workload
    ) -> Seen:
        """What is seen of an injected pod."""
        meta = pod["metadata"]
        containers = (each.get("name", "") for each in pod["spec"].get("containers") or ())
        return Seen(
            meta,
            status,
            variables,
            next((name for name in containers if name != PROXY), ""),
            owner(workload, meta.get("labels") or {}).name,
        )


def is_gateway(proxy: Mapping[str, Any]) -> bool:
    """Whether a sidecar's container is a gateway."""
    return "router" in (proxy.get("args") or ())


def metadata_before(seen: Seen) -> dict[str, Any]:
    """The pod's metadata before it was injected; empty where there was none."""
    result = dict(seen.meta)
    for field, before in (("labels", _labels(seen)), ("annotations", _notes(seen))):
        if before:
            result[field] = before
        elif result.get(field):
            del result[field]
    return result


def _labels(seen: Seen) -> dict[str, str]:
    labels = dict(seen.meta.get("labels") or {})
    name = str(labels.get("app.kubernetes.io/name") or labels.get("app") or seen.workload)
    written = {
        "security.istio.io/tlsMode": ("istio",),
        "networking.istio.io/tunnel": ("http",),
        "service.istio.io/canonical-name": (name, name[:63].strip("-_.")),
        "service.istio.io/canonical-revision": (
            labels.get("app.kubernetes.io/version") or labels.get("version") or "latest",
        ),
        NETWORK: (seen.variables.get("ISTIO_META_NETWORK"),),
    }
    return {key: value for key, value in labels.items() if value not in written.get(key, ())}


def _notes(seen: Seen) -> dict[str, str]:
    notes = dict(seen.meta.get("annotations") or {})
    notes = prometheus.restored_notes(notes, seen.variables.get(prometheus.SCRAPED))
    written: dict[str, tuple[str | None, ...]] = {
        "istio.io/rev": (seen.status.get("revision"),),
        "kubectl.kubernetes.io/default-container": (seen.application,),
        "kubectl.kubernetes.io/default-logs-container": (seen.application,),
        prometheus.SECURE_PORT: (seen.variables.get(prometheus.SECURE_VARIABLE),),
    }
    if seen.variables.get("ISTIO_META_GENERATOR") == "grpc" or "grpc-bootstrap-init" in _inits(seen):
        written[REWRITE] = ("false",)
    if "istio-validation" in _inits(seen):
        written |= _for_node(seen)
        notes = _without_own_ports(_without_network(notes))
    return {
        key: value
        for key, value in notes.items()
        if key not in (STATUS, OVERRIDES) and value not in written.get(key, ())
    }


def _inits(seen: Seen) -> list[str]:
    return list(seen.status.get("initContainers") or ())


def _for_node(seen: Seen) -> dict[str, tuple[str | None, ...]]:
    """What is written for the CNI plugin, which reads annotations only."""
    try:
        proxy = json.loads(seen.variables.get("PROXY_CONFIG", "{}"))
    except ValueError:
        proxy = {}
    return {
        "sidecar.istio.io/interceptionMode": (proxy.get("interceptionMode", "REDIRECT"),),
        f"{_TRAFFIC}/includeOutboundIPRanges": ("*",),
        f"{_TRAFFIC}/includeInboundPorts": ("*",),
        f"{_TRAFFIC}/excludeInboundPorts": ("", _STATUS_PORT),
    }


def _without_own_ports(notes: Mapping[str, str]) -> dict[str, str]:
    """Excluded ports without the agent's, which injection puts behind the user's."""
    name = f"{_TRAFFIC}/excludeInboundPorts"
    said = notes.get(name, "")
    mine = said.removesuffix(f",{_STATUS_PORT}")
    return {**notes, name: mine} if mine != said else dict(notes)


def _without_network(notes: Mapping[str, str]) -> dict[str, str]:
    """Networks without the one that Multus is to attach for Istio."""
    said = notes.get(_MULTUS)
    if said is None:
        return dict(notes)
    namespace, name = _MULTUS_NETWORK
    word = f"{namespace}/{name}"
    added = f', {{"name": "{name}", "namespace": "{namespace}"}}'
    mine = "" if said == word else said.removesuffix(f", {word}").replace(added, "", 1)
    return {key: mine if key == _MULTUS else value for key, value in notes.items() if key != _MULTUS or mine}
