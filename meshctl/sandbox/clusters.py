"""Full clusters: a network namespace and a node each, all brought up side by side."""

from __future__ import annotations

from collections.abc import Iterator

from meshctl.model.event import Changed, Done, Event, Started
from meshctl.pki import Subject
from meshctl.sandbox import certificates, controlplane, dns, images, kubeconfig, loadbalancer, network, node
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.controlplane import Plane
from meshctl.sandbox.kubeconfig import Access
from meshctl.sandbox.ledger import Ledger, Process
from meshctl.sandbox.names import ClusterLayout, Layout
from meshctl.sandbox.node import Node
from meshctl.sandbox.process import Inside, clock
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.waiting import together


def start_clusters(ledger: Ledger, layout: Layout, settings: Settings, binaries: Binaries) -> Iterator[Event]:
    """Bring up all clusters of a sandbox whose bridge and images are there.

    Raises:
        FailedError: a component of a cluster did not come up.
    """
    clusters = layout.clusters(settings.clusters)
    for cluster in clusters:
        network.plug_in(ledger, layout, cluster.netns, cluster.link, cluster.address, forward=True)
    if settings.network == "flat":
        _connect(clusters)
    accesses = [_certify(cluster) for cluster in clusters]
    kubeconfig.write(layout.kubeconfig, accesses)
    yield from together([_start(ledger, cluster, settings, binaries) for cluster in clusters])


def plane(cluster: ClusterLayout, settings: Settings, binaries: Binaries) -> Plane:
    """The control plane of a full cluster, inside the node's network namespace."""
    return Plane(
        name=cluster.short,
        group=f"cluster {cluster.short}",
        folder=cluster.folder,
        binaries=binaries.kubernetes,
        etcd=binaries.etcd,
        bind=cluster.address,
        advertise=cluster.address,
        services=cluster.services,
        pods=cluster.pods,
        inside=Inside(cluster.netns, cgroup=f"{cluster.cgroup}/system"),
        audit=settings.audit,
    )


def _connect(clusters: tuple[ClusterLayout, ...]) -> None:
    """Let pods and services of each cluster be reached from every other: one flat network."""
    for here in clusters:
        for there in clusters:
            if here is not there:
                network.route(here.netns, (there.pods, there.services), there.address)


def _certify(cluster: ClusterLayout) -> Access:
    addresses = (str(cluster.address), str(cluster.kubernetes_service), "127.0.0.1")
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", cluster.context)
    return certificates.make(
        cluster.certificates,
        cluster.context,
        cluster.api,
        api=Subject("kube-apiserver", dns=names, addresses=addresses),
        kubelet=certificates.node_subject(cluster.node, [str(cluster.address)]),
        users=certificates.component_users([*controlplane.USERS, node.USER, dns.USER]),
    )


def _start(ledger: Ledger, cluster: ClusterLayout, settings: Settings, binaries: Binaries) -> Iterator[Event]:
    begun = clock()
    its_plane = plane(cluster, settings, binaries)
    its_node = Node(cluster, settings.name, binaries.kubernetes, settings.network == "separate")
    cluster.logs.mkdir(parents=True, exist_ok=True)
    holder = node.hold(ledger, its_node)
    yield from together(
        [controlplane.start(ledger, its_plane), _start_runtime(ledger, its_node, holder, binaries)]
    )
    loadbalancer.start(ledger, cluster)
    assert binaries.coredns is not None  # built in full mode
    yield from together([node.start(ledger, its_node, holder), dns.start(ledger, cluster, binaries.coredns)])
    yield Done(its_plane.group, f"{cluster.context} at {cluster.api}", clock() - begun)


def _start_runtime(ledger: Ledger, its_node: Node, holder: Process, binaries: Binaries) -> Iterator[Event]:
    yield Started(its_node.group, "images")
    images.unpack(binaries, its_node.images)
    node.start_runtime(ledger, its_node, holder)
    yield Changed(its_node.group, "images", "unpacked")
