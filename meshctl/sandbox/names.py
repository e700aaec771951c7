"""Names and addresses of everything in one sandbox, all derived from its name and its slot.

A slot is a number below `SLOTS`; each running sandbox of a machine has its own, so that bridges and
address ranges never meet:

    bridge    10.(128+slot).0.0/24   .1 machine  .11-.17 clusters  .51-.110 hosts  .128-.239 load balancers
    pods      10.(64+slot).(16 n).0/20    of cluster n
    services  10.(96+slot).(16 n).0/20    of cluster n
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

SLOTS: Final = 32
MAX_CLUSTERS: Final = 7
MAX_LIGHT_CLUSTERS: Final = 15
"""In light mode, where nobody gives load balancers addresses: as many as there are ranges of services."""
MAX_HOSTS: Final = 60
LOAD_BALANCERS: Final = 16
"""Load balancer addresses of each cluster."""

API_PORT: Final = 6443


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """One cluster: where it lives and what it is called.

    Attributes:
        number: from 1.
        context: name of the kubeconfig context, the network namespace and the only node.
        folder: state folder of the cluster.
        address: address of the node and the API server on the bridge.
        pods: range of pod addresses.
        services: range of service addresses.
        load_balancers: addresses for services of type LoadBalancer; none beyond `MAX_CLUSTERS`.
        link: the machine's end of the cable to the bridge.
        cgroup: control group of all its processes, from the root of each hierarchy.
    """

    number: int
    context: str
    folder: Path
    address: IPv4Address
    pods: IPv4Network
    services: IPv4Network
    load_balancers: tuple[IPv4Address, ...]
    link: str
    cgroup: str

    @property
    def short(self) -> str:
        """The name within the sandbox, such as `c1`."""
        return f"c{self.number}"

    @property
    def netns(self) -> str:
        """Network namespace of the node."""
        return self.context

    @property
    def node(self) -> str:
        """Name of the only node."""
        return self.context

    @property
    def api(self) -> str:
        """Address of the API server, as a URL."""
        return f"https://{self.address}:{API_PORT}"

    @property
    def kubernetes_service(self) -> IPv4Address:
        """Cluster address of the service `kubernetes`: the first of the range."""
        return self.services.network_address + 1

    @property
    def dns(self) -> IPv4Address:
        """Cluster address of the service `kube-dns`."""
        return self.services.network_address + 10

    @property
    def certificates(self) -> Path:
        """Folder of keys, certificates and kubeconfigs of the components."""
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        """Folder with one log file a process."""
        return self.folder / "logs"


@dataclass(frozen=True, slots=True)
class HostLayout:
    """One systemd host beside the clusters.

    Attributes:
        number: from 1.
        name: name of the host, such as `vm1`.
        netns: its network namespace.
        folder: state folder of the host.
        address: its address on the bridge.
        gateway: the machine's address on the bridge.
        link: the machine's end of the cable to the bridge.
        cgroup: control group of all its processes, from the root of each hierarchy.
    """

    number: int
    name: str
    netns: str
    folder: Path
    address: IPv4Address
    gateway: IPv4Address
    link: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Layout:
    """One sandbox: its name, its slot and its state folder; the rest follows from them."""

    name: str
    slot: int
    state: Path

    @property
    def bridge(self) -> str:
        """The bridge that clusters and hosts are plugged into."""
        return f"meshctl{self.slot}"

    @property
    def network(self) -> IPv4Network:
        """Addresses on the bridge."""
        return IPv4Network(f"10.{128 + self.slot}.0.0/24")

    @property
    def ranges(self) -> tuple[IPv4Network, ...]:
        """Every range the sandbox uses; none may be in use elsewhere on the machine."""
        return (
            self.network,
            IPv4Network(f"10.{64 + self.slot}.0.0/16"),
            IPv4Network(f"10.{96 + self.slot}.0.0/16"),
        )

    @property
    def gateway(self) -> IPv4Address:
        """The machine's own address on the bridge."""
        return self.network.network_address + 1

    @property
    def cgroup(self) -> str:
        """Control group of all its processes, from the root of each hierarchy."""
        return f"meshctl-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig with a context for each cluster."""
        return self.state / "kubeconfig"

    def cluster(self, number: int) -> ClusterLayout:
        """The cluster `number`, from 1."""
        first = 128 + (number - 1) * LOAD_BALANCERS
        count = LOAD_BALANCERS if number <= MAX_CLUSTERS else 0
        return ClusterLayout(
            number=number,
            context=f"{self.name}-c{number}",
            folder=self.state / f"c{number}",
            address=self.network[10 + number],
            pods=IPv4Network(f"10.{64 + self.slot}.{16 * number}.0/20"),
            services=IPv4Network(f"10.{96 + self.slot}.{16 * number}.0/20"),
            load_balancers=tuple(self.network[first + i] for i in range(count)),
            link=f"m{self.slot}c{number}",
            cgroup=f"{self.cgroup}/c{number}",
        )

    def clusters(self, count: int) -> tuple[ClusterLayout, ...]:
        """The first `count` clusters."""
        return tuple(self.cluster(number) for number in range(1, count + 1))

    def host(self, number: int) -> HostLayout:
        """The host `number`, from 1."""
        return HostLayout(
            number=number,
            name=f"vm{number}",
            netns=f"{self.name}-vm{number}",
            folder=self.state / f"vm{number}",
            address=self.network[50 + number],
            gateway=self.gateway,
            link=f"m{self.slot}h{number}",
            cgroup=f"{self.cgroup}/vm{number}",
        )

    def hosts(self, count: int) -> tuple[HostLayout, ...]:
        """The first `count` hosts."""
        return tuple(self.host(number) for number in range(1, count + 1))
