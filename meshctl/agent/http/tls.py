"""TLS for calls to servers that are not asked who they are: health probes, as Kubernetes makes them.

It works on a plain socket, and not by asyncio, because the agent's asyncio is loaded without `ssl`: that is
worth megabytes of memory, which only hosts with an HTTPS probe shall pay.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

T = TypeVar("T")

_PIECE: Final = 16 * 1024
"""Bytes; as much as a record of TLS holds."""


class TlsConnection:
    """A connection in TLS, after the handshake; read like an asyncio.StreamReader."""

    def __init__(self, link: socket.socket, line: int) -> None:
        """Begin with a connected, non-blocking socket; `line` is the length of the longest line."""
        self._link = link
        self._line = line
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO
        self._session: ssl.SSLObject
        self._ahead = b""

    async def handshake(self, host: str) -> None:
        """Agree on TLS with a server, whatever its certificate says.

        Raises:
            OSError: they do not agree, or the connection breaks; ssl.SSLError is one.
        """
        ssl = _ssl()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(
            "DEFAULT:@SECLEVEL=0"
        )  # who does not look at certificates need not mind short keys
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        await self._going(self._session.do_handshake)

    async def send(self, sent: bytes) -> None:
        """Send all of it."""
        await self._going(lambda: self._session.write(sent))

    async def read(self, most: int) -> bytes:
        """At least one byte and at most so many, or none at the end."""
        if not self._ahead:
            self._ahead = await self._more()
        given, self._ahead = self._ahead[:most], self._ahead[most:]
        return given

    async def readline(self) -> bytes:
        """A line with its end, or what is left at the end.

        Raises:
            ValueError: the line is too long.
        """
        while b"\n" not in self._ahead:
            more = await self._more()
            self._ahead += more
            if not more or len(self._ahead) > self._line:
                break
        line, end, _ = self._ahead.partition(b"\n")
        if len(line) > self._line:
            raise ValueError("the line is too long")
        return await self.read(len(line) + len(end)) if line or end else b""

    def abort(self) -> None:
        """End the connection at once."""
        self._link.close()

    async def _more(self) -> bytes:
        ssl = _ssl()
        try:
            return await self._going(lambda: self._session.read(_PIECE))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):  # an end with and without a farewell
            return b""

    async def _going(self, step: Callable[[], T]) -> T:
        """A step of TLS, with what it has to send and to hear."""
        ssl = _ssl()
        loop = asyncio.get_running_loop()
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:  # noqa: PERF203 - how it says so
                await self._flush()
                heard = await loop.sock_recv(self._link, _PIECE)
                if heard:
                    self._incoming.write(heard)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush()
                return done

    async def _flush(self) -> None:
        if pending := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._link, pending)


def _ssl() -> Any:
    """The module; whoever started the agent may have hidden it, so that it is not loaded unasked."""
    if "ssl" in sys.modules and sys.modules["ssl"] is None:
        del sys.modules["ssl"]
    import ssl

    return ssl
