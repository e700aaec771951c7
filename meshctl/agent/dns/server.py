"""The ports where the agent answers DNS: UDP and TCP, on this host's own addresses alone."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.dns.answering import Answering
from meshctl.agent.dns.connections import Connections
from meshctl.agent.dns.counters import Counters
from meshctl.agent.dns.forwarding import Forwarding
from meshctl.agent.dns.resolvers import Resolvers
from meshctl.agent.dns.table import read_table
from meshctl.agent.latest import Latest
from meshctl.errors import FailedError

if TYPE_CHECKING:
    from meshctl.agent.dns.packets import Query
    from meshctl.agent.dns.settings import DnsSettings
    from meshctl.agent.dns.table import Table

_log = logging.getLogger(__name__)

_HOSTS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_LONGEST: Final = 4096
"""Bytes of a question that are read."""
_AT_ONCE: Final = 64
"""Datagrams that are read before others have their turn."""
_BUFFER: Final = 1 << 20
"""Bytes of questions that wait in the kernel, as far as it allows so many."""


class Dns:
    """The agent's DNS server.

    Attributes:
        counters: what it has done.
        listening: whether its ports are open.
    """

    def __init__(self, settings: DnsSettings, names: Latest[bytes | None]) -> None:
        """Answer from `names`, istiod's NameTable as it came, None before the first."""
        self.counters = Counters()
        self.listening = False
        self._settings = settings
        self._names = names
        self._table: Latest[Table | None] = Latest(None)
        resolvers = Resolvers(settings)
        self._forwarding = Forwarding(settings, resolvers)
        self._answering = Answering(settings, self._table, resolvers, self._forwarding, self.counters)
        self._connections = Connections(settings, self._answering, self.counters)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def synced(self) -> bool:
        """Whether istiod has told the names of the mesh, or there is no need for them."""
        return self._table.value is not None or not self._settings.enabled

    @property
    def names(self) -> int:
        """How many names of the mesh are known."""
        return len(self._table.value or ())

    def table(self) -> dict[str, list[str]]:
        """All names of the mesh that are answered, with their addresses."""
        return {} if self._table.value is None else self._table.value.data()

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            FailedError: the port is in use, or cannot be opened.
        """
        if not self._settings.enabled:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        datagrams, listeners = _opened(self._settings.port)
        servers: list[asyncio.Server] = []
        self._answering.wait_from(loop.time())
        try:
            for each in datagrams:
                loop.add_reader(each, self._read, each)
            servers += [await asyncio.start_server(self._connections.serve, sock=each) for each in listeners]
            self.listening = True
            await self._follow()
        finally:
            self.listening = False
            for each in datagrams:
                loop.remove_reader(each)
            for server in servers:
                server.close()
            for each in (*datagrams, *listeners):
                each.close()
            await self._end()

    async def _end(self) -> None:
        """Give up what is not answered yet."""
        tasks = (*self._tasks, *self._connections.tasks, *self._forwarding.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        """Take over each name table that istiod sends."""
        async for message in self._names.changes():
            if message is None:
                continue
            try:
                self._table.set(await asyncio.to_thread(read_table, message, self._settings))
                self.counters.tables += 1
            except Exception as error:  # noqa: BLE001 - all DNS of the host would go with it
                self.counters.bad_tables += 1
                _log.warning("names of the mesh stay as they were: %s: %s", type(error).__name__, error)

    def _read(self, opened: socket.socket) -> None:
        """Answer the datagrams that have come."""
        for _ in range(_AT_ONCE):
            try:
                data, client = opened.recvfrom(_LONGEST)
            except OSError:  # there are no more
                return
            self.counters.udp += 1
            answer = self._answering.first(data, stream=False)
            if isinstance(answer, bytes):
                _send(opened, answer, client)
            elif answer is not None:
                task = asyncio.ensure_future(self._later(opened, answer, client))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _later(self, opened: socket.socket, query: Query, client: Any) -> None:
        _send(opened, await self._answering.later(query, stream=False), client)


def _send(opened: socket.socket, answer: bytes, client: Any) -> None:
    try:
        opened.sendto(answer, client)
    except OSError as error:  # the client asks again
        _log.debug("an answer could not be sent: %s", error)


def _opened(port: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Sockets for datagrams and for connections, of each family that the host has.

    Raises:
        FailedError: the port is in use, or there is no family at all.
    """
    datagrams: list[socket.socket] = []
    listeners: list[socket.socket] = []
    try:
        for family, host in _HOSTS:
            for kind, opened in ((socket.SOCK_DGRAM, datagrams), (socket.SOCK_STREAM, listeners)):
                opened += _bound(family, kind, host, port)
    except FailedError:
        for each in (*datagrams, *listeners):
            each.close()
        raise
    if not listeners:
        raise FailedError("dns-loopback", "the host has no loopback address to answer DNS on")
    return datagrams, listeners


def _bound(family: int, kind: int, host: str, port: int) -> list[socket.socket]:
    """A socket that listens; none where the host does without the family."""
    try:
        opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError:
        return []
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        opened.bind((host, port))
        if kind == socket.SOCK_STREAM:
            opened.listen()
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return []
        reason = error.strerror or str(error)
        raise FailedError(
            "dns-port",
            f"port {port} of {host} cannot be opened for DNS: {reason[:1].lower()}{reason[1:]}",
            hint=f"see who has it with `ss -lntup sport = :{port}`, or set another `dns.port`",
        ) from error
    return [opened]
