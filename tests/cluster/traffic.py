"""Continuous HTTP and TCP traffic in a mesh and through its gateways, with every failed request counted.

The services and clients are what a careful team runs: two replicas or more, a surge in place of a gap while
they roll, some seconds between leaving the endpoints and ending, open connections brought to their end.
Istio itself has its default settings, but for what its proxies reserve. Nobody tries a request twice,
except Envoy by Istio's defaults. Clients in pods move with their namespaces: one that is told to end
finishes its requests, and one that was cut off counts as a failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.versions import APP_IMAGE

SERVER = Path(__file__).with_name("traffic_server.py")
CLIENT = Path(__file__).with_name("traffic_client.py")

STORE, QUEUE, CALLER, EDGE = "store", "queue", "caller", "edge"
"""Workloads: a Deployment and a StatefulSet that serve, a Deployment that asks, a gateway of the user's."""
HTTP, TCP = 80, 9000
"""Ports of the services; the user's gateway has both, ours has the first."""
LEAVING = 8
"""Seconds between the moment a pod is told to end and the moment it begins to, while others forget it."""
_LEAVE = {"preStop": {"sleep": {"seconds": LEAVING}}}
READY = 300.0
"""Seconds until all pods have to be ready; not a measure of anything."""
SMALL_REQUESTS = tuple(
    f"--set=values.{place}.resources.requests.{what}"
    for place in ("global.proxy", "pilot", "gateways.istio-ingressgateway")
    for what in ("cpu=10m", "memory=40Mi")
)
"""Flags of an install, so that all pods find room on one small node."""


@dataclass(frozen=True)
class Shape:
    """How much there is.

    Attributes:
        namespaces: name to labels.
        stores: replicas of the Deployment that serves, in each.
        queues: replicas of the StatefulSet that serves, in each; 0: none.
        callers: replicas of the client, in each.
        gateways: whether requests come from outside too, through ours and through the user's.
    """

    namespaces: Mapping[str, Mapping[str, str]]
    stores: int = 2
    queues: int = 0
    callers: int = 1
    gateways: bool = False

    @property
    def sidecars(self) -> int:
        return len(self.namespaces) * (self.stores + self.queues + self.callers)


@dataclass(frozen=True)
class Failure:
    """A request that failed: when (seconds since 1970), whose, of what, and why."""

    at: float
    client: str
    target: str
    why: str

    def __str__(self) -> str:
        return f"{time.strftime('%H:%M:%S', time.gmtime(self.at))} {self.client} -> {self.target}: {self.why}"


@dataclass(frozen=True)
class Counts:
    """What the clients have reported so far."""

    requests: Mapping[str, int]
    failures: tuple[Failure, ...]

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    @property
    def answered(self) -> set[str]:
        """Targets of which at least one request was answered."""
        failed = Counter(each.target for each in self.failures)
        return {name for name, count in self.requests.items() if count > failed[name]}

    def __str__(self) -> str:
        each = ", ".join(f"{name} {count}" for name, count in sorted(self.requests.items()))
        lines = [
            f"{self.total} requests ({each}), {len(self.failures)} failed",
            *map(str, self.failures[:40]),
        ]
        return "\n  ".join(lines)


@contextmanager
def traffic(cluster: KubeCluster, folder: Path, shape: Shape) -> Iterator[Traffic]:
    """Traffic while the context is open, begun when every pod is ready; nothing of it stays."""
    found = Traffic(cluster, folder / "reports", shape)
    try:
        found.begin()
        yield found
    finally:
        found.remove()


