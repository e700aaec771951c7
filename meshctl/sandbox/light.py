"""Light mode: a real Kubernetes control plane and a real istiod, without root and without namespaces.

Everything is a process of the user's own on loopback. Nodes and pods are simulated by kwok; the pods
of istiod, gateways, and those that ask for it, are processes run by a resident companion
(light_kubelet.py).
The addresses of nodes, pods and services exist in the API only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from meshctl.errors import ConfigError
from meshctl.model.event import Changed, Done, Event, Started
from meshctl.pki import Subject
from meshctl.sandbox import (
    certificates,
    controlplane,
    kubeconfig,
    kwok,
    light_egress,
    light_kubelet,
    light_ports,
)
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.controlplane import Plane
from meshctl.sandbox.kubeconfig import Access
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.light_kubelet import Companion, socket_of
from meshctl.sandbox.light_ports import Ports
from meshctl.sandbox.names import ClusterLayout, Layout
from meshctl.sandbox.process import clock, environment, spawn
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.waiting import together, until

LOOPBACK: Final = IPv4Address("127.0.0.1")
KWOK_USER: Final = "kwok"
_SOCKET_PATH_LIMIT = 107  # bytes, unix(7)


@dataclass(frozen=True, slots=True)
class Light:
    """One light cluster: its sandbox, its layout, its ports, and how many nodes it has."""

    sandbox: str
    cluster: ClusterLayout
    ports: Ports
    count: int

    @property
    def group(self) -> str:
        """Its line of progress."""
        return f"cluster {self.cluster.short}"

    @property
    def pods(self) -> IPv4Network:
        """Range of all pod addresses; its first half is kwok's, its last addresses the processes'.

        Larger than in a full cluster, which has one node. Nothing is routed there: these are shared
        addresses (RFC 6598), which no service of the user's has.
        """
        return IPv4Network(f"100.{64 + self.cluster.number}.0.0/16")

    @property
    def simulated(self) -> IPv4Network:
        """Range of the simulated pods."""
        return next(self.pods.subnets(prefixlen_diff=1))


def up(ledger: Ledger, layout: Layout, settings: Settings, binaries: Binaries) -> Iterator[Event]:
    """Bring up all light clusters and write the kubeconfig.

    Raises:
        ConfigError: the state folder's path is too long for a Unix socket.
        ConflictError: a port is taken.
        FailedError: a component did not come up.
    """
    clusters = layout.clusters(settings.clusters)
    _check_paths(clusters)
    with ExitStack() as held:
        lights = []
        for cluster in clusters:
            ports = light_ports.choose(cluster.folder / "ports.json", held)
            lights.append(Light(settings.name, cluster, ports, settings.nodes))
        planes = [plane(one, settings, binaries) for one in lights]
        accesses = [_certify(one, its_plane) for one, its_plane in zip(lights, planes, strict=True)]
        kubeconfig.write(layout.kubeconfig, accesses)
        pairs = zip(lights, planes, strict=True)
        yield from together([_start(ledger, one, its_plane, binaries) for one, its_plane in pairs])


def plane(light: Light, settings: Settings, binaries: Binaries) -> Plane:
    """The control plane of a light cluster, on loopback."""
    cluster = light.cluster
    return Plane(
        name=cluster.short,
        group=light.group,
        folder=cluster.folder,
        binaries=binaries.kubernetes,
        etcd=binaries.etcd,
        bind=LOOPBACK,
        # An address that is not loopback's is asked for; the endpoint it becomes is never dialled.
        advertise=cluster.address,
        services=cluster.services,
        port=light.ports.api,
        etcd_port=light.ports.etcd,
        controller_port=light.ports.controller_manager,
        scheduler_port=light.ports.scheduler,
        audit=settings.audit,
        api_flags=(
            # Webhooks go to a pod's address, which says which process is meant; a service's would not.
            "--enable-aggregator-routing=true",
            f"--egress-selector-config-file={cluster.folder / 'egress.json'}",
            # This etcd is too old to stream lists. The server refuses kwok's watches then, which tries
            # again after a while: pods would start half a minute late.
            "--feature-gates=WatchList=false",
        ),
    )


def _check_paths(clusters: tuple[ClusterLayout, ...]) -> None:
    for cluster in clusters:
        path = str(socket_of(cluster.folder))
        if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
            raise ConfigError(
                "path-too-long",
                f"{path!r} is longer than the {_SOCKET_PATH_LIMIT} bytes a Unix socket may have",
                hint="set MESHCTL_STATE to a shorter folder",
            )


def _certify(light: Light, its_plane: Plane) -> Access:
    cluster = light.cluster
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", cluster.context)
    addresses = (str(LOOPBACK), str(cluster.address), str(cluster.kubernetes_service))
    # kwok plays every node and so writes for all of them, which no single node may.
    simulator = {KWOK_USER: Subject("system:kwok", ("system:masters",))}
    return certificates.make(
        cluster.certificates,
        cluster.context,
        its_plane.server,
        api=Subject("kube-apiserver", dns=names, addresses=addresses),
        kubelet=certificates.node_subject(cluster.node, [str(cluster.address)]),
        users=certificates.component_users(controlplane.USERS) | simulator,
    )


def _start(ledger: Ledger, light: Light, its_plane: Plane, binaries: Binaries) -> Iterator[Event]:
    begun = clock()
    cluster = light.cluster
    (cluster.folder / "egress.json").write_text(light_egress.configuration(socket_of(cluster.folder)))
    yield from controlplane.start(ledger, its_plane)
    yield from _start_companion(ledger, light, its_plane, binaries)
    assert binaries.kwok is not None  # built in light mode
    nodes = kwok.Nodes(
        cluster.short,
        light.group,
        cluster.folder,
        light.sandbox,
        cluster.node,
        light.count,
        cluster.address,
        light.simulated,
        light.ports,
    )
    yield from kwok.start(ledger, nodes, binaries.kwok, its_plane.files.kubeconfig(KWOK_USER), its_plane.api)
    yield Done(light.group, f"{cluster.context} at {its_plane.server}", clock() - begun)


def _start_companion(ledger: Ledger, light: Light, its_plane: Plane, binaries: Binaries) -> Iterator[Event]:
    yield Started(light.group, "companion")
    cluster = light.cluster
    companion = Companion(
        cluster=cluster.short,
        folder=str(cluster.folder),
        ledger=str(ledger.path),
        server=its_plane.server,
        node=str(cluster.address),
        pods=str(light.pods),
        base=light.ports.base,
        istio={tag: str(folder) for tag, folder in binaries.istio.items()},
        envoy=str(binaries.envoy),
        bootstrap=str(binaries.bootstrap),
    )
    log = its_plane.log("companion")
    command = [sys.executable, "-m", light_kubelet.__name__, str(light_kubelet.write(companion))]
    process = spawn(
        ledger, f"{cluster.short}/companion", command, log=log, env=environment(PYTHONPATH=_python_path())
    )
    yield from until(
        light.group,
        "companion",
        lambda: "" if companion.socket.is_socket() else "it does not listen yet",
        process=process,
        log=log,
    )
    yield Changed(light.group, "companion", "runs istiod's pods as processes")


def _python_path() -> str:
    """The folder of this package, before what the user has there."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [root, environment().get("PYTHONPATH", "")]))
