"""Many agents' certificates, renewed by one istiod: `python -m tests.bench.agent_renewal [--agents 200]`.

All begin at once, as after a reboot of all hosts, and then renew over and over for some lives. It prints when
they asked, as a histogram, which failed, and how much of its life the certificate had left that had least.
The cluster is that of MESHCTL_TEST_KUBECONFIG, with Istio in it, or a light sandbox.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.agent.identity.authority import Istiod
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.identity.identity import Identity
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.identity.store import Store
from meshctl.agent.places import Places
from meshctl.errors import MeshctlError
from meshctl.model.objects import Ref
from meshctl.sandbox import Settings, down, status, up
from tests.cluster.command import Command
from tests.issuing import Here

ISTIO = "istio-system"
SANDBOX = "bench-agent"
NAMESPACE = "default"
BAR = 60
"""Characters of the longest bar."""


@dataclass
class Asked:
    """istiod's authority, and what it was asked.

    Attributes:
        moments: seconds since the start, of each request.
        seconds: that each answer took.
        failures: by what was said.
        longest: the most requests under way at once.
    """

    istiod: Istiod
    start: float
    moments: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    now: int = 0
    longest: int = 0

    async def sign(
        self, request: bytes, roots: bytes, proof: str | Credentials, patience: float
    ) -> tuple[bytes, ...]:
        begun = time.monotonic()
        self.moments.append(begun - self.start)
        self.now += 1
        self.longest = max(self.longest, self.now)
        try:
            return await self.istiod.sign(request, roots, proof, patience)
        except MeshctlError as error:
            self.failures[error.message] += 1
            raise
        finally:
            self.now -= 1
            self.seconds.append(time.monotonic() - begun)


async def watch(identities: list[Identity], until: float, life: float) -> float:
    """The least part of a life that any certificate had left, looking four times a second."""
    least = 1.0
    while time.monotonic() < until:
        held = [each.latest.value for each in identities]
        least = min(least, *((each.ends - time.time()) / life if each else 0.0 for each in held))
        await asyncio.sleep(0.25)
    return least


async def renew(
    count: int, life: float, seconds: float, address: str, root: bytes, token: str, folder: Path
) -> bool:
    """Run the agents; whether nothing failed, and no certificate came to its end."""
    who = IdentitySettings(
        (address,),
        "",
        NAMESPACE,
        "default",
        "Kubernetes",
        server_name="istiod.istio-system.svc",
        lifetime=life,
    )
    asked = Asked(Istiod(who), time.monotonic())
    identities = []
    for number in range(count):
        places = Places(folder / str(number))
        places.settings.mkdir(parents=True)
        places.roots.write_bytes(root)
        places.token.write_text(token)
        identities.append(Identity(who, places, Store(places.identity), asked, Here()))
    tasks = [asyncio.ensure_future(each.run()) for each in identities]
    try:
        await asyncio.gather(*(each.latest.until(bool) for each in identities))
        first, took = len(asked.moments), time.monotonic() - asked.start
        least = await watch(identities, time.monotonic() + seconds, life)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    print(f"{count} agents, lives of {life:.0f} s; the first certificates came within {took:.1f} s")
    histogram([moment - took for moment in asked.moments[first:]], life, seconds)
    print(
        f"requests: {len(asked.moments)}, up to {asked.longest} at once; failures: {asked.failures.total()}"
    )
    for said, times in asked.failures.most_common():
        print(f"  {times} x {said}")
    slowest = sorted(asked.seconds)
    print(f"answers: median {slowest[len(slowest) // 2] * 1e3:.0f} ms, slowest {slowest[-1] * 1e3:.0f} ms")
    print(f"least of a certificate's life that was ever left: {least:.0%}")
    return not asked.failures and least > 0


def histogram(moments: list[float], life: float, seconds: float) -> None:
    """Print how many asked when, in parts of a twentieth of a life."""
    width = life / 20
    bins = Counter(int(moment // width) for moment in moments)
    most = max(bins.values(), default=1)
    for at in range(int(seconds // width)):
        bar = "#" * round(bins[at] / most * BAR)
        print(f"  {at * width:6.0f} s {bins[at]:4} {bar}")


@contextmanager
def cluster() -> Iterator[KubeCluster]:
    """A cluster with Istio in it."""
    given = os.environ.get("MESHCTL_TEST_KUBECONFIG", "")
    if not given:
        for _ in up(Settings(name=SANDBOX, light=True)):
            pass
    kubeconfig = given or str(status(SANDBOX).kubeconfig)
    found = connect(kubeconfig)
    try:
        if found.get(Ref("apps/v1", "Deployment", ISTIO, "istiod")) is None:
            with tempfile.TemporaryDirectory() as folder:
                Command(kubeconfig, Path(folder)).run("install", "--profile", "minimal", "--yes")
        yield found
    finally:
        found.close()
        if not given:
            for _ in down(SANDBOX):
                pass


def main(words: list[str]) -> int:
    """Measure; 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--life", type=float, default=120.0, help="of a certificate, in seconds")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to watch")
    said = parser.parse_args(words)
    with cluster() as found, tempfile.TemporaryDirectory() as folder:
        root = found.get(Ref("v1", "ConfigMap", ISTIO, "istio-ca-root-cert"))
        assert root
        token = found.token(NAMESPACE, "default", audiences=("istio-ca",), seconds=3600)
        pods = found.list("v1", "Pod", namespace=ISTIO, labels="app=istiod", fields="status.phase=Running")
        with found.forward(ISTIO, pods[0].ref.name, 15012) as (host, port):
            text = root.at("data.root-cert\\.pem").encode()
            work = renew(said.agents, said.life, said.seconds, f"{host}:{port}", text, token, Path(folder))
            return int(not asyncio.run(work))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
