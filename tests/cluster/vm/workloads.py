"""What runs in the mesh of the live tests: the same service in pods and on hosts, and who asks it.

In pods: `echo` in the namespace `apps`, versions 1 and 2, and a `caller` that asks without a break. On a
host: the same program as a unit of systemd, under the host's name in the namespace `vms`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests.cluster.traffic import (
    CLIENT,
    SERVER,
    Counts,
    is_rolled_out,
    new_caller,
    new_namespace,
    new_resource,
    new_service,
    new_workload,
    reported,
    until,
)
from tests.cluster.vm.bed import NAMESPACE
from tests.cluster.vm.host import Host

APPS = "apps"
VERSIONS = ("v1", "v2")
DOMAIN = "cluster.local"
POD_NAME = f"spiffe://{DOMAIN}/ns/{APPS}/sa/"
HOST_NAME = f"spiffe://{DOMAIN}/ns/{NAMESPACE}/sa/"
"""How identities of pods and of hosts begin; the account's name follows."""

_FOLDER = "/var/tmp/meshctl-tests"
_ASK = """
import http.client, json, sys
from urllib.parse import urlsplit
url, headers = urlsplit(sys.argv[1]), json.loads(sys.argv[2])
connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=15)
connection.request("GET", url.path or "/", headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode(errors="replace")]))
"""
_ECHO = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=15) as door:
    door.sendall(b"over there\\n")
    print(door.makefile().readline(), end="")
"""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: of which workload (pod or host), and what certificates its proxy saw."""

    status: int
    body: str

    @property
    def server(self) -> str:
        return str(json.loads(self.body)["pod"])

    @property
    def peers(self) -> str:
        return str(json.loads(self.body)["peers"])


def ask(host: Host, url: str, **headers: str) -> Answer:
    """One HTTP request of a program on a host, which knows of no proxy."""
    said = host.run(f"python3 -c {shlex.quote(_ASK)} {shlex.quote(url)} {shlex.quote(json.dumps(headers))}")
    return Answer(*json.loads(said))


def echo(host: Host, name: str, port: int) -> str:
    """A line that a program on a host sends over TCP, as it comes back."""
    return host.run(f"python3 -c {shlex.quote(_ECHO)} {name} {port}", check=None).strip()


def serve(host: Host) -> None:
    """Let a host serve under its own name: HTTP and lines over TCP."""
    host.sudo(f"mkdir -p {_FOLDER}")
    host.write(f"{_FOLDER}/server.py", SERVER.read_text(), "0644")
    host.start_unit("app", "python3", f"{_FOLDER}/server.py", POD=host.name)


def begin_asking(host: Host, targets: Sequence[Mapping[str, Any]]) -> None:
    """Let a host ask `targets` without a break, as `traffic_client` does."""
    host.sudo(f"mkdir -p {_FOLDER}; : > {_FOLDER}/report.jsonl")
    host.write(f"{_FOLDER}/client.py", CLIENT.read_text(), "0644")
    settings = {"TARGETS": json.dumps(list(targets)), "REPORT": f"{_FOLDER}/report.jsonl"}
    host.start_unit("asking", "python3", f"{_FOLDER}/client.py", **settings)


