"""Health by the health protocol of gRPC. Source: grpc/health/v1/health.proto."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Final

import grpc

from meshctl.agent.health.by_http import USER_AGENT
from meshctl.agent.health.settings import SOURCES, Grpc
from meshctl.agent.http import PIECE, Tcp, linked, within
from meshctl.agent.messages import HealthCheckRequest, HealthCheckResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_METHOD: Final = "/grpc.health.v1.Health/Check"
_NUMBERS: Final = count()
"""Of relays: probes may go on side by side."""
_SERVING: Final = 1
_STATES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def failure(check: Grpc, host: str, timeout: float, relay: Path) -> str:
    """Why it is not healthy; empty when it serves.

    Raises:
        OSError: it cannot be reached.
        TimeoutError: there is no answer in time.
    """
    to = Tcp(host, check.port, sources=SOURCES)
    return await within(_asked(check, to, relay, timeout), timeout)


async def _asked(check: Grpc, to: Tcp, relay: Path, timeout: float) -> str:
    options = (
        ("grpc.default_authority", str(to)),
        ("grpc.primary_user_agent", USER_AGENT),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    )
    async with (
        _relayed(to, relay) as path,
        grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel,
    ):
        call = channel.unary_unary(
            _METHOD,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            answer = await call(HealthCheckRequest(service=check.service), timeout=timeout)
        except grpc.aio.AioRpcError as refused:
            return _told(refused)
    if answer.status == _SERVING:
        return ""
    return f"the service is {_STATES.get(answer.status, answer.status)}"


def _told(refused: grpc.aio.AioRpcError) -> str:
    if refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise TimeoutError from refused
    if refused.code() is grpc.StatusCode.UNIMPLEMENTED:
        return "the server does not know grpc.health.v1.Health"
    return f"gRPC status {refused.code().name}: {refused.details()}"


@asynccontextmanager
async def _relayed(to: Tcp, relay: Path) -> AsyncIterator[Path]:
    """A Unix socket that leads to a TCP server, because gRPC cannot be told which address to call from.

    Raises:
        OSError: the server cannot be reached.
    """
    path = relay.with_name(f"{relay.name}.{next(_NUMBERS)}")
    far = await asyncio.open_connection(sock=await linked(to))
    ends = [far[1]]
    joints: list[asyncio.Future[None]] = []

    def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        joints.append(asyncio.ensure_future(_joined((reader, writer), far)))

    server: asyncio.Server | None = None
    try:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(opened, str(path))
        path.chmod(0o600)
        yield path
    finally:
        if server is not None:
            server.close()
        path.unlink(missing_ok=True)
        for joint in joints:
            joint.cancel()
        if joints:
            await asyncio.wait(joints)
        for end in ends:
            end.transport.abort()


async def _joined(near: _Streams, far: _Streams) -> None:
    """Pass on what comes from each, until one of them ends."""
    ways = [asyncio.ensure_future(_passed(near[0], far[1])), asyncio.ensure_future(_passed(far[0], near[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        near[1].transport.abort()


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # an end like any other
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