class Traffic:
    """Services, clients and gateways in a cluster, and what the clients report."""

    def __init__(self, cluster: KubeCluster, reports: Path, shape: Shape) -> None:
        self.cluster = cluster
        self.shape = shape
        self._reports = reports
        self._outside: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    def begin(self) -> None:
        """Make everything, wait until it is ready, then let the clients ask."""
        self._reports.mkdir(parents=True)
        self.serve()
        for name in self.shape.namespaces:
            self.cluster.apply(self._caller(name))
        self.wait()
        if self.shape.gateways:
            self._ask_from_outside()
        until(lambda: set(self.targets()) <= self.counts().answered)
        self.forget()

    def serve(self) -> None:
        """Make the services and gateways, and wait until they are ready."""
        for obj in self._servers():
            self.cluster.apply(obj)
        self.wait()

    def wait(self) -> None:
        """Return when every workload is ready, all pods of its newest template."""
        until(lambda: not self.unready(), self.unready)

    def unready(self) -> list[str]:
        """Workloads that are not."""
        found = [each for ref in self._workloads() if (each := self.cluster.get(ref))]
        return [str(each.ref) for each in found if not is_rolled_out(each)]

    def counts(self) -> Counts:
        """What was reported, since the beginning or the last `forget`."""
        return reported(self._reports, self._since)

    def forget(self) -> None:
        """Count anew from here; of requests that are under way, the end does not matter."""
        self._since = time.time()
        for path in self._reports.glob("*.jsonl"):
            os.truncate(path, 0)

    def end(self) -> Counts:
        """Let the clients finish; what they reported, and who was cut off before it could."""
        if self._outside:
            self._outside.send_signal(signal.SIGTERM)
            self._outside.wait(60)
        for name in self.shape.namespaces:
            self.cluster.delete(Ref("apps/v1", "Deployment", name, CALLER))
        until(lambda: not [pod for pod in self.pods() if pod.labels.get("app") == CALLER])
        counts = self.counts()
        cut = [path.stem for path in self._reports.glob("*.jsonl") if '"ended"' not in path.read_text()]
        lost = tuple(Failure(time.time(), name, "", "was cut off") for name in sorted(cut))
        return Counts(counts.requests, (*counts.failures, *lost))

    def pods(self) -> list[Object]:
        """Pods of all namespaces of the traffic."""
        return [pod for name in self._namespaces() for pod in self.cluster.list("v1", "Pod", namespace=name)]

    def remove(self) -> None:
        """Take everything away, and wait until it is gone."""
        if self._outside and self._outside.poll() is None:
            self._outside.kill()
            self._outside.wait()
        spaces = [new_namespace(name, {}).ref for name in self._namespaces()]
        for ref in [*(obj.ref for obj in self._routes()), *spaces]:
            self.cluster.delete(ref)
        until(lambda: not [ref for ref in spaces if self.cluster.get(ref)])

    def _namespaces(self) -> list[str]:
        return [*self.shape.namespaces, *([EDGE] if self.shape.gateways else [])]

    def _workloads(self) -> Iterator[Ref]:
        for name in self.shape.namespaces:
            yield Ref("apps/v1", "Deployment", name, STORE)
            yield Ref("apps/v1", "StatefulSet", name, QUEUE)
            yield Ref("apps/v1", "Deployment", name, CALLER)
        if self.shape.gateways:
            yield Ref("apps/v1", "Deployment", EDGE, EDGE)

    def _servers(self) -> Iterator[Object]:
        for name, labels in self.shape.namespaces.items():
            yield new_namespace(name, labels)
            yield new_service(name, STORE)
            yield new_workload("Deployment", name, STORE, self.shape.stores, SERVER)
            yield _budget(name, STORE)
            if self.shape.queues:
                yield new_service(name, QUEUE)
                yield new_workload("StatefulSet", name, QUEUE, self.shape.queues, SERVER)
        if self.shape.gateways:
            yield new_namespace(EDGE, {"istio-injection": "enabled"})
            yield from _gateway()
            yield from self._routes()

    def _caller(self, namespace: str) -> Object:
        targets = list(self._inside().values())
        return new_caller(namespace, CALLER, self.shape.callers, targets, self._reports)

    def targets(self) -> list[str]:
        """Names of what is asked."""
        return [*self._inside(), *(self._through() if self.shape.gateways else {})]

    def _inside(self) -> dict[str, Any]:
        """What clients in the mesh ask: HTTP of every Deployment, TCP of every StatefulSet or Deployment."""
        found: dict[str, Any] = {}
        for name in self.shape.namespaces:
            found[f"http {name}"] = {"http": f"http://{STORE}.{name}:{HTTP}/"}
            found[f"tcp {name}"] = {"tcp": [f"{QUEUE if self.shape.queues else STORE}.{name}", TCP]}
        return {key: {"name": key, **value} for key, value in found.items()}

    def _through(self) -> dict[str, Any]:
        """What clients outside ask; addresses of the gateways are awaited."""
        ours = self._address("istio-system", "istio-ingressgateway")
        theirs = self._address(EDGE, EDGE)
        return {
            "http ingress": {"name": "http ingress", "http": f"http://{ours}/", "host": HOST},
            "http edge": {"name": "http edge", "http": f"http://{theirs}/", "host": HOST},
            "tcp edge": {"name": "tcp edge", "tcp": [theirs, TCP]},
        }

    def _address(self, namespace: str, name: str) -> str:
        def look() -> str:
            service = self.cluster.get(Ref("v1", "Service", namespace, name))
            given = service.at("status.loadBalancer.ingress", ()) if service else ()
            return given[0].get("ip", "") if given else ""

        return str(until(look))

    def _ask_from_outside(self) -> None:
        settings = {
            "TARGETS": json.dumps(list(self._through().values())),
            "REPORT": str(self._reports / "outside.jsonl"),
        }
        self._outside = subprocess.Popen([sys.executable, CLIENT], env={**os.environ, **settings})

    def _routes(self) -> Iterator[Object]:
        """From both gateways to the first namespace's services."""
        if not self.shape.gateways:
            return
        first = next(iter(self.shape.namespaces))
        http = {"number": HTTP, "name": "http", "protocol": "HTTP"}
        tcp = {"number": TCP, "name": "tcp", "protocol": "TCP"}
        for name, labels, ports in (
            ("ours", {"istio": "ingressgateway"}, [http]),
            ("theirs", {"istio": EDGE}, [http, tcp]),
        ):
            servers = [{"port": port, "hosts": [HOST if port is http else "*"]} for port in ports]
            yield new_resource("Gateway", EDGE, name, {"selector": labels, "servers": servers})
        to_http = [{"destination": {"host": f"{STORE}.{first}.svc.cluster.local", "port": {"number": HTTP}}}]
        to_tcp = [{"destination": {"host": f"{STORE}.{first}.svc.cluster.local", "port": {"number": TCP}}}]
        gateways = {"gateways": ["ours", "theirs"], "hosts": [HOST]}
        yield new_resource("VirtualService", EDGE, "http", {**gateways, "http": [{"route": to_http}]})
        tcp_route = {"match": [{"port": TCP}], "route": to_tcp}
        yield new_resource(
            "VirtualService", EDGE, "tcp", {"gateways": ["theirs"], "hosts": ["*"], "tcp": [tcp_route]}
        )