def asked(host: Host, folder: Path, since: float = 0.0) -> Counts:
    """What a host's client has reported so far, of requests begun after `since`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{host.name}.jsonl").write_text(host.read(f"{_FOLDER}/report.jsonl"))
    return reported(folder, since)


def forget(host: Host) -> None:
    """Take away what tests have put on a host."""
    for unit in ("asking", "app", "grpc"):
        host.stop_unit(unit)
    host.sudo(f"rm -rf {_FOLDER}")


class Pods:
    """The service and its callers in the cluster."""

    def __init__(self, cluster: KubeCluster, reports: Path, hosts: Sequence[str]) -> None:
        """Make it; nothing is in the cluster yet.

        Args:
            cluster: the way there.
            reports: folder of this machine for what callers report.
            hosts: whose services the callers ask.
        """
        self.cluster = cluster
        self._reports = reports
        self._hosts = hosts

    def begin(self) -> None:
        """Make all, and wait until it is ready."""
        self._reports.mkdir(parents=True)
        for obj in self._objects():
            self.cluster.apply(obj)
        until(lambda: not self.unready(), self.unready)

    def unready(self) -> list[str]:
        """Workloads that are not."""
        refs = [Ref("apps/v1", "Deployment", APPS, name) for name in (*map(_versioned, VERSIONS), "caller")]
        found = {ref: self.cluster.get(ref) for ref in refs}
        return [str(ref) for ref, obj in found.items() if obj is None or not is_rolled_out(obj)]

    def counts(self, since: float = 0.0) -> Counts:
        """What callers have reported, of requests begun after `since`."""
        return reported(self._reports, since)

    def address(self, service: str = "echo", namespace: str = APPS) -> str:
        """The virtual address of a service."""
        found = self.cluster.get(Ref("v1", "Service", namespace, service))
        assert found is not None
        return str(found.at("spec.clusterIP"))

    def pod_address(self) -> str:
        """The address of one pod that serves."""
        pods = self.cluster.list("v1", "Pod", namespace=APPS, labels="app=echo")
        return str(pods[0].at("status.podIP"))

    def remove(self) -> None:
        """Take everything away, and wait until it is gone."""
        home = new_namespace(APPS, {}).ref
        self.cluster.delete(home)
        for pod in self.cluster.list("v1", "Pod", namespace=APPS):
            self.cluster.delete(pod.ref, grace=0)  # nobody asks any more
        until(lambda: not self.cluster.get(home))

    def _objects(self) -> Iterator[Object]:
        yield new_namespace(APPS, {"istio-injection": "enabled"})
        yield new_service(APPS, "echo")
        for version in VERSIONS:
            workload = new_workload("Deployment", APPS, _versioned(version), 1, SERVER)
            yield from _as_account(_labelled(workload, version), "echo")
        yield from _as_account(new_caller(APPS, "caller", 1, self._targets(), self._reports), "caller")

    def _targets(self) -> list[dict[str, Any]]:
        return [target for name in self._hosts for target in to_host(name, caller=f"{POD_NAME}caller")]


def to_host(name: str, caller: str) -> list[dict[str, Any]]:
    """Calls to a host's service, with both identities asserted."""
    expect = [f"By={HOST_NAME}{name};", f"URI={caller}", f'"pod": "{name}"']
    return [
        {"name": f"http {name}", "http": f"http://{name}.{NAMESPACE}/", "expect": expect},
        {"name": f"tcp {name}", "tcp": [f"{name}.{NAMESPACE}", 9000]},
    ]


def to_pods(caller: str) -> list[dict[str, Any]]:
    """Calls to the pods' service, with both identities asserted."""
    expect = [f"By={POD_NAME}echo;", f"URI={caller}", '"pod": "echo-v']
    return [
        {"name": "http echo", "http": f"http://echo.{APPS}/", "expect": expect},
        {"name": "tcp echo", "tcp": [f"echo.{APPS}", 9000]},
    ]


def one_request_a_connection() -> Object:
    """Each HTTP request in the mesh is a handshake of its own, which shows whether certificates are right."""
    pool = {"http": {"maxRequestsPerConnection": 1}}
    spec = {"host": "*.svc.cluster.local", "trafficPolicy": {"connectionPool": pool}}
    return new_resource("DestinationRule", "istio-system", "one-request", spec)


def _versioned(version: str) -> str:
    return f"echo-{version}"


def _labelled(workload: Object, version: str) -> Object:
    """A version of `echo`, which its Service finds under that name."""
    labels = {"app": "echo", "version": version}
    workload.content["spec"]["selector"]["matchLabels"] = labels
    workload.content["spec"]["template"]["metadata"]["labels"] = labels
    return workload


def _as_account(workload: Object, name: str) -> Iterator[Object]:
    """The workload with a ServiceAccount."""
    meta = {"name": name, "namespace": APPS}
    yield Object({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    workload.content["spec"]["template"]["spec"]["serviceAccountName"] = name
    yield workload
