"""The agent's ADS beside pilot-agent's: 1,000 clusters and 5,000 endpoints from one istiod, by way of each.

`python -m tests.bench.agent_ads` prints what each way took, and what it would have been without one of them
between. The same client asks as Envoy does: clusters, then the endpoints of all of them, then listeners.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.agent.ads.state import CLUSTERS, LISTENERS
from meshctl.agent.ads.variants import DELTA
from meshctl.agent.identity.credentials import Credentials
from meshctl.model.objects import Object, Ref
from meshctl.sandbox import Settings, down, status, up
from meshctl.sandbox.build import binaries
from meshctl.sandbox.versions import ISTIO_TAGS
from tests.bench.pairs import Pair, Run
from tests.cluster.vm.proxied import ISTIOD_NAME, credentials, extensions

NAMESPACE = "bench-ads"
ENTRIES, HOSTS, ADDRESSES = 20, 50, 5
ROUNDS = 9
GOAL = 1.5
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
NODE = f"sidecar~10.77.0.9~vm.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
AS_ISTIO_HAS_IT = tuple(
    f"--set=values.pilot.env.PILOT_ENABLE_{each}=true" for each in ("ALPN_FILTER", "METADATA_EXCHANGE")
)
"""What the sandbox leaves out, and the agent has to."""
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
_PATIENCE = 30.0


@dataclass(frozen=True)
class Way:
    """A way to istiod that was measured.

    Attributes:
        name: what is between.
        seconds: of each round.
        cpu: seconds of processor that what is between has taken in these rounds.
        resident: MiB that it has at the end.
        peak: the most MiB that it had.
    """

    name: str
    seconds: tuple[float, ...]
    cpu: float = 0.0
    resident: float = 0.0
    peak: float = 0.0


def ads() -> list[Pair]:
    """How long a push takes by way of the agent and of pilot-agent."""
    ours, theirs, direct = measured()
    runs = [tuple(map(Run, way.seconds)) for way in (ours, theirs)]
    note = f"direct {median(direct.seconds):.2f} s; CPU {ours.cpu:.2f} s and {theirs.cpu:.2f} s"
    return [Pair("ads push", *runs, GOAL, note)]


def measured() -> tuple[Way, Way, Way]:
    """Ours, pilot-agent's and the direct way, in turn."""
    with _cluster() as (cluster, home), tempfile.TemporaryDirectory(prefix="ads") as folder:
        _fill(cluster)
        extensions()  # asked of Envoy once, and kept
        server = _secured(home)
        known = asyncio.run(_credentials(cluster, server))
        with _ours(Path(folder), known, server) as ours, _pilot(Path(folder), cluster, server) as theirs:
            return asyncio.run(_in_turn(Path(folder), known, server, ours, theirs))


async def _in_turn(
    folder: Path, known: Credentials, server: str, ours: int, theirs: int
) -> tuple[Way, Way, Way]:
    proof = grpc.ssl_channel_credentials(known.roots, known.key, known.chain)
    named = (("grpc.ssl_target_name_override", ISTIOD_NAME), *_UNLIMITED)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": [], "direct": []}
    asked = _Asked(names=(), found=0)
    before: dict[int, float] = {}
    for turn in range(ROUNDS + 2):
        if turn == 2:
            before = {pid: _usage(pid)[0] for pid in (ours, theirs)}
        for name, channel in (
            ("direct", grpc.aio.secure_channel(f"ipv4:{server}", proof, options=named)),
            ("ours", grpc.aio.insecure_channel(f"unix:{folder}/xds.sock", options=_UNLIMITED)),
            ("theirs", grpc.aio.insecure_channel(f"unix:{folder}/etc/istio/proxy/XDS", options=_UNLIMITED)),
        ):
            async with channel:
                began = time.monotonic()
                asked = await _pushed(channel, asked)
                if turn > 1:  # one for the names, one for istiod's cache
                    seconds[name].append(time.monotonic() - began)
    print(f"{len(asked.names)} clusters, {asked.found} bytes", file=sys.stderr)
    return (
        Way("meshctl-agent", tuple(seconds["ours"]), *_since(ours, before)),
        Way("pilot-agent", tuple(seconds["theirs"]), *_since(theirs, before)),
        Way("direct", tuple(seconds["direct"])),
    )


