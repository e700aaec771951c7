"""A real mesh with two real hosts in it: the world of the agent's live tests.

One cluster and two hosts on one flat network; Istio with STRICT mTLS; for each host a WorkloadGroup, a
service account and a Service, under its name in the namespace `vms`. A host is asked for by name:

    bed.hosts["vm1"].run("curl -s http://store.apps/")
    bed.enrol("vm1", agent={"dns": {...}})      other settings, a new token; then systemctl restart
    bed.install("vm1")                          the payload, with the agent of the working tree
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from meshctl.actions.hosts.enrolling import enrolment, token, workload_group
from meshctl.adapters.kube import KubeCluster
from meshctl.model.bundle import Bundle
from meshctl.model.enrolment import HostTerms
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.names import Layout
from meshctl.sandbox.paths import state_root
from meshctl.stages.enrolling.files import files
from tests.cluster.command import Command
from tests.cluster.traffic import new_namespace, new_resource, new_service, until
from tests.cluster.vm.host import Host
from tests.cluster.vm.payload import installed, payload_for

NAMESPACE = "vms"
ISTIO = "istio-system"
HTTP, TCP, GRPC = 8080, 9000, 50051
"""Ports on which a workload of a host serves; its Service has the first two as 80 and 9000."""
TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Bed:
    """A mesh and its hosts.

    Attributes:
        sandbox: its name.
        kubeconfig: a file whose current context is the cluster.
        cluster: the way to it.
        command: `meshctl` against it.
        hosts: by name.
    """

    sandbox: str
    kubeconfig: str
    cluster: KubeCluster
    command: Command
    hosts: Mapping[str, Host]

    def begin(self) -> None:
        """Install the mesh, and make what hosts need in the cluster; nothing is done twice."""
        self.command.run("install", "--profile", "minimal", "--yes")
        self.cluster.apply(strict())
        self.cluster.apply(new_namespace(NAMESPACE, {}))
        for name in self.hosts:
            for obj in (new_account(name), new_group(name), new_service(NAMESPACE, name)):
                self.cluster.apply(obj)
        roots = Ref("v1", "ConfigMap", NAMESPACE, "istio-ca-root-cert")
        until(lambda: self.cluster.get(roots), lambda: "no roots in the namespace")

    def enrol(
        self, name: str, *, agent: Mapping[str, Any] | None = None, seconds: int = TOKEN_SECONDS
    ) -> None:
        """Write a host's settings and a token; `agent` are settings of the agent's own."""
        terms = HostTerms(address=self.hosts[name].address, agent=agent or {})
        told = enrolment(
            self.cluster, workload_group(self.cluster, NAMESPACE, name), terms, istio_namespace=ISTIO
        )
        self.hosts[name].settings(files(told), token(self.cluster, told, seconds=seconds))
        self.find_istiod(name)

    def find_istiod(self, name: str) -> None:
        """Let a host's resolver know istiod, by the address of its Service."""
        service = self.cluster.get(Ref("v1", "Service", ISTIO, "istiod"))
        assert service is not None
        line = f"{service.at('spec.clusterIP')} istiod.{ISTIO}.svc"
        self.hosts[name].sudo(f"grep -qxF '{line}' /etc/hosts || echo '{line}' >> /etc/hosts")

    def install(self, name: str) -> None:
        """Install the payload on a host, over SSH, and have its service start with the host."""
        installed(self.hosts[name], self.payload)
        self.hosts[name].systemctl("enable")

    @cached_property
    def payload(self) -> Bundle:
        """The working tree's agent, for these hosts."""
        return payload_for(*self.hosts.values())


def strict() -> Object:
    """Nothing but mutual TLS, in the whole mesh."""
    content = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": ISTIO},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    return Object(content)


def new_account(name: str) -> Object:
    meta = {"name": name, "namespace": NAMESPACE}
    return Object({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})


def new_group(name: str) -> Object:
    """The WorkloadGroup of one host, whose service account has its name."""
    template = {"serviceAccount": name, "ports": {"http": HTTP, "tcp": TCP, "grpc": GRPC}}
    spec = {"metadata": {"labels": {"app": name}}, "template": template}
    return new_resource("WorkloadGroup", NAMESPACE, name, spec)


def cable(bed: Bed, name: str) -> str:
    """The machine's own end of a host's cable to the bridge.

    Asked of the sandbox, as a host may see the machine's devices, and not its own, under `/sys`.
    """
    begun = Ledger.of(state_root() / bed.sandbox).begun()
    assert begun is not None
    layout = Layout(bed.sandbox, begun.slot, state_root() / bed.sandbox)
    (link,) = [each.link for each in layout.hosts(len(bed.hosts)) if each.name == name]
    return link
