"""The resident companion of one light cluster: `python -m meshctl.sandbox.light_kubelet FILE`.

It serves the API server's way into the cluster (light_egress.py) and runs the pods that are real
processes (light_pods.py). FILE is what `write` wrote.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from urllib.parse import quote

from meshctl.errors import MeshctlError
from meshctl.sandbox.api import Api
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.kubeconfig import write_secret
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.light_egress import Egress
from meshctl.sandbox.light_launch import Surroundings
from meshctl.sandbox.light_places import Places
from meshctl.sandbox.light_pods import SELECTORS, Kubelet, Pod
from meshctl.sandbox.light_ports import Ports
from meshctl.sandbox.process import pause

_RETRY = 1.0  # seconds until an API server that went away is asked again


@dataclass(frozen=True, slots=True)
class Companion:
    """What the companion of one cluster has to know.

    Attributes:
        cluster: short name, such as `c1`.
        folder: state folder of the cluster.
        ledger: the sandbox's journal.
        server: URL of the API server.
        node: address that every node gives as its own.
        pods: range of pod addresses.
        base: first of the cluster's ports.
        istio: folder of Istio's programs, by tag.
        envoy: Envoy.
        bootstrap: template of Envoy's bootstrap file.
    """

    cluster: str
    folder: str
    ledger: str
    server: str
    node: str
    pods: str
    base: int
    istio: dict[str, str]
    envoy: str
    bootstrap: str

    @property
    def socket(self) -> Path:
        """The Unix socket on which the API server asks for connections."""
        return socket_of(Path(self.folder))


def socket_of(folder: Path) -> Path:
    """The socket of the cluster whose state folder this is."""
    return folder / "egress.sock"


def write(companion: Companion) -> Path:
    """Write what the companion reads when it starts, and give the file's path."""
    path = Path(companion.folder) / "companion.json"
    write_secret(path, json.dumps(asdict(companion), indent=2, sort_keys=True).encode())
    return path


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    companion = Companion(**json.loads(Path(arguments[0]).read_text()))
    folder, ports = Path(companion.folder), Ports(companion.base)
    files = Certificates(folder / "pki")
    api = Api(companion.server, files)
    places = Places(IPv4Network(companion.pods))
    kubelet = Kubelet(
        Surroundings(api, _binaries(companion), ports, _discovery(api, places, ports)),
        places,
        Ledger(Path(companion.ledger)),
        companion.cluster,
        companion.node,
        folder / "pods",
    )
    for selector in SELECTORS:
        threading.Thread(target=follow, args=(kubelet, selector), daemon=True).start()
    asyncio.run(Egress(companion.socket, companion.node, ports, files, places).serve())


def follow(kubelet: Kubelet, selector: str) -> None:
    """Run the pods that match the label `selector`, forever."""
    running: dict[str, Pod] = {}
    while True:
        try:
            follow_once(kubelet, f"/api/v1/pods?labelSelector={quote(selector)}", running)
        except MeshctlError:
            pause(_RETRY)


def follow_once(kubelet: Kubelet, path: str, running: dict[str, Pod]) -> None:
    """List the pods at `path`, then follow them until the watch ends.

    Args:
        kubelet: who runs them.
        path: their collection, with a label selector.
        running: pods that run, by UID; kept by the caller, changed here.
    """
    listed = kubelet.around.api.get(path)
    pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
    for uid in running.keys() - pods.keys():
        running.pop(uid).end()
    for pod in pods.values():
        _seen(kubelet, pod, running)
    version = listed["metadata"]["resourceVersion"]
    for kind, pod in kubelet.around.api.watch(f"{path}&resourceVersion={version}"):
        if kind == "ERROR":
            return  # the version is too old by now; listing anew gives a newer one
        if kind == "DELETED":
            if gone := running.pop(pod["metadata"]["uid"], None):
                gone.end()
        else:
            _seen(kubelet, pod, running)


def _seen(kubelet: Kubelet, manifest: dict[str, Any], running: dict[str, Pod]) -> None:
    """Begin or end a pod by what its object says now."""
    uid = manifest["metadata"]["uid"]
    if "deletionTimestamp" in manifest["metadata"]:
        # One that ended already is begun to be ended: its last act takes the object away.
        pod = running.pop(uid, None)
        if pod is None:
            pod = Pod(kubelet, manifest)
            pod.end()
            pod.begin()
        pod.end()
    elif uid not in running and manifest["spec"].get("nodeName"):
        running[uid] = Pod(kubelet, {"apiVersion": "v1", "kind": "Pod", **manifest})
        running[uid].begin()


def _discovery(api: Api, places: Places, ports: Ports) -> Callable[[str], int | None]:
    """Finds the loopback port of an istiod by its address in the cluster, `SERVICE.NAMESPACE.svc:PORT`."""

    def find(address: str) -> int | None:
        host, _, port = address.rpartition(":")
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0]
        service = api.get(f"/api/v1/namespaces/{namespace}/services/{name}") or {}
        selector = service.get("spec", {}).get("selector") or {}
        if not selector:
            return None
        labels = quote(",".join(f"{key}={value}" for key, value in selector.items()))
        pods = api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={labels}")["items"]
        uids = [pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        found = next((place for uid in uids if (place := places.of_uid(uid)) is not None), None)
        return None if found is None else ports.stand_in(found, int(port))

    return find


def _binaries(companion: Companion) -> Binaries:
    nowhere = Path("/nonexistent")
    return Binaries(
        kubernetes=nowhere,
        istio={tag: Path(folder) for tag, folder in companion.istio.items()},
        istioctl=nowhere,
        coredns=None,
        kwok=None,
        etcd=nowhere,
        envoy=Path(companion.envoy),
        bootstrap=Path(companion.bootstrap),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
