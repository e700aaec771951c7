"""A client: one call a connection."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.http.tls import TlsConnection
from meshctl.agent.http.wire import (
    Framing,
    Headers,
    HttpError,
    Limits,
    Source,
    length,
    pieces,
    read_headers,
    read_start,
    value,
    values,
    within,
    written,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LOOPBACK: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_MOST_INTERIM: Final = 10
"""How many answers `100 Continue` and the like are passed over."""


@dataclass(frozen=True)
class Tcp:
    """A server on the network.

    Attributes:
        host: an address, or a name that is looked up; `localhost` is both loopbacks.
        port: 1 to 65535.
        tls: speak TLS, whoever the server is: its certificate is not checked.
        sources: addresses to call from, the one of the server's family; left aside where it leads nowhere.
    """

    host: str
    port: int
    tls: bool = False
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As URLs have it: `10.0.0.1:80` or `[::1]:80`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Unix:
    """A server at a socket of this host."""

    path: Path

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)


Address = Tcp | Unix


@dataclass(frozen=True)
class Response:
    """An answer as a whole."""

    status: int
    headers: Headers
    body: bytes


class PlainConnection:
    """A connection without TLS; read like an asyncio.StreamReader."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin with asyncio's own."""
        self.read = reader.read
        self.readline = reader.readline
        self._writer = writer

    async def send(self, sent: bytes) -> None:
        """Send all of it."""
        self._writer.write(sent)
        await self._writer.drain()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()


class Reply:
    """An answer whose body is still coming."""

    def __init__(self, status: int, headers: Headers, body: AsyncIterator[bytes], ends: float) -> None:
        """Begin with the head; `ends` is when `time.monotonic` says that it has taken too long."""
        self.status = status
        self.headers = headers
        self._body = body
        self._ends = ends

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; to be asked for once."""
        while (piece := await within(self._next(), self._ends - time.monotonic())) is not None:
            yield piece

    async def _next(self) -> bytes | None:
        return await anext(self._body, None)


async def fetch(
    to: Address,
    method: str,
    path: str,
    *,
    timeout: float,
    headers: Headers = (),
    body: bytes = b"",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Response:
    """Call a server, once, and read all of its answer, whatever its status.

    Args:
        to: the server.
        method: such as GET.
        path: with the query, each in the form of a URL.
        timeout: seconds for all of it.
        headers: further ones; `Host` in place of the server's address.
        body: what is sent.
        limits: how much of an answer is taken.

    Raises:
        OSError: it cannot be reached, or breaks off.
        TimeoutError: it takes too long (an OSError, too).
        HttpError: it answers what is not HTTP, or too much.
    """
    async with exchange(
        to, method, path, timeout=timeout, headers=headers, body=body, limits=limits
    ) as reply:
        return Response(reply.status, reply.headers, b"".join([piece async for piece in reply.pieces()]))


@asynccontextmanager
async def exchange(
    to: Address,
    method: str,
    path: str,
    *,
    timeout: float,
    headers: Headers = (),
    body: bytes = b"",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> AsyncIterator[Reply]:
    """Call a server, once, and read as much of its answer as is wanted; else like `fetch`."""
    ends = time.monotonic() + timeout
    sent = _asked(to, method, path, headers, body)
    connection = await within(connect(to, limits), timeout)
    try:
        await within(connection.send(sent + body), ends - time.monotonic())
        status, said, framing = await within(_answered(connection, method, limits), ends - time.monotonic())
        yield Reply(status, said, pieces(connection, framing, limits, strict=False), ends)
    except EOFError as early:
        raise ConnectionResetError(f"{to} closed without an answer") from early
    finally:
        connection.abort()


async def connect(
    to: Address,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> PlainConnection | TlsConnection:
    """A connection to a server; waits as long as the system does.

    Raises:
        OSError: it cannot be reached, or they do not agree on TLS.
    """
    if isinstance(to, Unix):
        return PlainConnection(*await asyncio.open_unix_connection(str(to.path), limit=limits.line))
    link = await linked(to)
    try:
        if to.tls:
            connection = TlsConnection(link, limits.line)
            await connection.handshake(to.host)
            return connection
        return PlainConnection(*await asyncio.open_connection(sock=link, limit=limits.line))
    except BaseException:
        link.close()
        raise


async def linked(to: Tcp) -> socket.socket:
    """A socket that is connected to the first of the server's addresses that takes it; TLS is left aside.

    Raises:
        OSError: none does.
    """
    problem: OSError | None = None
    for family, address in await _resolved(to):
        try:
            return await _linked_from_any(to.sources, family, address)
        except OSError as refused:  # noqa: PERF203 - each address has its own outcome
            problem = problem or refused
    if problem is None or problem.errno is None:
        raise problem or OSError(f"{to.host} has no address")
    raise OSError(problem.errno, os.strerror(problem.errno), str(to)) from problem


async def _linked_from_any(sources: tuple[str, ...], family: int, address: Any) -> socket.socket:
    for source in sources:
        if (":" in source) == (family == socket.AF_INET6):
            try:
                return await _linked(family, address, source)
            except OSError as refused:
                if refused.errno not in _NO_WAY_FROM_THERE:
                    raise
    return await _linked(family, address, "")


async def _linked(family: int, address: Any, source: str) -> socket.socket:
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        link.setblocking(False)
        if source:
            link.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(link, address)
    except BaseException:
        link.close()
        raise
    return link


_NO_WAY_FROM_THERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENETUNREACH})
"""Not an address of this host; a loopback address, and a server elsewhere."""


async def _resolved(to: Tcp) -> list[tuple[int, Any]]:
    if to.host == "localhost":  # known without asking, which would take a thread
        return [(family, (address, to.port)) for family, address in _LOOPBACK]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except UnicodeError as odd:  # from the encoding of names as IDNA
        raise OSError(f"{to.host!r} is no name of a host") from odd
    return [(family, address) for family, _, _, _, address in found]


def _asked(to: Address, method: str, path: str, headers: Headers, body: bytes) -> bytes:
    host = value(headers, "host") or (str(to) if isinstance(to, Tcp) else "localhost")
    kept = tuple((name, said) for name, said in headers if name.lower() not in _OURS)
    length_of = (("Content-Length", str(len(body))),) if body or method not in ("GET", "HEAD") else ()
    if not path.startswith("/") or " " in path:
        raise HttpError("a path that is none")
    return written(f"{method} {path} HTTP/1.1", (("Host", host), ("Connection", "close"), *length_of, *kept))


_OURS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade"}
)
"""Headers about one connection, which whoever makes the connection writes."""


async def _answered(source: Source, method: str, limits: Limits) -> tuple[int, Headers, Framing]:
    for _ in range(_MOST_INTERIM):
        status = _status(await read_start(source, strict=False))
        headers = await read_headers(source, limits, strict=False)
        if status >= 200:
            return status, headers, _framing(method, status, headers)
        if status == 101:
            break
    raise HttpError("no answer, only interim ones")


def _status(start: str) -> int:
    version, _, rest = start.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise HttpError("an answer that is not HTTP/1.1")
    if int(code) < 100 or rest[3:4] not in ("", " "):
        raise HttpError("an answer without a status")
    return int(code)


def _framing(method: str, status: int, headers: Headers) -> Framing:
    if method == "HEAD" or status in (204, 304):
        return 0
    codings = values(headers, "transfer-encoding")
    if codings:
        if codings != ["chunked"]:
            raise HttpError("a coding of the body that was not asked for")
        return "chunked"
    size = length(headers)
    return "close" if size is None else size