@dataclass(frozen=True)
class _Asked:
    """Clusters whose endpoints are to be asked for, and the bytes of what came."""

    names: tuple[str, ...]
    found: int


async def _pushed(channel: Any, before: _Asked) -> _Asked:
    """Ask as an Envoy that begins; the clusters that came."""
    call = channel.stream_stream(DELTA.path)(wait_for_ready=True)
    first = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTERS)
    first.node.CopyFrom(_node())
    await call.write(first.SerializeToString())
    clusters = await _told(call)
    wanted = discovery_pb2.DeltaDiscoveryRequest(type_url=ENDPOINTS, resource_names_subscribe=before.names)
    await call.write(wanted.SerializeToString())
    endpoints = await _told(call) if before.names else b""
    await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=LISTENERS).SerializeToString())
    listeners = await _told(call)
    call.cancel()
    names = before.names or tuple(
        each.name
        for each in discovery_pb2.DeltaDiscoveryResponse.FromString(clusters).resources
        if each.name.startswith("outbound")
    )
    return _Asked(names, sum(map(len, (clusters, endpoints, listeners))))


async def _told(call: Any) -> bytes:
    raw: Any = await asyncio.wait_for(call.read(), _PATIENCE)
    assert raw is not grpc.aio.EOF, await call.details()
    return raw  # type: ignore[no-any-return]


def _node() -> Any:
    made = discovery_pb2.DeltaDiscoveryRequest().node
    made.id = NODE
    made.metadata.update(
        {
            "CLUSTER_ID": "Kubernetes",
            "ISTIO_VERSION": "1.31.0",
            "NAMESPACE": NAMESPACE,
            "SERVICE_ACCOUNT": "default",
            "INSTANCE_IPS": "10.77.0.9",
        }
    )
    made.extensions.extend(extensions())
    return made


@contextmanager
def _ours(folder: Path, known: Credentials, server: str) -> Iterator[int]:
    """The agent's ADS in a process of its own; its id."""
    for name in ("key", "chain", "roots"):
        (folder / name).write_bytes(getattr(known, name))
        (folder / name).chmod(0o600)
    argv = [sys.executable, "-m", "tests.bench.agent_ads_host", str(folder), server, ISTIOD_NAME]
    with _running(argv, folder / "ours.log", folder / "xds.sock", os.environ) as pid:
        yield pid


@contextmanager
def _pilot(folder: Path, cluster: KubeCluster, server: str) -> Iterator[int]:
    """pilot-agent, without an Envoy; its id."""
    roots = cluster.get(Ref("v1", "ConfigMap", NAMESPACE, "istio-ca-root-cert"))
    assert roots is not None
    secrets = folder / "var/run/secrets"
    token = cluster.token(NAMESPACE, "default", audiences=("istio-ca",), seconds=3600)
    for path, text in {
        "istio/root-cert.pem": roots.at("data.root-cert\\.pem"),
        "tokens/istio-token": token,
    }.items():
        (secrets / path).parent.mkdir(parents=True)
        (secrets / path).write_text(text)
        (secrets / path).chmod(0o600)
    env = {
        "PATH": os.environ["PATH"],
        "PROXY_CONFIG": json.dumps(
            {"discoveryAddress": server, "statusPort": 19520, "configPath": "./etc/istio/proxy"}
        ),
        "ISTIOD_SAN": ISTIOD_NAME,
        "DISABLE_ENVOY": "true",
        "POD_NAME": "vm",
        "POD_NAMESPACE": NAMESPACE,
        "INSTANCE_IP": "10.77.0.9",
        "SERVICE_ACCOUNT": "default",
        "ISTIO_META_CLUSTER_ID": "Kubernetes",
        "DNS_PROXY_ADDR": "127.0.0.1:19553",
        "ISTIO_META_DNS_CAPTURE": "true",
    }
    program = binaries(ISTIO_TAGS, light=True).istio[ISTIO_TAGS[0]] / "pilot-agent"
    argv = [str(program), "proxy", "sidecar", "--domain", f"{NAMESPACE}.svc.cluster.local"]
    with _running(argv, folder / "theirs.log", folder / "etc/istio/proxy/XDS", env, folder) as pid:
        yield pid


