"""DNS over TCP: many questions on one connection, answered as their answers come. Source: RFC 7766."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from meshctl.agent.dns.answering import Answering
    from meshctl.agent.dns.counters import Counters
    from meshctl.agent.dns.packets import Query
    from meshctl.agent.dns.settings import DnsSettings

_LONGEST: Final = 4096
"""Bytes of a question that are read; who sends more is no client."""
_PIPELINED: Final = 32
"""Questions of one connection that others are asked about at once; further ones wait in the kernel."""


class Connections:
    """Clients that ask over TCP.

    Attributes:
        tasks: one for each client that is connected.
    """

    def __init__(self, settings: DnsSettings, answering: Answering, counters: Counters) -> None:
        """Take as many clients as the settings allow."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._settings = settings
        self._answering = answering
        self._counters = counters

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client until it goes, or asks nothing for too long."""
        task = asyncio.current_task()
        if task is None or len(self.tasks) >= self._settings.connections:
            self._counters.refused += 1
            writer.close()
            return
        self.tasks.add(task)
        client = _Client(reader, writer, self._settings.idle)
        try:
            await self._converse(client)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass  # it has gone, or does not take its answers
        except asyncio.CancelledError:
            pass  # the server ends; asyncio before 3.12 takes a cancelled task here for a fault
        finally:
            client.close()
            self.tasks.discard(task)

    async def _converse(self, client: _Client) -> None:
        while data := await client.message():
            self._counters.tcp += 1
            answer = self._answering.first(data, stream=True)
            if answer is None:
                return
            if isinstance(answer, bytes):
                await client.send(answer)
            else:
                await client.later(self._later(client, answer))
        await client.all_sent()

    async def _later(self, client: _Client, query: Query) -> None:
        await client.send(await self._answering.later(query, stream=True))


class _Client:
    """One connection; each wait for the client itself ends after `idle` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float) -> None:
        self._reader = reader
        self._writer = writer
        self._idle = idle
        self._one_writes = asyncio.Lock()
        self._pending: set[asyncio.Task[None]] = set()

    async def message(self) -> bytes:
        """The next message; empty when there are no more, or what comes is none."""
        try:
            return await asyncio.wait_for(self._message(), self._idle)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError):
            return b""

    async def _message(self) -> bytes:
        size = int.from_bytes(await self._reader.readexactly(2), "big")
        return await self._reader.readexactly(size) if size <= _LONGEST else b""

    async def send(self, answer: bytes) -> None:
        async with self._one_writes:
            self._writer.write(len(answer).to_bytes(2, "big") + answer)
            await asyncio.wait_for(self._writer.drain(), self._idle)

    async def later(self, answering: Coroutine[Any, Any, None]) -> None:
        """Let an answer come while further questions are read, unless too many do."""
        task = asyncio.ensure_future(answering)
        self._pending.add(task)
        task.add_done_callback(self._done)
        if len(self._pending) >= _PIPELINED:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)

    async def all_sent(self) -> None:
        """Wait for the answers that are still to come: a client may have closed its own side only."""
        if self._pending:
            await asyncio.wait(self._pending)

    def close(self) -> None:
        for task in self._pending:
            task.cancel()
        self._writer.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and task.exception():
            self._writer.close()  # it does not take its answers
