"""The cluster's DNS: CoreDNS on the node's address, behind the service address that pods are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshctl.model.event import Changed, Event, Started
from meshctl.sandbox.api import Api
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.names import ClusterLayout
from meshctl.sandbox.process import Inside, spawn

USER = "coredns"
"""Needs a user `system:coredns` and a kubeconfig."""

_ROLE = "system:coredns"


def start(ledger: Ledger, cluster: ClusterLayout, program: Path) -> Iterator[Event]:
    """Start CoreDNS and make its service, beside a ready API server."""
    group = f"cluster {cluster.short}"
    yield Started(group, "DNS")
    files = Certificates(cluster.certificates)
    api = Api(cluster.api, files)
    for path, manifest in manifests(cluster).items():
        api.apply(path, manifest)
    configuration = cluster.folder / "Corefile"
    configuration.write_text(corefile(cluster, files.kubeconfig(USER)))
    spawn(
        ledger,
        f"{cluster.short}/coredns",
        [str(program), "-conf", str(configuration)],
        log=cluster.logs / "coredns.log",
        inside=Inside(cluster.netns, cgroup=f"{cluster.cgroup}/system"),
    )
    yield Changed(group, "DNS", f"CoreDNS at {cluster.dns}")


def corefile(cluster: ClusterLayout, kubeconfig: Path) -> str:
    """CoreDNS's configuration; names outside the cluster are refused at once, not waited for."""
    return f""".:53 {{
    bind {cluster.address}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig} {cluster.context}
        pods insecure
    }}
    cache 5
}}
"""


def manifests(cluster: ClusterLayout) -> dict[str, dict[str, Any]]:
    """What CoreDNS needs in the cluster, by API path: rights, a service and where it leads."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    return {
        f"{rbac}/clusterroles/{_ROLE}": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": _ROLE},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        f"{rbac}/clusterrolebindings/{_ROLE}": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _ROLE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _ROLE},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": _ROLE}],
        },
        "/api/v1/namespaces/kube-system/services/kube-dns": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"k8s-app": "kube-dns"},
            },
            "spec": {
                "clusterIP": str(cluster.dns),
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-node": {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
            "endpoints": [{"addresses": [str(cluster.address)], "conditions": {"ready": True}}],
        },
    }
