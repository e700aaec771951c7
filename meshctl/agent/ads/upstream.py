"""The way to an istiod."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.agent.ads.settings import AdsSettings
    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.latest import Latest

_log = logging.getLogger(__name__)

STEADY: Final = 10.0
"""Seconds after which a connection has been a good one: its end is followed by another attempt at once."""
_LONGEST: Final = 400
"""Characters of an error that are kept."""
_LATEST_PART: Final = 0.1
"""Part of a certificate's life at whose beginning a connection made with it has to end."""


class Unreachable(Exception):  # noqa: N818 - of an attempt, not of the program
    """An attempt to reach an istiod came to nothing."""


@dataclass(frozen=True, slots=True)
class Address:
    """One place where an istiod may be.

    Attributes:
        shown: `address:port`.
        is_v6: whether it is an IPv6 address.
        name: that its certificate must have.
    """

    shown: str
    is_v6: bool
    name: str

    @property
    def target(self) -> str:
        """As gRPC takes it."""
        return f"{'ipv6' if self.is_v6 else 'ipv4'}:{self.shown}"


class Link:
    """A stream to an istiod, over a connection of its own."""

    def __init__(self, channel: Any, call: Any, server: str, credentials: Credentials, began: float) -> None:
        """Take a stream that has begun; `began` is of a clock that never jumps."""
        self.server = server
        self.credentials = credentials
        self.began = began
        self._channel = channel
        self._call = call

    async def read(self) -> bytes | None:
        """The next response; None when there will be no more."""
        try:
            raw = await self._call.read()
        except (grpc.RpcError, asyncio.InvalidStateError):
            return None
        return None if raw is grpc.aio.EOF else raw

    async def write(self, raw: bytes) -> bool:
        """Send a request, as soon as istiod takes it; whether it did."""
        try:
            await self._call.write(raw)
        except (grpc.RpcError, asyncio.InvalidStateError):
            return False
        return True

    async def why(self) -> str:
        """Why istiod has ended the stream; empty as long as it has not."""
        return await _why(self._call) if self._call.done() else ""

    async def close(self) -> None:
        """End the stream and the connection."""
        self._call.cancel()
        await self._channel.close()

    def expires_in(self, now: float) -> float:
        """Seconds until the certificate that it was made with nears its end, at epoch seconds `now`."""
        life = self.credentials.ends - self.credentials.begins
        return max(self.credentials.ends - life * _LATEST_PART - now, 0.0)


