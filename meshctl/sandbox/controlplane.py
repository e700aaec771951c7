"""The control plane of one cluster: etcd, API server, controller manager and scheduler as plain processes.

Both worlds use it: in full, inside the node's network namespace; in light mode, on loopback with
ports of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from meshctl.model.event import Changed, Event, Started
from meshctl.sandbox.api import Api
from meshctl.sandbox.certificates import SANDBOX_USER, Certificates
from meshctl.sandbox.ledger import Ledger, Process
from meshctl.sandbox.process import HERE, Inside, spawn
from meshctl.sandbox.waiting import until

ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Plane:
    """What tells one control plane from another.

    Attributes:
        name: short name of the cluster, such as `c1`; begins the names of its processes.
        group: line of progress.
        folder: state folder of the cluster.
        binaries: folder with the Kubernetes programs.
        etcd: the etcd program.
        bind: address the API server listens on.
        advertise: address at which pods and nodes find it.
        port: port of the API server.
        etcd_port: port of etcd on loopback; the next one is for its peers.
        controller_port: port of the controller manager on loopback.
        scheduler_port: port of the scheduler on loopback.
        services: range of service addresses.
        pods: range of pod addresses; None where nobody hands out ranges to nodes.
        inside: namespaces and control group of its processes.
        audit: write `audit.log` in the folder.
        api_flags: further flags of the API server.
    """

    name: str
    group: str
    folder: Path
    binaries: Path
    etcd: Path
    bind: IPv4Address
    advertise: IPv4Address
    services: IPv4Network
    port: int = 6443
    etcd_port: int = 2379
    controller_port: int = 10257
    scheduler_port: int = 10259
    pods: IPv4Network | None = None
    inside: Inside = HERE
    audit: bool = True
    api_flags: tuple[str, ...] = ()

    @property
    def files(self) -> Certificates:
        """Keys, certificates and kubeconfigs; made by `certificates.make` before the start."""
        return Certificates(self.folder / "pki")

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.bind}:{self.port}"

    @property
    def api(self) -> Api:
        """A client of its API server, as the sandbox itself."""
        return Api(self.server, self.files)

    def log(self, component: str) -> Path:
        """Log file of a component."""
        return self.folder / "logs" / f"{component}.log"


_PACE = ("--kube-api-qps=300", "--kube-api-burst=600")
"""Requests a second: by default so few that thousands of simulated pods take minutes."""

USERS = ("kube-controller-manager", "kube-scheduler")
"""Components that need a user `system:NAME` and a kubeconfig `NAME.conf`."""


def start(ledger: Ledger, plane: Plane) -> Iterator[Event]:
    """Start all four and wait until the API server is ready.

    Raises:
        FailedError: a component ended or did not get ready; the end of its log is in the details.
    """
    yield Started(plane.group, "control plane")
    _spawn(ledger, plane, "etcd", etcd_command(plane))
    if plane.audit:
        _write_audit_policy(plane)
    server = _spawn(ledger, plane, "kube-apiserver", api_server_command(plane))
    yield from until(
        plane.group,
        "API server",
        plane.api.readiness,
        process=server,
        log=plane.log("kube-apiserver"),
    )
    # They give up when no API server answers, so they come after it.
    _spawn(ledger, plane, "kube-controller-manager", controller_manager_command(plane))
    _spawn(ledger, plane, "kube-scheduler", scheduler_command(plane))
    yield Changed(plane.group, "control plane", f"API server at {plane.server}")


def etcd_command(plane: Plane) -> list[str]:
    """The command line of etcd: one member, on loopback, in no hurry to reach the disk."""
    client = f"http://127.0.0.1:{plane.etcd_port}"
    peer = f"http://127.0.0.1:{plane.etcd_port + 1}"
    return [
        str(plane.etcd),
        f"--data-dir={plane.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The data lives no longer than the sandbox.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server_command(plane: Plane) -> list[str]:
    """The command line of the API server."""
    files = plane.files
    audit = (
        [
            f"--audit-policy-file={plane.folder / 'audit-policy.json'}",
            f"--audit-log-path={plane.folder / 'audit.log'}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=1",
        ]
        if plane.audit
        else []
    )
    return [
        str(plane.binaries / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{plane.etcd_port}",
        f"--bind-address={plane.bind}",
        f"--secure-port={plane.port}",
        f"--advertise-address={plane.advertise}",
        f"--tls-cert-file={files.certificate('apiserver')}",
        f"--tls-private-key-file={files.key('apiserver')}",
        f"--client-ca-file={files.authority}",
        f"--service-account-key-file={files.service_accounts_public}",
        f"--service-account-signing-key-file={files.service_accounts}",
        f"--service-account-issuer={ISSUER}",
        # Given audiences replace the default, so the issuer has to be named again.
        f"--api-audiences={ISSUER}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={plane.services}",
        "--allow-privileged=true",
        # Else logs, exec and port-forward look the node's name up in a DNS that does not know it.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={files.authority}",
        f"--kubelet-client-certificate={files.certificate('admin')}",
        f"--kubelet-client-key={files.key('admin')}",
        "--profiling=false",
        *audit,
        *plane.api_flags,
    ]


def controller_manager_command(plane: Plane) -> list[str]:
    """The command line of the controller manager."""
    files = plane.files
    ranges = (
        [f"--cluster-cidr={plane.pods}", "--allocate-node-cidrs=true", "--node-cidr-mask-size=20"]
        if plane.pods
        else []
    )
    return [
        str(plane.binaries / "kube-controller-manager"),
        f"--kubeconfig={files.kubeconfig('kube-controller-manager')}",
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.controller_port}",
        f"--service-account-private-key-file={files.service_accounts}",
        f"--root-ca-file={files.authority}",
        f"--cluster-signing-cert-file={files.authority}",
        f"--cluster-signing-key-file={files.authority_key}",
        "--use-service-account-credentials=true",
        f"--service-cluster-ip-range={plane.services}",
        "--leader-elect=false",
        "--profiling=false",
        *_PACE,
        *ranges,
    ]


def scheduler_command(plane: Plane) -> list[str]:
    """The command line of the scheduler."""
    return [
        str(plane.binaries / "kube-scheduler"),
        f"--kubeconfig={plane.files.kubeconfig('kube-scheduler')}",
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.scheduler_port}",
        "--leader-elect=false",
        "--profiling=false",
        *_PACE,
    ]


def _spawn(ledger: Ledger, plane: Plane, component: str, argv: list[str]) -> Process:
    return spawn(ledger, f"{plane.name}/{component}", argv, log=plane.log(component), inside=plane.inside)


def _write_audit_policy(plane: Plane) -> None:
    quiet = {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]}
    users = ("apiserver", "coredns", "kube-controller-manager", "kube-proxy", "kube-scheduler")
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        # One line a request, when it is over: what tests count writes by.
        "omitStages": ["RequestReceived"],
        # What Kubernetes and the sandbox themselves ask, some forty times a second, would bury the rest.
        "rules": [
            quiet,
            {"level": "None", "users": [SANDBOX_USER, *(f"system:{name}" for name in users)]},
            {"level": "Metadata"},
        ],
    }
    (plane.folder / "audit-policy.json").write_text(json.dumps(policy, indent=2))
