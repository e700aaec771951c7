"""The one way from the API server into the simulated cluster, and what a kubelet is asked there.

The addresses of simulated nodes and pods lead nowhere. So the API server is told (by an
EgressSelectorConfiguration) to ask a proxy on a Unix socket for every connection into the cluster:
webhook calls, requests to pods, requests to kubelets. The proxy leads what is meant for a pod that
runs as a process to that process on loopback, and what is meant for a kubelet to the TLS front here,
which answers for logs and hands everything else to kwok.

kwok finds the target of a port-forward by the pod's name in its configuration, which it reads once.
The configuration therefore knows the places in which pods can run, and the front writes the name of
the place over that of the pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.kwok import KUBELET_PORT, PLACE_NAMESPACE, place_name
from meshctl.sandbox.light_places import Places
from meshctl.sandbox.light_ports import POD_PORTS, Ports

_CHUNK = 65_536
_LOOK_AGAIN = 0.5  # seconds between two looks at a log that is followed
_KUBELET_PATH = re.compile(r"/(?P<verb>portForward|containerLogs)/(?P<namespace>[^/?]+)/(?P<pod>[^/?]+)")


def configuration(socket: Path) -> str:
    """What tells the API server to ask the proxy at `socket`.

    Source: apiserver.k8s.io/v1beta1, EgressSelectorConfiguration.
    """
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(socket)}}}
    selection = {"name": "cluster", "connection": connection}
    return json.dumps(
        {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [selection],
        }
    )


@dataclass(frozen=True, slots=True)
class Egress:
    """Both servers of one cluster.

    Attributes:
        socket: the proxy's Unix socket.
        node: address that every node gives as its own.
        ports: the cluster's ports.
        files: keys and certificates, for the front.
        places: who runs where, as it is now.
    """

    socket: Path
    node: str
    ports: Ports
    files: Certificates
    places: Places

    async def serve(self) -> None:
        """Serve until cancelled."""
        self.socket.unlink(missing_ok=True)
        front = await asyncio.start_server(
            self._front, "127.0.0.1", self.ports.kubelet, ssl=front_tls(self.files), limit=_CHUNK
        )
        proxy = await asyncio.start_unix_server(self._proxy, str(self.socket), limit=_CHUNK)
        async with front, proxy:
            await asyncio.gather(front.serve_forever(), proxy.serve_forever())

    def target(self, host: str, port: int) -> int | None:
        """The loopback port that stands for an address in the cluster; None when nothing does."""
        if host == self.node and port == KUBELET_PORT:
            return self.ports.kubelet
        place = self.places.at(host)
        return None if place is None or port not in POD_PORTS else self.ports.stand_in(place, port)

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            asked = await _head(reader)
            host, _, port = asked.partition(b"\r\n")[0].split(b" ")[1].decode().rpartition(":")
            target = self.target(host, int(port))
            if target is None:
                writer.write(b"HTTP/1.1 502 nothing runs at this simulated address\r\n\r\n")
                return
            there = await _connect(target)
            if there is None:
                writer.write(b"HTTP/1.1 502 the process of this pod does not listen yet\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await _join(reader, writer, *there)

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            head = await _head(reader)
            target = head.split(b" ", 2)[1].decode()
            found = _KUBELET_PATH.match(target)
            place = self.places.of(found["namespace"], found["pod"]) if found else None
            if found and place is not None and found["verb"] == "containerLogs":
                await self._logs(writer, place, target)
                return
            there = await _connect(self.ports.kwok)
            if there is None:
                writer.write(b"HTTP/1.1 502 kwok does not answer\r\nContent-Length: 0\r\n\r\n")
                return
            there[1].write(rewritten(head, place))
            await _join(reader, writer, *there)

    async def _logs(self, writer: asyncio.StreamWriter, place: int, target: str) -> None:
        """Answer a request for the log of a pod that runs as a process."""
        asked = parse_qs(urlsplit(target).query)
        follow = asked.get("follow", [""])[0] == "true"
        tail = int(asked.get("tailLines", ["-1"])[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
        async for part in _read_log(self.places.log(place), tail, follow=follow):
            writer.write(part)
            await writer.drain()


def front_tls(files: Certificates) -> ssl.SSLContext:
    """TLS of the front: a kubelet's certificate, and only clients that the cluster's authority knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate("kubelet"), files.key("kubelet"))
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def rewritten(head: bytes, place: int | None) -> bytes:
    """A request's head for kwok: the place's name over the pod's, and one request a connection.

    A connection that is not upgraded may carry further requests, which nobody would rewrite.
    """
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = lines[0].split(b" ", 2)
    if place is not None:
        path, mark, query = target.decode().partition("?")
        verb = path.split("/")[1]
        target = f"/{verb}/{PLACE_NAMESPACE}/{place_name(place)}{mark}{query}".encode()
    rest = lines[1:]
    if not any(line.lower().startswith(b"upgrade:") for line in rest):
        rest = [line for line in rest if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
    return b"\r\n".join([b" ".join([method, target, version]), *rest]) + b"\r\n\r\n"


async def _read_log(log: Path | None, tail: int, *, follow: bool) -> AsyncIterator[bytes]:
    if log is None or not log.exists():
        return
    with log.open("rb") as file:
        content = file.read()
        lines = content.splitlines(keepends=True)
        yield b"".join(lines[-tail:] if tail > 0 else [] if tail == 0 else lines)
        while follow:
            await asyncio.sleep(_LOOK_AGAIN)
            if more := file.read():
                yield more


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        return await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK)
    except OSError:
        return None


async def _join(
    near_in: asyncio.StreamReader,
    near_out: asyncio.StreamWriter,
    far_in: asyncio.StreamReader,
    far_out: asyncio.StreamWriter,
) -> None:
    """Carry bytes both ways until either side ends."""
    ways = [asyncio.ensure_future(_carry(near_in, far_out)), asyncio.ensure_future(_carry(far_in, near_out))]
    async with _closing(far_out):
        _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in left:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close the connection at the end; a peer that went away, or sent no request, is no error."""
    with contextlib.suppress(
        OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError
    ):
        try:
            yield
        finally:
            writer.close()
            await writer.wait_closed()