class Upstream:
    """Makes streams to istiods, one after another; patient, and never all hosts at the same moment.

    Attributes:
        error: of the last attempt or stream that failed.
    """

    def __init__(
        self,
        settings: AdsSettings,
        identity: Latest[Credentials | None],
        *,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say whom to ask and as whom; `chance` gives numbers from 0 to 1, `clock` seconds."""
        self.error = ""
        self._settings = settings
        self._identity = identity
        self._chance = chance
        self._clock = clock
        self._failures = 0
        self._lost = ""

    async def connect(self, path: str) -> Link:
        """Begin a stream of the method at `path` with an istiod that is there, however long that takes."""
        while True:
            await self._pause()
            credentials = await self._identity.until(bool)
            assert credentials is not None
            for address in await self._addresses():
                if link := await self._tried(address, path, credentials):
                    return link
            self._failed()

    def ended(self, link: Link, why: str, *, answered: bool) -> None:
        """Learn from the end of a stream whom to ask next, and how soon."""
        self._lost = link.server
        self.error = f"{link.server}: {why}"
        if answered and self._clock() - link.began > STEADY:
            self._failures = 0
        else:
            self._failed()

    def _failed(self) -> None:
        if not self._failures:
            _log.warning("no istiod: %s", self.error)
        self._failures += 1

    async def _pause(self) -> None:
        """Wait longer after each failure, a time that differs from host to host, or for a new identity."""
        if not self._failures:
            return
        longest = min(
            self._settings.longest_wait, self._settings.first_wait * 2 ** min(self._failures - 1, 30)
        )
        old = self._identity.value
        renewed = asyncio.ensure_future(self._identity.until(lambda new: new is not old))
        try:
            await asyncio.wait([renewed], timeout=longest * self._chance())
        finally:
            renewed.cancel()

    async def _addresses(self) -> list[Address]:
        """All addresses of all servers, the one that was lost last at the end.

        The resolver says whether this host is better off with IPv4 or IPv6; within each, chance decides.
        """
        found = [address for server in self._settings.servers for address in await self._resolved(server)]
        kinds = list(dict.fromkeys(each.is_v6 for each in found))
        order = {each: (each.shown == self._lost, kinds.index(each.is_v6), self._chance()) for each in found}
        return sorted(order, key=lambda each: order[each])

    async def _resolved(self, server: str) -> list[Address]:
        try:
            return await _addresses_of(server, self._settings.server_name)
        except (OSError, ValueError) as error:  # ValueError: of names that IDNA does not know, too
            self.error = f"{server}: {error}"
            _log.debug("cannot resolve %s", self.error)
            return []

    async def _tried(self, address: Address, path: str, credentials: Credentials) -> Link | None:
        try:
            return await self._open(address, path, credentials)
        except Unreachable as error:
            self.error = f"{address.shown}: {error}"
            _log.debug("cannot reach %s", self.error)
            return None

    async def _open(self, address: Address, path: str, credentials: Credentials) -> Link:
        """Begin a stream at one address.

        Raises:
            Unreachable: nobody is there, or whoever is there is not to be trusted or does not trust us.
        """
        try:
            channel = self._channel(address, credentials)
        except Exception as error:  # what gRPC makes of a broken certificate is not said anywhere
            raise Unreachable(f"cannot use the certificate in hand: {type(error).__name__}") from error
        is_made = False
        try:
            call = channel.stream_stream(path)(metadata=self._metadata())
            await self._connected(call)
            is_made = True
        except (ValueError, TypeError) as error:
            raise Unreachable(f"cannot send the headers: {error}") from error
        finally:
            if not is_made:
                await channel.close()
        return Link(channel, call, address.shown, credentials, self._clock())

    async def _connected(self, call: Any) -> None:
        """Wait until a stream has begun.

        Raises:
            Unreachable: it has not, or not soon enough.
        """
        waiting = asyncio.ensure_future(call.wait_for_connection())
        try:
            done, _ = await asyncio.wait([waiting], timeout=self._settings.connect_timeout)
        finally:
            if not waiting.done():
                waiting.cancel()
                call.cancel()
        if not done:
            raise Unreachable(f"no connection within {self._settings.connect_timeout:g} s")
        if waiting.cancelled() or waiting.exception():
            raise Unreachable(await _why(call))

    def _channel(self, address: Address, credentials: Credentials) -> Any:
        proof = grpc.ssl_channel_credentials(credentials.roots, credentials.key, credentials.chain)
        return grpc.aio.secure_channel(
            address.target,
            proof,
            options=(
                ("grpc.ssl_target_name_override", address.name),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.keepalive_time_ms", int(self._settings.keepalive * 1000)),
                ("grpc.keepalive_timeout_ms", int(self._settings.keepalive_timeout * 1000)),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.use_local_subchannel_pool", 1),  # lest another attempt shares a broken connection
                ("grpc.enable_http_proxy", 0),
                ("grpc.enable_retries", 0),
            ),
        )

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        cluster = (("clusterid", self._settings.cluster),) if self._settings.cluster else ()
        return (*cluster, *((name.lower(), value) for name, value in self._settings.headers))


async def _addresses_of(server: str, name: str) -> list[Address]:
    """Addresses of a `host:port`.

    Raises:
        OSError: nobody knows the host.
        ValueError: it is no `host:port`.
    """
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal():
        raise ValueError("not of the form host:port")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    return [_address(family, str(at[0]), int(port), name or host) for family, _, _, _, at in found]


def _address(family: int, host: str, port: int, name: str) -> Address:
    is_v6 = family == socket.AF_INET6
    shown = f"[{host}]:{port}" if is_v6 else f"{host}:{port}"
    return Address(shown, is_v6, name)


async def _why(call: Any) -> str:
    """How a call that is over has ended, in a line."""
    code, details = await call.code(), await call.details()
    if code is grpc.StatusCode.OK:
        return "it has ended the stream"
    said = f"{code.name}: {details}" if details else code.name
    return " ".join(said.split())[:_LONGEST]
