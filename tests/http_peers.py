"""HTTP as others speak it: servers that answer given bytes, and clients that send them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ENOUGH = 10.0
"""Seconds; whatever takes longer hangs."""


def answer(body: bytes = b"", status: int = 200, *headers: str) -> bytes:
    """A whole answer, with its length."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Peer:
    """A server that runs.

    Attributes:
        port: of 127.0.0.1; 0 when it has a Unix socket.
        heard: heads of the requests that came.
        sources: addresses that they came from.
        open: connections that are open now.
    """

    port: int = 0
    heard: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    open: int = 0


@asynccontextmanager
async def peer(
    said: bytes | Callable[[str], bytes],
    *,
    socket: Path | None = None,
    tls: SSLContext | None = None,
    host: str = "127.0.0.1",
    delay: float = 0.0,
    stays: bool = False,
) -> AsyncIterator[Peer]:
    """A server that says the same to everybody, or what it makes of the head of a request.

    Args:
        said: bytes.
        socket: to listen on, in place of TCP.
        tls: speak it.
        host: to listen on.
        delay: seconds before it answers.
        stays: keep the connection open after the answer.
    """
    here = Peer()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            here.heard.append(head)
            here.sources.append(writer.get_extra_info("peername")[0] if not socket else "")
            await asyncio.sleep(delay)
            writer.write(said(head) if callable(said) else said)
            await writer.drain()
            if stays:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            here.open -= 1
            writer.close()

    tasks: set[asyncio.Task[None]] = set()

    def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(talk(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    if socket:
        server = await asyncio.start_unix_server(opened, str(socket))
    else:
        server = await asyncio.start_server(opened, host, 0, ssl=tls)
        here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks))


async def said_by(port: int, sent: bytes, *, finish: bool = False) -> bytes:
    """All that a server on 127.0.0.1 answers to some bytes until it closes the connection.

    Args:
        port: of the server.
        sent: as they are.
        finish: say that nothing follows.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        if finish:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), ENOUGH)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


def untrusted(folder: Path) -> SSLContext:
    """TLS of a server that nobody has reason to trust: signed by itself, ended long ago, with a short key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # type: ignore[call-overload]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    born, ended = datetime(2001, 1, 1, tzinfo=timezone.utc), datetime(2001, 1, 2, tzinfo=timezone.utc)  # noqa: UP017
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(born).not_valid_after(ended)
    certificate = made.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(folder / "both.pem")
    return context
