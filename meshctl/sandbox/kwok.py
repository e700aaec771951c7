"""The simulated nodes of light mode: kwok as one process that plays any number of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from meshctl.errors import FailedError
from meshctl.model.event import Changed, Event, Started, Waiting
from meshctl.sandbox.api import Api
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.light_ports import PLACES, POD_PORTS, Ports
from meshctl.sandbox.process import log_tail, spawn
from meshctl.sandbox.versions import NODE_LABEL

KUBELET_PORT = 10250
"""Port that the nodes say their kubelet has; the way to it is the egress proxy's business."""

PLACE_NAMESPACE = "places"
"""Stands where a pod's namespace would, in the names by which kwok knows a place."""

_STAGES = Path(__file__).with_name("light_stages.yaml")
_WRITERS = 4  # threads that make nodes


@dataclass(frozen=True, slots=True)
class Nodes:
    """The simulated nodes of one cluster.

    Attributes:
        name: short name of the cluster, such as `c1`.
        group: line of progress.
        folder: state folder of the cluster.
        sandbox: name of the sandbox, which the nodes carry as a label.
        first: name of the first node; the others are `<first>-2`, `<first>-3` and so on.
        count: how many.
        address: address that all of them give as theirs.
        pods: range from which simulated pods get addresses; nothing is ever sent to them.
        ports: the cluster's ports.
    """

    name: str
    group: str
    folder: Path
    sandbox: str
    first: str
    count: int
    address: IPv4Address
    pods: IPv4Network
    ports: Ports

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return (self.first, *(f"{self.first}-{number}" for number in range(2, self.count + 1)))


def place_name(place: int) -> str:
    """The pod name by which kwok knows the place, from 0."""
    return f"place-{place}"


def configuration(nodes: Nodes) -> str:
    """The whole configuration of kwok: options, stages, and the ports of each place."""
    options = {
        "serverAddress": f"127.0.0.1:{nodes.ports.kwok}",
        "nodeIP": str(nodes.address),
        "nodePort": KUBELET_PORT,
        "cidr": str(nodes.pods),
        "manageAllNodes": True,
        "enableDebuggingHandlers": True,
        "enableProfilingHandler": False,
        "nodePlayStageParallelism": 4,
        "podPlayStageParallelism": 8,
        "nodeLeaseDurationSeconds": 40,
        "nodeLeaseParallelism": 4,
    }
    documents: list[dict[str, Any]] = [
        {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}
    ]
    documents += [
        _document("ClusterPortForward", place, {"forwards": _forwards(nodes.ports, place)})
        for place in range(PLACES)
    ]
    return "\n---\n".join([*map(json.dumps, documents), _STAGES.read_text()])


def start(ledger: Ledger, nodes: Nodes, program: Path, kubeconfig: Path, api: Api) -> Iterator[Event]:
    """Make the nodes, start kwok, and wait until all are Ready.

    Raises:
        FailedError: kwok does not get them ready; the end of its log is in the details.
    """
    yield Started(nodes.group, "nodes")
    config = nodes.folder / "kwok.yaml"
    config.write_text(configuration(nodes))
    log = nodes.folder / "logs" / "kwok.log"
    spawn(
        ledger,
        f"{nodes.name}/kwok",
        [str(program), f"--kubeconfig={kubeconfig}", f"--config={config}"],
        log=log,
    )
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(
            writers.map(
                lambda name: api.apply(f"/api/v1/nodes/{name}", node(name, nodes.sandbox)), nodes.names
            )
        )
    yield from _until_ready(nodes, api, log)
    yield Changed(nodes.group, "nodes", f"{nodes.count} simulated by kwok")


def node(name: str, sandbox: str) -> dict[str, Any]:
    """The manifest of one simulated node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                NODE_LABEL: sandbox,
            },
        },
    }


def _until_ready(nodes: Nodes, api: Api, log: Path) -> Iterator[Event]:
    ready: set[str] = set()
    for kind, found in api.watch("/api/v1/nodes", seconds=120):
        if kind in ("ADDED", "MODIFIED") and _is_ready(found):
            ready.add(found["metadata"]["name"])
            if len(ready) >= nodes.count:
                return
            if len(ready) % 100 == 0:
                yield Waiting(nodes.group, "nodes", f"{len(ready)} of {nodes.count} are Ready")
    raise FailedError(
        "nodes-not-ready",
        f"{nodes.count - len(ready)} of {nodes.count} simulated nodes are not Ready after 120 s",
        hint=f"read {log}",
        details=log_tail(log),
    )


def _is_ready(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _document(kind: str, place: int, spec: dict[str, Any]) -> dict[str, Any]:
    selector = {"matchNamespaces": [PLACE_NAMESPACE], "matchNames": [place_name(place)]}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": place_name(place)},
        "spec": {"selector": selector, **spec},
    }


def _forwards(ports: Ports, place: int) -> list[dict[str, Any]]:
    return [
        {"ports": [port], "target": {"address": "127.0.0.1", "port": ports.stand_in(place, port)}}
        for port in POD_PORTS
    ]
