"""What a sandbox is like just now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from meshctl.errors import MeshctlError
from meshctl.sandbox import build, hosts
from meshctl.sandbox.api import Api
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.hosts import HostStatus
from meshctl.sandbox.kubeconfig import read_server
from meshctl.sandbox.ledger import Ledger, Process
from meshctl.sandbox.names import Layout
from meshctl.sandbox.node import not_ready
from meshctl.sandbox.paths import state_root
from meshctl.sandbox.process import alive
from meshctl.sandbox.settings import Settings, check_name
from meshctl.sandbox.versions import KUBERNETES


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """A process of the sandbox: its name within its cluster or host, its number, whether it runs."""

    name: str
    pid: int
    alive: bool


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster.

    Attributes:
        name: within the sandbox, such as `c1`.
        context: its kubeconfig context.
        server: URL of its API server.
        ready: the API server answers and the node is ready.
        cause: why it is not; empty when it is.
        components: its processes.
    """

    name: str
    context: str
    server: str
    ready: bool
    cause: str
    components: tuple[ComponentStatus, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """A sandbox.

    Attributes:
        name: its name.
        state: "absent"; "running"; or "broken", when it was interrupted or a process has ended.
        light: in light mode.
        network: "flat" or "separate".
        kubeconfig: path of the kubeconfig with all contexts.
        kubernetes: version of Kubernetes.
        istio: tags of the Istio images at hand.
        kubectl: path of a kubectl of that version; empty when it was removed from the cache.
        istioctl: path of the pinned tree's istioctl, likewise.
        clusters: its clusters.
        hosts: its hosts.
    """

    name: str
    state: Literal["absent", "running", "broken"]
    light: bool = False
    network: str = ""
    kubeconfig: str = ""
    kubernetes: str = ""
    istio: tuple[str, ...] = ()
    kubectl: str = ""
    istioctl: str = ""
    clusters: tuple[ClusterStatus, ...] = ()
    hosts: tuple[HostStatus, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the same keys in the same order."""
        return asdict(self)


def status(name: str = "sandbox") -> Status:
    """What the sandbox `name` is like just now; it changes nothing.

    Raises:
        ConfigError: the name cannot be one.
    """
    check_name(name)
    state = state_root() / name
    ledger = Ledger.of(state)
    begun = ledger.begun()
    if begun is None:
        return Status(name, "absent")
    settings = Settings.from_json(begun.settings)
    layout = Layout(name, begun.slot, state)
    processes = ledger.processes()
    kubectl, istioctl = _tools(settings, light=begun.light)
    return Status(
        name=name,
        state="running" if is_healthy(ledger) else "broken",
        light=begun.light,
        network=settings.network,
        kubeconfig=str(layout.kubeconfig),
        kubernetes=KUBERNETES,
        istio=settings.istio,
        kubectl=kubectl,
        istioctl=istioctl,
        clusters=tuple(_cluster(layout, number, processes) for number in range(1, settings.clusters + 1)),
        hosts=hosts.status(layout, settings, ledger),
    )


def is_healthy(ledger: Ledger) -> bool:
    """Whether `up` came to its end and every process it started for good still runs."""
    return ledger.is_ready() and all(alive(one) for one in ledger.processes() if not is_passing(one))


def is_passing(process: Process) -> bool:
    """Whether the process may end: needed on the way up only, or the process of a simulated pod."""
    return process.name.startswith("images/") or "/pod/" in process.name


def _cluster(layout: Layout, number: int, processes: tuple[Process, ...]) -> ClusterStatus:
    cluster = layout.cluster(number)
    components = tuple(
        ComponentStatus(one.name.split("/", 1)[1], one.pid, alive(one))
        for one in processes
        if one.name.startswith(f"{cluster.short}/")
    )
    server = read_server(layout.kubeconfig, cluster.context)
    cause = _cause(server, Certificates(cluster.certificates), cluster.node)
    return ClusterStatus(cluster.short, cluster.context, server, not cause, cause, components)


def _cause(server: str, files: Certificates, node: str) -> str:
    if not server:
        return "not up yet"
    try:
        api = Api(server, files)
        return api.readiness() or not_ready(api, node)
    except (MeshctlError, OSError) as error:
        return str(error)


def _tools(settings: Settings, *, light: bool) -> tuple[str, str]:
    try:
        found = build.binaries(settings.istio, light=light)
    except MeshctlError:
        return "", ""
    return _if_there(found.kubernetes / "kubectl"), _if_there(found.istioctl)


def _if_there(path: Path) -> str:
    return str(path) if path.exists() else ""
