"""Addresses for services of type LoadBalancer: what a cloud would do, as one small process a cluster.

Each such service gets an address of the bridge: it is added to the node's interface and written to the
service's status, and kube-proxy then serves it to hosts and other clusters.

The process is told, in this order: the API server's URL, the cluster's folder of certificates, its network
namespace, and its addresses.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshctl.errors import MeshctlError
from meshctl.sandbox.api import Api
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.names import ClusterLayout
from meshctl.sandbox.process import Inside, pause, run, spawn

_RUN = "import sys; from meshctl.sandbox.loadbalancer import main; main(sys.argv[1:])"
_SERVICES = "/api/v1/services"


@dataclass(slots=True)
class Pool:
    """Which service has which address.

    Attributes:
        addresses: all there are, in the order in which they are handed out.
        given: address of each service, by `namespace/name`.
    """

    addresses: Sequence[str]
    given: dict[str, str] = field(default_factory=dict)

    def give(self, service: str, held: str = "") -> str | None:
        """The service's address: the one it has, the one it says it holds, or the first free one.

        None when all are given.
        """
        if service not in self.given:
            free = [one for one in self.addresses if one not in self.given.values()]
            if not free:
                return None
            self.given[service] = held if held in free else free[0]
        return self.given[service]

    def take_back(self, service: str) -> str | None:
        """The address the service had, free from now on; None when it had none."""
        return self.given.pop(service, None)


def start(ledger: Ledger, cluster: ClusterLayout) -> None:
    """Start the process that serves one cluster."""
    argv = [
        *(sys.executable, "-c", _RUN),
        *(cluster.api, str(cluster.certificates), cluster.netns),
        *(str(address) for address in cluster.load_balancers),
    ]
    spawn(
        ledger,
        f"{cluster.short}/load-balancer",
        argv,
        log=cluster.logs / "load-balancer.log",
        inside=Inside(cgroup=f"{cluster.cgroup}/system"),
    )


def serve(api: Api, netns: str, pool: Pool) -> None:
    """Give and take addresses for as long as the process lives."""
    while True:
        try:
            _forget_gone(api, netns, pool)
            for kind, service in api.watch(_SERVICES):
                _follow(api, netns, pool, kind, service)
        except MeshctlError as error:
            sys.stderr.write(f"{error.message}: {' '.join(error.details)}\n")
            pause(1)


def wanted(service: dict[str, Any]) -> bool:
    """Whether the service is to have an address."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def held(service: dict[str, Any]) -> str:
    """The address in the service's status; empty when there is none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


def _forget_gone(api: Api, netns: str, pool: Pool) -> None:
    """Take back what was deleted between two watches; a watch begins with all that exist."""
    present = {_name(service) for service in api.get(_SERVICES)["items"] if wanted(service)}
    for name in set(pool.given) - present:
        _take_back(netns, pool, name)


def _follow(api: Api, netns: str, pool: Pool, kind: str, service: dict[str, Any]) -> None:
    if kind not in ("ADDED", "MODIFIED", "DELETED"):
        return
    name = _name(service)
    meta = service["metadata"]
    if kind == "DELETED" or not wanted(service) or meta.get("deletionTimestamp"):
        _take_back(netns, pool, name)
        return
    new = name not in pool.given
    address = pool.give(name, held(service))
    if address is None:
        return
    if new:
        _interface(netns, "replace", address)
    if address != held(service):
        path = f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}/status"
        api.patch(path, {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})


def _take_back(netns: str, pool: Pool, name: str) -> None:
    address = pool.take_back(name)
    if address is not None:
        _interface(netns, "del", address)


def _name(service: dict[str, Any]) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _interface(netns: str, verb: str, address: str) -> None:
    run(["ip", "-n", netns, "address", verb, f"{address}/32", "dev", "eth0"])


def main(argv: Sequence[str]) -> None:
    """Serve one cluster; see the module for the arguments."""
    server, folder, netns, *addresses = argv
    serve(Api(server, Certificates(Path(folder))), netns, Pool(addresses))
