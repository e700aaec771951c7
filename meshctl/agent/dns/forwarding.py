"""Asking the host's resolvers.

The first resolver is asked; when it has not answered after `retry` seconds, the next is asked as well, and
the first answer counts, so that a dead resolver costs a second and not the client's patience. An answer
that says that the resolver itself failed counts only when no other is better. Nothing is kept.

Questions that are alike and under way are asked once. That also ends loops: where a local resolver asks us
in turn what we have asked it, its question waits for its own answer, until that fails.

Each question has a socket of its own, connected to one resolver, with a port of the kernel's choosing and a
random id: an answer of somebody else has to guess both. Source: RFC 5452.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from meshctl.agent.dns import packets

if TYPE_CHECKING:
    from meshctl.agent.dns.packets import Query
    from meshctl.agent.dns.resolvers import Resolver, Resolvers
    from meshctl.agent.dns.settings import DnsSettings

_log = logging.getLogger(__name__)

_ROUNDS: Final = 2
"""Times that each resolver is asked by datagram, as one can be lost."""
_STRAYS: Final = 16
"""Datagrams that do not fit the question, after which a socket is given up."""
_FAILURES: Final = frozenset({packets.SERVFAIL, packets.NOTIMP, packets.REFUSED})
"""What a resolver says that another may do better."""

_Key = tuple[bytes, int, int | None, bool, bool]


class Forwarding:
    """Asks the host's resolvers what clients ask, as the clients ask it."""

    def __init__(self, settings: DnsSettings, resolvers: Resolvers) -> None:
        """Ask those that `resolvers` names, in the times that the settings give."""
        self._settings = settings
        self._resolvers = resolvers
        self._under_way: dict[_Key, asyncio.Task[bytes | None]] = {}

    async def ask(self, query: Query, *, stream: bool) -> bytes | None:
        """A resolver's whole answer to `query`, under its id; None when none gave one in time.

        Args:
            query: what a client asks.
            stream: ask over TCP, as the client did; else by datagrams.
        """
        key = (query.question, query.flags, query.size, query.dnssec, stream)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask(query, stream=stream))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        answer = await asyncio.shield(task)
        return None if answer is None else packets.with_id(answer, query.id)

    @property
    def tasks(self) -> tuple[asyncio.Task[bytes | None], ...]:
        """What is under way."""
        return tuple(self._under_way.values())

    async def _ask(self, query: Query, *, stream: bool) -> bytes | None:
        """The best answer in time: the first good one, or else the first of a resolver that failed."""
        exchange = _over_stream if stream else _by_datagram
        pause = 0.0 if self._settings.parallel else self._resolvers.pause
        once = stream or self._settings.parallel
        waiting = deque(self._resolvers.in_order() * (1 if once else _ROUNDS))
        running: dict[asyncio.Future[bytes], Resolver] = {}
        poor: bytes | None = None
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.timeout
        try:
            while (waiting or running) and (left := end - loop.time()) > 0:
                asked = waiting.popleft() if waiting else None
                if asked:
                    exchanging = asyncio.ensure_future(exchange(query, asked))
                    exchanging.add_done_callback(_heard)
                    running[exchanging] = asked
                wait = min(pause, left) if waiting else left
                done, _ = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if asked and pause and not done:
                    self._resolvers.failed(asked)
                for each in done:
                    one = running.pop(each)
                    answer = self._taken(each, one)
                    if answer and packets.rcode_of(answer) not in _FAILURES:
                        return answer
                    poor = poor or answer
                    waiting = deque(other for other in waiting if other != one)
            return poor
        finally:
            for each in running:
                each.cancel()

    def _taken(self, exchange: asyncio.Future[bytes], one: Resolver) -> bytes | None:
        """The answer that an exchange brought, if it did."""
        try:
            answer = exchange.result()
        except OSError as error:
            _log.debug("resolver %s: %s", one.address[0], error)
            self._resolvers.failed(one)
            return None
        self._resolvers.answered(one)
        return answer


async def _by_datagram(query: Query, one: Resolver) -> bytes:
    """A resolver's answer. Raises OSError: it has none."""
    loop = asyncio.get_running_loop()
    ident = _ident()
    with socket.socket(one.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        opened.connect(one.address)
        opened.send(packets.question_for(query, ident))
        for _ in range(_STRAYS):
            data = await loop.sock_recv(opened, packets.MOST)
            if packets.answers(data, query, ident):
                return data
    raise OSError("its answers do not fit the question")


async def _over_stream(query: Query, one: Resolver) -> bytes:
    """A resolver's answer over TCP. Raises OSError: it has none."""
    loop = asyncio.get_running_loop()
    ident = _ident()
    asked = packets.question_for(query, ident)
    with socket.socket(one.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as opened:
        await loop.sock_connect(opened, one.address)
        await loop.sock_sendall(opened, len(asked).to_bytes(2, "big") + asked)
        size = int.from_bytes(await _exactly(opened, 2), "big")
        data = await _exactly(opened, size)
    if not packets.answers(data, query, ident):
        raise OSError("its answer does not fit the question")
    return data


async def _exactly(opened: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    parts = []
    while count:
        part = await loop.sock_recv(opened, count)
        if not part:
            raise ConnectionError("the connection ended within an answer")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _heard(exchange: asyncio.Future[bytes]) -> None:
    """Take note of how an exchange went that nobody waits for any more, lest asyncio logs it as forgotten."""
    if not exchange.cancelled():
        exchange.exception()


def _ident() -> int:
    return int.from_bytes(os.urandom(2), "big")