@contextmanager
def _running(
    argv: list[str], log: Path, socket: Path, env: Mapping[str, str], folder: Path | None = None
) -> Iterator[int]:
    with (
        log.open("w") as said,
        subprocess.Popen(argv, stdout=said, stderr=said, env=env, cwd=folder) as process,
    ):
        try:
            deadline = time.monotonic() + _PATIENCE
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{argv[0]} does not serve: {log.read_text()[-3000:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.kill()


def _since(pid: int, before: Mapping[int, float]) -> tuple[float, float, float]:
    """As `_usage`, but for the processor's seconds that were used before."""
    cpu, *memory = _usage(pid)
    return cpu - before[pid], memory[0], memory[1]


def _usage(pid: int) -> tuple[float, float, float]:
    """Seconds of processor, resident MiB and peak MiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return cpu, *(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


@contextmanager
def _cluster() -> Iterator[tuple[KubeCluster, Path]]:
    """A cluster with a mesh, that of MESHCTL_TEST_KUBECONFIG or our own; and its sandbox's folder."""
    given = os.environ.get("MESHCTL_TEST_KUBECONFIG")
    if not given:
        for _ in up(Settings(name="bench-ads", light=True)):
            pass
    path = Path(given or status("bench-ads").kubeconfig)
    meshctl = Path(sys.executable).with_name("meshctl")
    try:
        argv = [str(meshctl), "install", "--profile", "minimal", "--yes", *AS_ISTIO_HAS_IT]
        subprocess.run(argv, env={**os.environ, "KUBECONFIG": str(path)}, check=True, capture_output=True)
        yield connect(str(path)), path.parent
    finally:
        if not given:
            for _ in down("bench-ads"):
                pass


def _fill(cluster: KubeCluster) -> None:
    """Services of other hosts: as many clusters and endpoints as are to be pushed."""
    content = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    if cluster.get(Ref("v1", "Namespace", "", NAMESPACE)) is None:
        cluster.create(Object(content))
    for at in range(ENTRIES):
        meta = {"name": f"many-{at}", "namespace": NAMESPACE}
        spec = {
            "hosts": [f"service-{at}-{host}.bench.example" for host in range(HOSTS)],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": f"10.78.{at}.{each}"} for each in range(ADDRESSES)],
            "exportTo": ["."],
        }
        entry = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": meta,
            "spec": spec,
        }
        if cluster.get(Ref("networking.istio.io/v1", "ServiceEntry", NAMESPACE, meta["name"])) is None:
            cluster.create(Object(entry))


def _secured(home: Path) -> str:
    """Address of the sandbox's istiod, of its command line: a forwarded port would be measured with it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            env = (process / "environ").read_bytes().decode()
        except OSError:
            continue
        if words[0].endswith("pilot-discovery") and f"HOME={home}/" in env:
            return next(each.partition("=")[2] for each in words if each.startswith("--secureGRPCAddr="))
    raise RuntimeError(f"no istiod of {home} runs")


async def _credentials(cluster: KubeCluster, server: str) -> Credentials:
    wanted = [
        Ref("v1", "ServiceAccount", NAMESPACE, "default"),
        Ref("v1", "ConfigMap", NAMESPACE, "istio-ca-root-cert"),
    ]
    while not all(cluster.get(each) for each in wanted):
        await asyncio.sleep(0.2)
    return await credentials(cluster, server, NAMESPACE)


def main() -> None:
    """Measure and print."""
    print(f"load {os.getloadavg()[0]:.1f}")
    for way in measured():
        print(
            f"{way.name:14} median {median(way.seconds):.3f} s, best {min(way.seconds):.3f} s, "
            f"CPU {way.cpu / ROUNDS:.3f} s a push, "
            f"resident {way.resident:.0f} MiB, peak {way.peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
