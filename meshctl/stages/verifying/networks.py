"""Where a cluster's network begins and ends: gateways, addresses of pods, Services."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from meshctl.model.labels import NETWORK
from meshctl.model.objects import Object, Ref
from meshctl.model.verification import GatewaySeen, ServiceSeen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from ipaddress import IPv4Network, IPv6Network

    from meshctl.ports import Cluster

_PORT_LABEL: Final = "networking.istio.io/gatewayPort"
_NODES: Final = "traffic.istio.io/nodeSelector"
_PORT: Final = 15443


def gateways(door: Cluster) -> tuple[GatewaySeen, ...]:
    """Services that lead into a network, as istiod finds them: by the label that names the network.

    Source: istio.io/istio pilot/pkg/serviceregistry/kube/controller/network.go.
    """
    found = door.list("v1", "Service", labels=NETWORK)
    return tuple(_gateway(each) for each in sorted(found, key=lambda each: each.ref) if not each.is_leaving)


def _gateway(service: Object) -> GatewaySeen:
    ingress = service.at("status.loadBalancer.ingress", ())
    addresses = [each.get("ip") or each.get("hostname", "") for each in ingress]
    addresses += service.at("spec.externalIPs", ())
    why = ""
    if not any(addresses):
        kind = service.at("spec.type", "ClusterIP")
        why = {
            "LoadBalancer": "it has no address: no load balancer serves this cluster, or not yet",
            "NodePort": f"it is of type NodePort, which needs the annotation {_NODES}",
        }.get(kind, f"it is of type {kind}, which other networks cannot reach")
        if kind == "NodePort" and _NODES in service.annotations:
            why = ""
    told = service.labels.get(_PORT_LABEL, "")
    return GatewaySeen(
        subject=str(service.ref),
        network=service.labels[NETWORK],
        addresses=tuple(sorted(filter(None, addresses))),
        port=int(told) if told.isdecimal() else _PORT,
        ports=tuple(sorted(each["port"] for each in service.at("spec.ports", ()))),
        why=why,
    )


def has_six(door: Cluster) -> bool:
    """Whether the Services of a cluster have IPv6 addresses."""
    api = door.get(Ref("v1", "Service", "default", "kubernetes"))
    return api is not None and "IPv6" in api.at("spec.ipFamilies", ())


def ranges(door: Cluster, pods: Iterable[Object]) -> tuple[str, ...]:
    """Ranges of pods' addresses: those of the nodes that pods are in, and addresses in none as ranges of one.

    A CNI may hand out other addresses than those that Kubernetes has given the nodes.
    """
    own = {
        address
        for pod in pods
        if not pod.at("spec.hostNetwork", False)
        for each in pod.at("status.podIPs", ())
        if (address := each.get("ip"))
    }
    nodes = {
        cidr: ip_network(cidr, strict=False)
        for node in door.list("v1", "Node")
        for cidr in node.at("spec.podCIDRs", ()) or filter(None, [node.at("spec.podCIDR", "")])
    }
    alone = {ip_network(each) for each in own if not any(ip_address(each) in cidr for cidr in nodes.values())}
    used: set[IPv4Network | IPv6Network] = set(nodes.values())
    if own and not any(ip_address(each) in cidr for each in own for cidr in nodes.values()):
        used = set()  # the CNI has ranges of its own
    return tuple(map(str, sorted(used | alone, key=lambda each: (each.version, each))))


def services(door: Cluster, namespaces: Collection[str]) -> tuple[ServiceSeen, ...]:
    """Services in these namespaces, by namespace and name."""
    found = [each for each in door.list("v1", "Service") if each.ref.namespace in namespaces]
    return tuple(_service(each) for each in sorted(found, key=lambda each: each.ref) if not each.is_leaving)


def _service(service: Object) -> ServiceSeen:
    ports = [
        f"{each.get('name', '')} {each['port']}/{each.get('protocol', 'TCP')}".strip()
        for each in service.at("spec.ports", ())
    ]
    headless = service.at("spec.clusterIP", "") == "None"
    return ServiceSeen(service.ref.namespace, service.ref.name, headless, tuple(sorted(ports)))