HOST = "store.example.com"


def reported(folder: Path, since: float) -> Counts:
    """What clients have written into this folder; failures of requests begun before `since` do not count."""
    requests: Counter[str] = Counter()
    failures: list[Failure] = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            requests[entry.get("target", "")] += entry.get("done", 0)
            if (why := entry.get("failed")) and entry["begun"] >= since:
                failures.append(Failure(entry["at"], path.stem, entry["target"], why))
    return Counts({name: count for name, count in requests.items() if count}, tuple(failures))


def until(look: Callable[[], Any], missing: Callable[[], Any] = str) -> Any:
    """What `look` gives once it is true; an error that says what is `missing` at the end of patience."""
    end = time.monotonic() + READY
    while not (found := look()):
        assert time.monotonic() < end, f"still waiting after {READY:g} s: {missing()}"
        time.sleep(0.5)
    return found


def is_rolled_out(workload: Object) -> bool:
    """Whether all pods of a Deployment or StatefulSet are of its newest template, and ready."""
    wanted = workload.at("spec.replicas", 1)
    status = workload.at("status") or {}
    seen = status.get("observedGeneration", 0) >= workload.at("metadata.generation", 0)
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return seen and counts == [wanted] * 3


def new_workload(
    kind: str, namespace: str, name: str, replicas: int, script: Path, *env: Mapping[str, Any]
) -> Object:
    labels = {"app": name}
    pod = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container = {
        "name": "app",
        "image": APP_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", script.read_text()],
        "env": [pod, *env],
        "resources": {"requests": {"cpu": "5m", "memory": "20Mi"}},
        "lifecycle": _LEAVE,
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 2},
    }
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}
    more = {"serviceName": name} if kind == "StatefulSet" else {"strategy": surge}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **more}
    return _object("apps/v1", kind, namespace, name, spec=spec)


