"""Ports of light mode: each cluster has one block of loopback ports, chosen once and written down.

0 API server   1 etcd   2 etcd's peers   3 controller manager   4 scheduler   5 kwok   6 kubelet front
7 taken by the run that brings the cluster up, before any of the others listens
16 onwards     a row of 16 for each place in which a pod can run as a process
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshctl.errors import ConflictError

PLACES: Final = 8
"""Pods of one cluster that can run as processes at the same time."""

POD_PORTS: Final = (8080, 9876, 15000, 15004, 15010, 15012, 15014, 15017, 15020, 15021, 15053, 15090)
"""Ports of Istio's pods; each has its stand-in on loopback while a pod runs as a process."""

_ROW: Final = 16
_BLOCK: Final = _ROW * (PLACES + 1)
_FIRST: Final = 17_000
_END: Final = 32_768
"""Linux hands out ports from here to whoever asks for any; no block reaches into them."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The block of one cluster, by its first port."""

    base: int

    @property
    def api(self) -> int:
        """The API server."""
        return self.base

    @property
    def etcd(self) -> int:
        """The etcd server; the next one is for its peers."""
        return self.base + 1

    @property
    def controller_manager(self) -> int:
        """The controller manager."""
        return self.base + 3

    @property
    def scheduler(self) -> int:
        """The scheduler."""
        return self.base + 4

    @property
    def kwok(self) -> int:
        """What kwok answers a kubelet's requests on, in plain HTTP."""
        return self.base + 5

    @property
    def kubelet(self) -> int:
        """The TLS front that leads the API server's kubelet requests to kwok."""
        return self.base + 6

    @property
    def claim(self) -> int:
        """What a run listens on while it brings the cluster up, so that no other run takes the block."""
        return self.base + 7

    def stand_in(self, place: int, port: int) -> int:
        """The loopback port that stands for `port` (one of `POD_PORTS`) of the pod at `place`, from 0."""
        return self.base + _ROW * (place + 1) + POD_PORTS.index(port)

    def of_plane(self) -> Iterator[tuple[str, int]]:
        """The ports needed from the start, by the name of their owner."""
        yield "API server", self.api
        yield "etcd", self.etcd
        yield "etcd peers", self.etcd + 1
        yield "controller manager", self.controller_manager
        yield "scheduler", self.scheduler
        yield "kwok", self.kwok
        yield "kubelet front", self.kubelet

    def all(self) -> Iterator[int]:
        """Every port of the block that may be listened on."""
        yield from (port for _, port in self.of_plane())
        yield from (self.stand_in(place, port) for place in range(PLACES) for port in POD_PORTS)


def choose(record: Path, held: ExitStack) -> Ports:
    """The cluster's block: the one written down in `record`, else the first free one, then written down.

    Args:
        record: file that keeps the choice, so that a second run finds the same ports.
        held: keeps the block from other runs, of any user, until it is closed; by then all must listen.

    Raises:
        ConflictError: no block is free, or somebody else has a port of the one written down.
    """
    known = read(record)
    if known is not None:
        _still_free(known)
        if not _claim(known, held):
            raise _taken("run of meshctl", known.claim)
        return known
    for base in range(_FIRST, _END - _BLOCK, _BLOCK):
        ports = Ports(base)
        with ExitStack() as mine:
            if _claim(ports, mine) and all(map(is_free, ports.all())):
                held.enter_context(mine.pop_all())
                record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                record.write_text(json.dumps({"base": base}) + "\n")
                return ports
    raise ConflictError(
        "no-free-ports",
        f"no {_BLOCK} ports in a row are free on 127.0.0.1 from {_FIRST} to {_END}",
        hint="bring a sandbox down with `meshctl sandbox down --name NAME`",
    )


def read(record: Path) -> Ports | None:
    """The block written down in `record`; None when there is none."""
    try:
        return Ports(json.loads(record.read_text())["base"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def is_free(port: int) -> bool:
    """Whether nobody listens on the loopback `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(ports: Ports, held: ExitStack) -> bool:
    """Listen on the block's port for that until `held` closes; False when another run does."""
    mark = socket.socket()
    try:
        mark.bind(("127.0.0.1", ports.claim))
        mark.listen()
    except OSError:
        mark.close()
        return False
    held.enter_context(mark)
    return True


def _still_free(ports: Ports) -> None:
    for owner, port in ports.of_plane():
        if not is_free(port):
            raise _taken(owner, port)


def _taken(owner: str, port: int) -> ConflictError:
    return ConflictError(
        "port-taken",
        f"port {port} on 127.0.0.1, wanted for the {owner}, is taken by another program",
        hint=f"find it with `ss -ltnp sport = :{port}`, or use another sandbox with --name",
    )
