"""What was seen of the clusters of a fleet, and of calls between them: what a verification judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from meshctl.model.mesh import Cluster, Mesh


@dataclass(frozen=True, slots=True)
class ProxyPlace:
    """Where in the mesh a proxy was told to be.

    Attributes:
        subject: the proxy, as a person would name it: `Pod shop/web-1`, `new pods`.
        cluster: ID of its cluster.
        network: its network; empty for the only one.
        mesh: Istio's mesh ID.
        trust_domain: of its identity.
        version: tag of its image.
        image: its image; empty where it does not matter.
    """

    subject: str
    cluster: str
    network: str = ""
    mesh: str = ""
    trust_domain: str = ""
    version: str = ""
    image: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Who trusts which roots.

    Attributes:
        subject: `ConfigMap istio-system/istio-ca-root-cert`, `Pod shop/web-1`.
        roots: SHA-256, hex, of each root; empty where they could not be read.
        why: why they could not be read.
    """

    subject: str
    roots: frozenset[str]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """What signs in a cluster.

    Attributes:
        subject: `Secret istio-system/cacerts`.
        root: SHA-256, hex, of the root that vouches for it; empty where none that it brings does.
        roots: SHA-256, hex, of each root that it has proxies trust.
        ends: when it stops being valid; aware, UTC. None where that could not be read.
    """

    subject: str
    root: str
    roots: frozenset[str]
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class IstiodSeen:
    """What an istiod says of the clusters it reads.

    Attributes:
        pod: its name.
        cluster: ID that it gives to its own cluster.
        version: tag of its image.
        reads: sync status of each cluster that it reads, by the cluster's ID: `synced`, `syncing`, `timeout`,
            `closed`.
        why: why it did not say.
    """

    pod: str
    cluster: str
    version: str
    reads: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """A kubeconfig in a remote secret, without what is secret of it.

    Attributes:
        subject: `Secret istio-system/istio-remote-secret-east`.
        cluster: ID of the cluster that it is for.
        server: address in it.
        ends: when its token stops being valid; aware, UTC. None: never, or nobody can tell.
        fault: why it is no kubeconfig that istiod could use; empty when it is.
        refused: why the cluster that it is for does not take its token; empty when it does, or was not asked.
    """

    subject: str
    cluster: str
    server: str = ""
    ends: datetime | None = None
    fault: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class GatewaySeen:
    """A Service by which traffic enters a network.

    Attributes:
        subject: `Service istio-system/istio-eastwestgateway`.
        network: the network that its label names.
        addresses: IP addresses and host names at which it is reached from other networks.
        port: for mTLS between networks.
        ports: all of its ports.
        why: why it has no address.
    """

    subject: str
    network: str
    addresses: tuple[str, ...] = ()
    port: int = 15443
    ports: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A Service in a namespace with pods of the mesh.

    Attributes:
        namespace: its namespace.
        name: its name.
        headless: whether it has no address of its own.
        ports: each as `http 80/TCP`, sorted.
    """

    namespace: str
    name: str
    headless: bool
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterSeen:
    """One cluster of a fleet.

    Attributes:
        cluster: as the mesh.yaml has it.
        mesh: name of its mesh.
        namespace: of its control plane, or of what stands for one.
        revision: control-plane revision; empty for the unnamed one.
        why: why nothing could be seen of it; all that follows is empty then.
        unread: what else could not be read: `(what, why)`.
        uid: of the namespace `kube-system`, by which a cluster is told from others.
        ahead: seconds that the API server's clock is ahead of ours, give or take `blur`; None: unknown.
        blur: seconds by which `ahead` may be wrong.
        nodes_ahead: seconds that nodes' clocks are ahead of their API server's, by node, give or take one.
        network_label: network that the label of its namespace names; None where it has no such label.
        injected: where a pod that is made now is told to be; None: pods get no proxy.
        injection_fault: why pods get none.
        proxies: where live proxies were told to be.
        istiods: what its istiods say.
        authority: what signs here; None where there is no such Secret.
        published: the roots that proxies of its control plane's namespace are given.
        trusted: the roots that live proxies use, of those that were asked.
        secrets: its remote secrets.
        gateways: Services that lead into networks.
        ranges: addresses of its pods, as CIDR.
        services: in namespaces with proxies, but for the mesh's own.
        namespaces: names of all its namespaces.
        discovery: labels that a namespace needs so that istiod looks at it.
        six: whether its Services have IPv6 addresses.
    """

    cluster: Cluster
    mesh: str
    namespace: str = "istio-system"
    revision: str = ""
    why: str = ""
    unread: tuple[tuple[str, str], ...] = ()
    uid: str = ""
    ahead: float | None = None
    blur: float = 0.5
    nodes_ahead: Mapping[str, float] = field(default_factory=dict)
    network_label: str | None = None
    injected: ProxyPlace | None = None
    injection_fault: str = ""
    proxies: tuple[ProxyPlace, ...] = ()
    istiods: tuple[IstiodSeen, ...] = ()
    authority: Authority | None = None
    published: Trusted | None = None
    trusted: tuple[Trusted, ...] = ()
    secrets: tuple[SecretSeen, ...] = ()
    gateways: tuple[GatewaySeen, ...] = ()
    ranges: tuple[str, ...] = ()
    services: tuple[ServiceSeen, ...] = ()
    namespaces: frozenset[str] = frozenset()
    discovery: Mapping[str, str] = field(default_factory=dict)
    six: bool = False

    @property
    def name(self) -> str:
        """Name of the cluster within its mesh."""
        return self.cluster.name

    @property
    def subject(self) -> str:
        """As findings name it."""
        return f"cluster {self.cluster.name}"

    @property
    def places(self) -> tuple[ProxyPlace, ...]:
        """Where proxies were told to be: those that would be made now, and those that live."""
        return (*((self.injected,) if self.injected else ()), *self.proxies)


@dataclass(frozen=True, slots=True)
class Call:
    """What came of a call from a client in one cluster to the server in another.

    Attributes:
        client: name of the caller's cluster.
        server: name of the cluster that was called.
        caller_wanted: identity that the caller should have.
        called_wanted: identity that the server should have.
        caller: identity of the caller as the server's proxy saw it; empty: the call was not mTLS, or failed.
        called: identity that the server's proxy showed.
        answered_by: name of the cluster whose server answered; empty where none did.
        fault: why there was no answer.
        path: addresses at which the caller's proxy would reach the server.
    """

    client: str
    server: str
    caller_wanted: str
    called_wanted: str
    caller: str = ""
    called: str = ""
    answered_by: str = ""
    fault: str = ""
    path: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether the right server answered, and both are who they should be."""
        return (self.answered_by, self.caller, self.called) == (
            self.server,
            self.caller_wanted,
            self.called_wanted,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of opening a connection to a gateway from a pod of another cluster.

    Attributes:
        client: name of the cluster it was tried from.
        cluster: name of the cluster that the gateway is in.
        subject: the gateway's Service.
        address: `172.18.0.20:15443`.
        fault: why there was no connection; empty when there was.
    """

    client: str
    cluster: str
    subject: str
    address: str
    fault: str = ""


@dataclass(frozen=True)
class Traffic:
    """What was tried with real traffic.

    Attributes:
        calls: one for every pair of clusters with workloads, in the order of the mesh.yaml.
        opened: one for every address of a gateway and every cluster that needs it.
        skipped: why clusters took no part, by name.
    """

    calls: tuple[Call, ...] = ()
    opened: tuple[Opened, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetSeen:
    """All clusters of a fleet.

    Attributes:
        meshes: as the mesh.yaml has them.
        clusters: in the order of the mesh.yaml.
        now: when it was seen; aware, UTC.
        traffic: None where no traffic was tried.
    """

    meshes: tuple[Mesh, ...]
    clusters: tuple[ClusterSeen, ...]
    now: datetime
    traffic: Traffic | None = None

    @property
    def name(self) -> str:
        """Names of the meshes, as outcomes name what they are about."""
        return ", ".join(each.name for each in self.meshes)

    @property
    def seen(self) -> tuple[ClusterSeen, ...]:
        """The clusters of which anything could be seen, each once though it may have several names."""
        found: dict[str, ClusterSeen] = {}
        for each in self.clusters:
            if not each.why:
                found.setdefault(each.uid or each.name, each)
        return tuple(found.values())

    def mesh(self, name: str) -> Mesh:
        """The mesh of a name."""
        return next(each for each in self.meshes if each.name == name)

    def cluster(self, name: str) -> ClusterSeen | None:
        """What was seen of a cluster; None where there is none of this name."""
        return next((each for each in self.clusters if each.name == name), None)
