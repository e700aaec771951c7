"""The one node of a cluster: containerd, kubelet and kube-proxy.

A node is a network namespace, a mount namespace and a control group. The mount namespace belongs to a
process that only sleeps; in it every path that a kubelet, containerd and CNI have fixed
(`/var/lib/kubelet`, `/run/containerd`, `/etc/cni/net.d` ...) is the cluster's own folder. So clusters
do not meet in those paths, what is mounted there is gone with the last process, and a DaemonSet that
mounts host paths finds what it would find on a real node.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.errors import FailedError
from meshctl.model.event import Changed, Event, Started
from meshctl.sandbox import cgroups
from meshctl.sandbox.api import Api
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.ledger import Ledger, Process
from meshctl.sandbox.names import ClusterLayout
from meshctl.sandbox.process import Inside, alive, pause, spawn
from meshctl.sandbox.versions import NODE_LABEL, PAUSE_IMAGE
from meshctl.sandbox.waiting import until

SOCKET = "/run/containerd/containerd.sock"
_STARTS = 5
"""A kubelet ends when containerd is there and does not serve yet; elsewhere systemd starts it again."""
PLUGINS = Path("/usr/lib/cni")
USER = "kube-proxy"
"""Needs a user `system:kube-proxy` and a kubeconfig."""

_BOUND = (
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/etc/cni/net.d",
    "/opt/cni/bin",
)
_FRESH = ("/run/netns", "/run/containerd")

# Network namespaces of others are let go first: a copy of their mount would keep them from going.
# Sharing comes first too, or pods could not be given mounts that spread.
_HOLD = """
set -e
mount --make-rshared /
while umount -l /run/netns 2>/dev/null; do :; done
mkdir -p /run/netns /run/containerd
mount -t tmpfs -o mode=755 tmpfs /run/netns
mount -t tmpfs -o mode=711 tmpfs /run/containerd
mount --make-shared /run/netns
folder=$1; ready=$2; shift 2
for path; do mkdir -p "$path"; mount --bind "$folder$path" "$path"; done
: > "$ready"
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node needs to know.

    Attributes:
        cluster: its names and addresses.
        sandbox: name of the sandbox.
        binaries: folder with kubelet and kube-proxy.
        masquerade: pods' addresses are not known outside the cluster, so they leave as the node's.
    """

    cluster: ClusterLayout
    sandbox: str
    binaries: Path
    masquerade: bool

    @property
    def group(self) -> str:
        """Its line of progress."""
        return f"cluster {self.cluster.short}"

    @property
    def root(self) -> Path:
        """Folder that stands for the node's own paths."""
        return self.cluster.folder / "node"

    @property
    def files(self) -> Certificates:
        """Keys, certificates and kubeconfigs."""
        return Certificates(self.cluster.certificates)

    @property
    def images(self) -> Path:
        """containerd's folder, into which the images go before it starts."""
        return self.root / "var/lib/containerd"

    def inside(self, mounts_of: int | None = None) -> Inside:
        """Its network namespace and control group, and its mount namespace where that is needed."""
        return Inside(self.cluster.netns, mounts_of, f"{self.cluster.cgroup}/system")

    def log(self, component: str) -> Path:
        """Log file of a component."""
        return self.cluster.logs / f"{component}.log"


def hold(ledger: Ledger, node: Node) -> Process:
    """Start the process that holds the node's mount namespace, and write the configuration."""
    cgroups.make(f"{node.cluster.cgroup}/system")
    cgroups.make(f"{node.cluster.cgroup}/pods")
    for path in _BOUND:
        (node.root / path[1:]).mkdir(parents=True, exist_ok=True)
    _write_configuration(node)
    ready = node.cluster.folder / "mounts-ready"
    argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _HOLD, "sh"]
    process = spawn(
        ledger,
        f"{node.cluster.short}/mounts",
        [*argv, str(node.root), str(ready), *_BOUND],
        log=node.log("mounts"),
        inside=Inside(cgroup=f"{node.cluster.cgroup}/system"),
    )
    for _ in until(
        node.group,
        "mounts",
        lambda: "" if ready.exists() else "mounting",
        process=process,
        log=node.log("mounts"),
    ):
        pass
    return process


def start_runtime(ledger: Ledger, node: Node, holder: Process) -> None:
    """Start containerd; it may come up while the control plane does."""
    argv = ["containerd", "--config", str(node.cluster.folder / "containerd.toml")]
    _spawn(ledger, node, "containerd", argv, node.inside(holder.pid))


