"""A server: requests one after the other on each connection, on TCP and on Unix sockets."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import stat
import time
import zlib
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Union

from meshctl.agent.http.wire import (
    PIECE,
    Framing,
    Headers,
    HttpError,
    Limits,
    length,
    pieces,
    read_headers,
    read_start,
    values,
    within,
    written,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)
_REQUEST: Final = re.compile(
    r"(?P<method>[A-Z]{1,16}) (http://[^/?# \x00-\x20\x7f-\xff]+)?"
    r"(?P<path>/[^?# \x00-\x20\x7f-\xff]*)(\?(?P<query>[^# \x00-\x20\x7f-\xff]*))? HTTP/1\.(?P<minor>[01])"
)
_HOST: Final = re.compile(r"[\x21-\x7e]*")
_WORTH_PACKING: Final = 1024
"""Bytes; shorter answers are not compressed."""
_FAREWELL: Final = 1.0
_FAREWELL_PIECES: Final = 32
"""How long, and how much, is still read of a client that was refused."""
_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        method: in capitals.
        path: as it came, without the query; begins with a slash.
        query: what stands behind `?`, or empty.
        peer: address of who asks; empty on a Unix socket.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    peer: str

    @property
    def local(self) -> bool:
        """Whether it comes from this host, by the loopback or a Unix socket."""
        return not self.peer or self.peer == "::1" or self.peer.removeprefix("::ffff:").startswith("127.")


Body = Union[bytes, "AsyncGenerator[bytes, None]"]


@dataclass(frozen=True)
class Answer:
    """What is answered; a body that comes piece by piece is sent so."""

    status: int = 200
    body: Body = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()


@dataclass(frozen=True)
class Waits:
    """Seconds that a client may take.

    Attributes:
        idle: to begin with a request.
        request: to send the rest of it.
        answer: to take each piece of the answer.
    """

    idle: float = 60.0
    request: float = 10.0
    answer: float = 30.0


class Server:
    """Gives each request to `handle`, and sends what that answers."""

    def __init__(
        self,
        handle: Callable[[Request], Awaitable[Answer]],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        waits: Waits = Waits(),
        connections: int = 128,
    ) -> None:
        """Make it; it listens nowhere yet. More than so many `connections` at once are turned away."""
        self._handle = handle
        self._limits = limits
        self._waits = waits
        self._most = connections
        self._listening: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Listen on TCP, and say on which port; port 0 is any that is free.

        Raises:
            OSError: the address is not this host's, or is taken.
        """
        server = await asyncio.start_server(self._opened, host, port, limit=self._limits.line)
        self._listening.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def listen_unix(self, path: Path, mode: int = 0o600) -> None:
        """Listen on a Unix socket that those may use whom `mode` lets; one that was left there goes.

        Raises:
            OSError: the folder is missing, or what is there is no socket.
        """
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            path.chmod(mode)  # before it listens, so that nobody comes in earlier
            server = await asyncio.start_unix_server(self._opened, sock=listener, limit=self._limits.line)
        except BaseException:
            listener.close()
            raise
        self._listening.append(server)

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        for server in self._listening:
            server.close()
        self._listening.clear()
        for task in tuple(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open))

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._most:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, until it ends in whatever way."""
        try:
            while await self._once(reader, writer):
                pass
            writer.close()
            await within(writer.wait_closed(), self._waits.answer)
        except (OSError, EOFError):  # the client went, or is too slow; a TimeoutError is an OSError
            _LOG.debug("a client went away", exc_info=True)
        finally:
            writer.transport.abort()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow."""
        try:
            start = await within(read_start(reader, strict=True), self._waits.idle)
            request, lasts, chunks = await within(self._read(start, reader, writer), self._waits.request)
        except HttpError as wrong:
            await self._send(writer, Answer(wrong.status, f"{wrong}\n".encode()), lasts=False)
            await self._leave(reader, writer)
            return False
        try:
            answer = await self._handle(request)
        except Exception:  # noqa: BLE001 - the next request may fare better
            _LOG.exception("no answer to %s %s", request.method, request.path)
            answer = Answer(500, b"internal error\n")
        return await self._send(writer, answer, lasts=lasts, request=request, chunks=chunks)

    async def _read(
        self, start: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Request, bool, bool]:
        """A request, whether another may follow it, and whether its answer may be in chunks."""
        line = _REQUEST.fullmatch(start)
        if not line:
            raise _refusal(start)
        headers = await read_headers(reader, self._limits, strict=True)
        modern = line["minor"] == "1"
        _check_host(headers, modern)
        framing = _framing(headers, modern)
        if framing and modern and "100-continue" in values(headers, "expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b"".join([piece async for piece in pieces(reader, framing, self._limits, strict=True)])
        peer = writer.get_extra_info("peername")
        request = Request(
            method=line["method"],
            path=line["path"],
            query=line["query"] or "",
            headers=headers,
            body=body,
            peer=peer[0] if isinstance(peer, tuple) else "",
        )
        return request, modern and "close" not in values(headers, "connection"), modern

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        answer: Answer,
        *,
        lasts: bool,
        request: Request | None = None,
        chunks: bool = True,
    ) -> bool:
        """Send an answer; whether another may follow it."""
        headers = [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())), *answer.headers]
        body = answer.body
        if body:
            headers.append(("Content-Type", answer.content_type))
        if request and _packs(request, body):
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
            body = _packed(body)
        if isinstance(body, bytes):
            headers.append(("Content-Length", str(len(body))))
        elif chunks:
            headers.append(("Transfer-Encoding", "chunked"))
        lasts = lasts and (chunks or isinstance(body, bytes))
        if not lasts:
            headers.append(("Connection", "close"))
        writer.write(written(f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}", tuple(headers)))
        if not (request and request.method == "HEAD"):
            await self._send_body(writer, body, chunks=chunks)
        await within(writer.drain(), self._waits.answer)
        return lasts

    async def _send_body(self, writer: asyncio.StreamWriter, body: Body, *, chunks: bool) -> None:
        if isinstance(body, bytes):
            writer.write(body)
            return
        try:
            async with aclosing(body):
                async for piece in body:
                    if piece:
                        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunks else piece)
                        await within(writer.drain(), self._waits.answer)
        except Exception as broken:
            if not isinstance(broken, OSError):
                _LOG.exception("an answer that breaks off")
            raise ConnectionAbortedError("the answer broke off") from broken
        if chunks:
            writer.write(b"0\r\n\r\n")

    async def _leave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read what is still coming, for a while: a connection that is closed on it loses the answer."""
        writer.write_eof()
        ends = time.monotonic() + _FAREWELL
        for _ in range(_FAREWELL_PIECES):
            if not await within(reader.read(PIECE), ends - time.monotonic()):
                return


def _refusal(start: str) -> HttpError:
    if re.fullmatch(r"[A-Z]{1,16} [\x21-\x7e]+ HTTP/[0-9](\.[0-9])?", start):
        version = start.rpartition("/")[2]
        if not version.startswith("1."):
            return HttpError(f"HTTP/{version} is not spoken here", 505)
    return HttpError("a request that is none")


def _check_host(headers: Headers, modern: bool) -> None:
    hosts = [said for name, said in headers if name.lower() == "host"]
    if len(hosts) > 1 or (modern and not hosts) or not all(_HOST.fullmatch(host) for host in hosts):
        raise HttpError("a request has one Host")


def _framing(headers: Headers, modern: bool) -> Framing:
    """How long a body is; what two readers could see in two ways is refused (RFC 9112, section 6.3)."""
    codings = values(headers, "transfer-encoding")
    size = length(headers)
    if not any(name.lower() == "transfer-encoding" for name, _ in headers):
        return size or 0
    if codings != ["chunked"]:
        raise HttpError("a coding of the body that is not known here", 501)
    if size is not None or not modern:
        raise HttpError("a body whose length is said twice")
    return "chunked"


def _packs(request: Request, body: Body) -> bool:
    if isinstance(body, bytes) and len(body) < _WORTH_PACKING:
        return False
    taken = [coding.replace(" ", "") for coding in values(request.headers, "accept-encoding")]
    return any(re.fullmatch(r"gzip(;q=(1(\.0*)?|0?\.0*[1-9][0-9]*))?", coding) for coding in taken)


def _packed(body: Body) -> Body:
    pack = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: as gzip
    if isinstance(body, bytes):
        return pack.compress(body) + pack.flush()
    return _pieces_packed(body, pack)


async def _pieces_packed(
    body: AsyncGenerator[bytes, None], pack: zlib._Compress
) -> AsyncGenerator[bytes, None]:
    async with aclosing(body):
        async for piece in body:
            yield pack.compress(piece)
    yield pack.flush()