def new_caller(
    namespace: str, name: str, replicas: int, targets: Sequence[Mapping[str, Any]], reports: Path
) -> Object:
    """A Deployment of clients that ask `targets`, and report into a folder of the machine."""
    report = {"name": "REPORT", "value": "/reports/$(POD).jsonl"}
    asks = {"name": "TARGETS", "value": json.dumps(targets)}
    made = new_workload("Deployment", namespace, name, replicas, CLIENT, report, asks)
    pod = made.content["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "reports", "hostPath": {"path": str(reports)}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "reports", "mountPath": "/reports"}]
    del pod["containers"][0]["readinessProbe"], pod["containers"][0]["lifecycle"]
    return made


def new_service(namespace: str, name: str) -> Object:
    ports = [
        {"name": "http", "port": HTTP, "targetPort": 8080},
        {"name": "tcp", "port": TCP, "targetPort": 9000},
    ]
    return _object("v1", "Service", namespace, name, spec={"selector": {"app": name}, "ports": ports})


def _budget(namespace: str, name: str) -> Object:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}
    return _object("policy/v1", "PodDisruptionBudget", namespace, name, spec=spec)


def _gateway() -> Iterator[Object]:
    """A gateway as users make their own: a Deployment that the injector fills in."""
    labels = {"istio": EDGE}
    proxy = {"name": "istio-proxy", "image": "auto", "imagePullPolicy": "IfNotPresent", "lifecycle": _LEAVE}
    pods = {
        "metadata": {"labels": labels, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [proxy]},
    }
    surge = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pods, "strategy": surge}
    yield _object("apps/v1", "Deployment", EDGE, EDGE, spec=spec)
    ports = [
        {"name": "http2", "port": HTTP, "targetPort": 8080},
        {"name": "tcp", "port": TCP, "targetPort": 9000},
    ]
    yield _object(
        "v1", "Service", EDGE, EDGE, spec={"type": "LoadBalancer", "selector": labels, "ports": ports}
    )


def new_resource(kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Object:
    return _object("networking.istio.io/v1", kind, namespace, name, spec=spec)


def new_namespace(name: str, labels: Mapping[str, str]) -> Object:
    return Object(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
    )


def _object(api_version: str, kind: str, namespace: str, name: str, **content: Any) -> Object:
    meta = {"name": name, "namespace": namespace}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **content})


def sidecars(pods: Sequence[Object]) -> Counter[str]:
    """How many pods have a proxy of which version, by its image's tag."""
    containers = [
        each
        for pod in pods
        for each in (*pod.at("spec.containers", ()), *pod.at("spec.initContainers", ()))
        if each["name"] == "istio-proxy"
    ]
    return Counter(each["image"].rpartition(":")[2] for each in containers)