def start(ledger: Ledger, node: Node, holder: Process) -> Iterator[Event]:
    """Start kubelet and kube-proxy beside a ready API server, and wait until the node is ready.

    Raises:
        FailedError: the kubelet ended or did not get ready; the end of its log is in the details.
    """
    yield Started(node.group, "node")
    _spawn(ledger, node, "kube-proxy", _proxy_command(node), node.inside())
    for left in reversed(range(_STARTS)):
        kubelet = _spawn(ledger, node, "kubelet", _kubelet_command(node), node.inside(holder.pid))
        try:
            yield from _until_ready(node, kubelet)
            break
        except FailedError:
            if not left or alive(kubelet):
                raise
            pause(1)
    yield Changed(node.group, "node", f"{node.cluster.node} is ready")


def _until_ready(node: Node, kubelet: Process) -> Iterator[Event]:
    api = Api(node.cluster.api, node.files)
    return until(
        node.group,
        "node",
        lambda: not_ready(api, node.cluster.node),
        process=kubelet,
        log=node.log("kubelet"),
    )


def not_ready(api: Api, name: str) -> str:
    """Why the node is not ready, in the kubelet's words; empty when it is."""
    node = api.get(f"/api/v1/nodes/{name}")
    if node is None:
        return "not registered"
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return "" if condition["status"] == "True" else str(condition.get("message", "not ready"))
    return "no condition yet"


def _spawn(ledger: Ledger, node: Node, component: str, argv: list[str], inside: Inside) -> Process:
    name = f"{node.cluster.short}/{component}"
    return spawn(ledger, name, argv, log=node.log(component), inside=inside)


def _kubelet_command(node: Node) -> list[str]:
    return [
        str(node.binaries / "kubelet"),
        f"--config={node.cluster.folder / 'kubelet.json'}",
        f"--kubeconfig={node.files.kubeconfig('kubelet')}",
        f"--hostname-override={node.cluster.node}",
        f"--node-ip={node.cluster.address}",
        f"--node-labels={NODE_LABEL}={node.sandbox}",
    ]


def _proxy_command(node: Node) -> list[str]:
    return [str(node.binaries / "kube-proxy"), f"--config={node.cluster.folder / 'kube-proxy.json'}"]


def _write_configuration(node: Node) -> None:
    folder = node.cluster.folder
    (folder / "containerd.toml").write_text(_containerd())
    (folder / "kubelet.json").write_text(json.dumps(kubelet_configuration(node), indent=2))
    (folder / "kube-proxy.json").write_text(json.dumps(proxy_configuration(node), indent=2))
    # Names that the cluster's DNS does not know are nobody's: nothing here reaches a network outside.
    (folder / "resolv.conf").write_text(f"nameserver {node.cluster.address}\n")
    network = node.root / "etc/cni/net.d/10-pods.conflist"
    network.write_text(json.dumps(pod_network(node), indent=2))
    for plugin in ("bridge", "host-local", "loopback", "portmap"):
        shutil.copy2(PLUGINS / plugin, node.root / "opt/cni/bin" / plugin)


def _containerd() -> str:
    return f"""version = 2
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE runc cannot lower a score, and says "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"""


def kubelet_configuration(node: Node) -> dict[str, Any]:
    """The kubelet's configuration file."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.files.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(node.files.certificate("kubelet")),
        "tlsPrivateKeyFile": str(node.files.key("kubelet")),
        "address": str(node.cluster.address),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cluster.cgroup}/pods",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [str(node.cluster.dns)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node.cluster.folder / "resolv.conf"),
        "maxPods": 250,
        # Images cannot be pulled again, so none may be collected.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",  # changed Secrets reach pods that soon, not within a minute
        "shutdownGracePeriod": "0s",
    }


def proxy_configuration(node: Node) -> dict[str, Any]:
    """kube-proxy's configuration file; it also serves hosts that route services by way of the node."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(node.files.kubeconfig(USER))},
        "mode": "iptables",
        "clusterCIDR": str(node.cluster.pods),
        "hostnameOverride": node.cluster.node,
        "oomScoreAdj": 0,
        # The limit is the machine's, and not a namespace's to set.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def pod_network(node: Node) -> dict[str, Any]:
    """The CNI configuration: a bridge in the node, addresses from the cluster's own range."""
    return {
        "cniVersion": "0.4.0",
        "name": f"pods-{node.cluster.context}",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                "ipMasq": node.masquerade,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": str(node.cluster.pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
