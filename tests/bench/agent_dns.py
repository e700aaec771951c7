"""The agent's DNS server beside Istio's: questions a second and the slowest of a hundred, in turn.

Both answer the same names of the same mesh to the same clients, which are the judge's, in Go: one asks
question after question, or many ask at once. Ours runs in a process of its own, as theirs does. The host's
resolver, to which both forward, is a further judge.

`python -m tests.bench.agent_dns` prints the table, and how much memory each holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from meshctl.cli.report import table
from meshctl.sandbox import build
from tests.dns_servers import HOST, free_port, name_table, service

SERVICES = 1000
CLIENTS = (1, 16)
SECONDS = 3.0
ROUNDS = 3
MESH = [f"svc{number}.ns{number % 10}.svc.cluster.local." for number in range(0, SERVICES, 7)]
OUTSIDE = [f"www{number}.example.org." for number in range(100)]
NAMES = {
    host: said
    for number in range(SERVICES)
    for host, said in service(
        f"svc{number}", f"ns{number % 10}", f"10.0.{number >> 8}.{number & 255}"
    ).items()
}

_OURS = """
import asyncio, sys
from meshctl.agent.dns.server import Dns
from meshctl.agent.dns.settings import DnsSettings
from meshctl.agent.latest import Latest

async def main():
    settings = DnsSettings(True, "ns1", "svc.cluster.local", int(sys.argv[1]), servers=(sys.argv[2],))
    server = Dns(settings, Latest(sys.stdin.buffer.read()))
    running = asyncio.ensure_future(server.run())
    while not (server.listening and server.synced):
        await asyncio.sleep(0.01)
    print("{}", flush=True)
    await running

asyncio.run(main())
"""


@dataclass(frozen=True)
class Load:
    """What a server did in one run: answers a second, milliseconds that half took and that 99 of 100 took."""

    rate: float
    p50: float
    p99: float


@contextmanager
def theirs(judge: Path, names: dict[str, Any], server: str) -> Iterator[tuple[int, int]]:
    """Port and process of Istio's server, which knows `names` and asks `server` about others."""
    port = free_port()
    world = {
        "namespace": "ns1", "domain": "svc.cluster.local", "listen": f"{HOST}:{port}", "search": [],
        "servers": [server], "seconds": 5, "names": names,
    }  # fmt: skip
    with subprocess.Popen([judge], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(world).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        yield port, process.pid
        process.stdin.close()


@contextmanager
def ours(server: str) -> Iterator[tuple[int, int]]:
    """Port and process of the agent's server."""
    port = free_port()
    argv = [sys.executable, "-c", _OURS, str(port), server]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(name_table(NAMES))
        process.stdin.close()
        process.stdout.readline()
        yield port, process.pid
        process.terminate()


def load(judge: Path, port: int, clients: int, names: list[str]) -> Load:
    """One run of the judge's clients against a port of this machine."""
    argv = [judge, "load", f"{HOST}:{port}", str(SECONDS), str(clients), *names]
    said = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    if said["failed"]:
        raise RuntimeError(f"{said['failed']} questions were not answered")
    return Load(said["perSecond"], said["p50"] * 1000, said["p99"] * 1000)


def resident(pid: int) -> float:
    """Mebibytes of memory that a process holds."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def rows(what: str, pairs: list[tuple[Load, Load]]) -> list[tuple[str, ...]]:
    """Lines of the table: the medians, and the median of the ratios."""
    found = []
    for name, unit, pick in (("answers", "/s", "rate"), ("p50", " ms", "p50"), ("p99", " ms", "p99")):
        mine, other = ([getattr(each, pick) for each in side] for side in zip(*pairs, strict=True))
        ratio = median(a / b for a, b in zip(mine, other, strict=True))
        digits = 0 if pick == "rate" else 3
        found.append(
            (
                f"{what}, {name}",
                f"{median(mine):.{digits}f}{unit}",
                f"{median(other):.{digits}f}{unit}",
                f"{ratio:.2f}",
            )
        )
    return found


def main() -> None:
    """Measure, and print."""
    judge = build.program(build.DNSJUDGE)
    known = {name: {"ips": ["192.0.2.80"]} for name in OUTSIDE}
    with (
        theirs(judge, known, f"{HOST}:1") as (outside, _),
        theirs(judge, NAMES, f"{HOST}:{outside}") as their,
        ours(f"{HOST}:{outside}") as our,
    ):
        lines: list[tuple[str, ...]] = []
        for what, names in (("mesh", MESH), ("forwarded", OUTSIDE)):
            for clients in CLIENTS:
                pairs = [
                    (load(judge, our[0], clients, names), load(judge, their[0], clients, names))
                    for _ in range(ROUNDS)
                ]
                lines += rows(f"{what}, {clients} at once", pairs)
        held = resident(our[1]), resident(their[1])
    lines.append(("memory", f"{held[0]:.1f} MiB", f"{held[1]:.1f} MiB", f"{held[0] / held[1]:.2f}"))
    print(f"{SERVICES} services, load {os.getloadavg()[0]:.1f}")
    print(table(lines, ("DNS", "OURS", "ISTIO'S", "RATIO")))


if __name__ == "__main__":
    main()
