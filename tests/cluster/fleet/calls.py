"""Calls from pods of every cluster to services of every cluster, with both identities asserted each time.

Every cluster has a service of its own, which runs there and nowhere else, and a client that asks all of
them without a break. Plain text is refused, and a connection carries one request: each answer is a handshake.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests.cluster.traffic import (
    HTTP,
    SERVER,
    Counts,
    Failure,
    is_rolled_out,
    new_caller,
    new_namespace,
    new_resource,
    new_service,
    new_workload,
    reported,
    until,
)

NAMESPACE = "calls"


@dataclass(frozen=True)
class Member:
    """A cluster whose pods are in a mesh.

    Attributes:
        name: within the mesh, and of its service.
        door: the way to it.
        domain: trust domain of its identities.
        configures: whether Istio's configuration is read here.
        replicas: of its service.
    """

    name: str
    door: KubeCluster
    domain: str = "cluster.local"
    configures: bool = True
    replicas: int = 1


@contextmanager
def calls(
    members: Sequence[Member], folder: Path, labels: Mapping[str, str] = {"istio-injection": "enabled"}
) -> Iterator[Calls]:
    """Calls while the context is open, begun when every service has answered every client."""
    found = Calls(members, folder / "reports", labels)
    try:
        found.begin()
        yield found
    finally:
        found.remove()


class Calls:
    """Services and clients in the clusters of `members`, and what the clients report."""

    def __init__(self, members: Sequence[Member], reports: Path, labels: Mapping[str, str]) -> None:
        self.members = members
        self._reports = reports
        self._labels = labels
        self._since = 0.0

    def begin(self) -> None:
        """Make everything, wait until every service answers every client, and count from there."""
        self._reports.mkdir(parents=True)
        for member in self.members:
            for obj in self._objects(member):
                member.door.apply(obj)
        until(lambda: not self.unready(), self.unready)
        until(lambda: not self.unanswered(), self.unanswered)
        self._since = time.time()
        for path in self._reports.glob("*.jsonl"):
            os.truncate(path, 0)

    def unready(self) -> list[str]:
        """Workloads that are not."""
        found = [(each.name, each.door.get(ref)) for each in self.members for ref in self._workloads(each)]
        return [f"{name}: {obj}" for name, obj in found if obj is None or not is_rolled_out(obj)]

    def unanswered(self) -> list[str]:
        """Pairs of client and service of which no call was answered, with what came instead."""
        counts = self.counts()
        missing = [each for each in self._pairs() if each not in counts.answered]
        return [f"{each}: {self._last(counts, each)}" for each in missing]

    def last(self, times: int) -> None:
        """Wait until every client has asked every service so many times."""
        until(lambda: min(self.counts().requests.get(each, 0) for each in self._pairs()) >= times)

    def counts(self) -> Counts:
        """What was reported since every service had answered every client."""
        return reported(self._reports, self._since)

    def end(self) -> Counts:
        """Let the clients finish; what they reported, and who was cut off before it could."""
        for each in self.members:
            each.door.delete(Ref("apps/v1", "Deployment", NAMESPACE, f"caller-{each.name}"))
        until(lambda: not [pod for pod in self.pods() if "caller-" in pod.ref.name])
        counts = self.counts()
        cut = [path.stem for path in self._reports.glob("*.jsonl") if '"ended"' not in path.read_text()]
        lost = tuple(Failure(time.time(), name, "", "was cut off") for name in sorted(cut))
        return Counts(counts.requests, (*counts.failures, *lost))

    def pods(self) -> list[Object]:
        """All pods of it."""
        return [pod for each in self.members for pod in each.door.list("v1", "Pod", namespace=NAMESPACE)]

    def remove(self) -> None:
        """Take everything away, and wait until it is gone."""
        home = new_namespace(NAMESPACE, {}).ref
        for each in self.members:
            each.door.delete(home)
            for pod in each.door.list("v1", "Pod", namespace=NAMESPACE):
                each.door.delete(pod.ref, grace=0)  # nobody asks any more
        until(lambda: not [each.name for each in self.members if each.door.get(home)])

    @staticmethod
    def _last(counts: Counts, pair: str) -> str:
        return next((each.why for each in reversed(counts.failures) if each.target == pair), "not asked")

    def _pairs(self) -> list[str]:
        return [f"{client.name} to {server.name}" for client in self.members for server in self.members]

    def _workloads(self, member: Member) -> list[Ref]:
        names = (f"echo-{member.name}", f"caller-{member.name}")
        return [Ref("apps/v1", "Deployment", NAMESPACE, name) for name in names]

    def _objects(self, member: Member) -> Iterator[Object]:
        yield new_namespace(NAMESPACE, self._labels)
        if member.configures:
            yield _strict()
            for each in self.members:
                yield new_resource("DestinationRule", NAMESPACE, f"echo-{each.name}", _one_request(each))
        for each in self.members:  # names resolve where the service does not run, too
            yield new_service(NAMESPACE, f"echo-{each.name}")
        echo = f"echo-{member.name}"
        yield from _under_its_name(new_workload("Deployment", NAMESPACE, echo, member.replicas, SERVER), echo)
        caller = f"caller-{member.name}"
        targets = [_target(member, each) for each in self.members]
        yield from _under_its_name(new_caller(NAMESPACE, caller, 1, targets, self._reports), caller)


def _target(client: Member, server: Member) -> dict[str, object]:
    ours = f"spiffe://{client.domain}/ns/{NAMESPACE}/sa/caller-{client.name}"
    theirs = f"spiffe://{server.domain}/ns/{NAMESPACE}/sa/echo-{server.name}"
    return {
        "name": f"{client.name} to {server.name}",
        "http": f"http://echo-{server.name}:{HTTP}/",
        "expect": [f"By={theirs};", f"URI={ours}", f'"pod": "echo-{server.name}-'],
    }


def _strict() -> Object:
    head = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
    meta = {"name": "strict", "namespace": NAMESPACE}
    return Object({**head, "metadata": meta, "spec": {"mtls": {"mode": "STRICT"}}})


def _one_request(server: Member) -> dict[str, object]:
    pool = {"http": {"maxRequestsPerConnection": 1}}
    host = f"echo-{server.name}.{NAMESPACE}.svc.cluster.local"
    return {"host": host, "trafficPolicy": {"connectionPool": pool}}


def _under_its_name(workload: Object, name: str) -> Iterator[Object]:
    """The workload with a ServiceAccount of its own."""
    meta = {"name": name, "namespace": NAMESPACE}
    yield Object({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    workload.content["spec"]["template"]["spec"]["serviceAccountName"] = name
    yield workload
