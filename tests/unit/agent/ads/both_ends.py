"""An istiod and an Envoy that say what a test has them say, over real gRPC on loopback and a Unix socket."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from meshctl.agent.ads.proxy import Ads
from meshctl.agent.ads.settings import AdsSettings
from meshctl.agent.ads.state import CLUSTERS, LISTENERS
from meshctl.agent.ads.variants import DELTA, SERVICE, VARIANTS, Variant
from meshctl.agent.identity import keys
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.latest import Latest
from tests.issuing import Ca

ISTIOD = "istiod.istio-system.svc"
SOON = 10.0
"""Seconds in which anything has to happen."""
REQUESTS = {
    "delta": discovery_pb2.DeltaDiscoveryRequest,
    "sotw": discovery_pb2.DiscoveryRequest,
}
RESPONSES = {
    "delta": discovery_pb2.DeltaDiscoveryResponse,
    "sotw": discovery_pb2.DiscoveryResponse,
}


@cache
def authority(name: str) -> Ca:
    return Ca(name, begins=time.time() - 3600)


@cache
def identity(name: str = "vm") -> Credentials:
    """A workload's, valid for an hour."""
    key = keys.new_key("ecdsa-p256")
    spiffe = f"spiffe://cluster.local/ns/default/sa/{name}"
    now = time.time()
    chain = authority("mesh").sign(keys.signing_request(key, spiffe), now - 60, now + 3600, spiffe)
    return Credentials(key, chain, authority("mesh").root, now - 60, now + 3600, (spiffe,))


class Istiod:
    """Takes streams and requests; tests say what it sends.

    Attributes:
        streams: all that were begun.
        refuse: ends a stream as soon as it begins, with this status.
    """

    def __init__(self) -> None:
        self.streams: list[IstiodStream] = []
        self.refuse: grpc.StatusCode | None = None
        self.port = 0
        self._begun = asyncio.Event()
        self._server: Any = None

    async def begin(self, port: int = 0) -> None:
        now = time.time()
        pair = authority("mesh").server(ISTIOD, now - 60, now + 3600)
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods = {each.method: self._handler(each) for each in VARIANTS}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        proof = grpc.ssl_server_credentials([pair], authority("mesh").root, True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", proof)
        await self._server.start()

    async def end(self) -> None:
        await self._server.stop(0)

    async def stream(self, at: int = 0) -> IstiodStream:
        """One of the streams, as soon as it has begun."""
        while len(self.streams) <= at:
            self._begun.clear()
            await asyncio.wait_for(self._begun.wait(), SOON)
        return self.streams[at]

    def _handler(self, variant: Variant) -> Any:
        async def serve(_: Any, context: Any) -> None:
            if self.refuse:
                context.set_code(self.refuse)
                context.set_details("refused by the test")
                return
            stream = IstiodStream(variant, context)
            self.streams.append(stream)
            self._begun.set()
            await stream.over.wait()

        return grpc.stream_stream_rpc_method_handler(serve)


class IstiodStream:
    """One of its streams.

    Attributes:
        metadata: that came with it.
        names: the identities that its peer has shown.
        over: set to end it.
    """

    def __init__(self, variant: Variant, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.names = tuple(context.peer_identities() or ())
        self.over = asyncio.Event()
        self._variant, self._context = variant, context

    async def heard(self) -> Any:
        """The next request."""
        raw = await asyncio.wait_for(self._context.read(), SOON)
        assert raw is not grpc.aio.EOF
        return REQUESTS[self._variant.name].FromString(raw)

    async def heard_types(self, count: int) -> list[str]:
        return [(await self.heard()).type_url for _ in range(count)]

    async def say(
        self, type_url: str, *resources: Any, nonce: str = "n1", version: str = "v1", raw: bool = False
    ) -> None:
        """Send a response with messages, or with serialized ones as they are (`raw`)."""
        response = RESPONSES[self._variant.name](type_url=type_url, nonce=nonce)
        if self._variant is DELTA:
            response.system_version_info = version
        else:
            response.version_info = version
        for at, each in enumerate(resources):
            packed = any_pb2.Any(type_url=type_url, value=each if raw else each.SerializeToString())
            if self._variant is DELTA:
                response.resources.add(name=str(at), resource=packed)
            else:
                response.resources.append(packed)
        await self.say_bytes(response.SerializeToString())

    async def say_bytes(self, raw: bytes) -> None:
        await self._context.write(raw)


class Envoy:
    """One stream of an Envoy's."""

    def __init__(self, socket: Path, variant: Variant = DELTA) -> None:
        self._variant = variant
        self._channel = grpc.aio.insecure_channel(
            f"unix:{socket}",
            options=(("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)),
        )
        self.call = self._channel.stream_stream(variant.path)(wait_for_ready=True)

    async def ask(self, type_url: str, *, types: Iterable[str] = (), **fields: Any) -> None:
        """Send a request; `types` are those of the extensions that it has."""
        request = REQUESTS[self._variant.name](type_url=type_url, **fields)
        if types:
            request.node.CopyFrom(node(types))
        await self.say_bytes(request.SerializeToString())

    async def say_bytes(self, raw: bytes) -> None:
        await asyncio.wait_for(self.call.write(raw), SOON)

    async def answer(self, response: Any, error: str = "") -> None:
        """Take a response, or refuse it."""
        request = REQUESTS[self._variant.name](type_url=response.type_url, response_nonce=response.nonce)
        if self._variant is not DELTA:
            request.version_info = "" if error else response.version_info
        if error:
            request.error_detail.code, request.error_detail.message = 13, error
        await self.say_bytes(request.SerializeToString())

    async def told(self) -> Any:
        """The next response."""
        return RESPONSES[self._variant.name].FromString(await self.told_bytes())

    async def told_bytes(self) -> bytes:
        raw: Any = await asyncio.wait_for(self.call.read(), SOON)
        assert raw is not grpc.aio.EOF, await self.call.details()
        return raw  # type: ignore[no-any-return]

    async def ended(self) -> str:
        """Why the agent has ended the stream."""
        return await asyncio.wait_for(self.call.details(), SOON)

    async def close(self) -> None:
        self.call.cancel()
        await self._channel.close()


def node(types: Iterable[str], objects: Iterable[str] = ()) -> base_pb2.Node:
    made = base_pb2.Node(id="sidecar~1.1.1.1~vm.default~default.svc.cluster.local")
    for each in types:
        made.extensions.add(name=each, category="envoy.filters", type_urls=[each])
    for each in objects:
        made.extensions.add(name=each, category="envoy.filter_state.object")
    return made


@dataclass
class World:
    """An agent's ADS that runs, an istiod, and a folder for sockets."""

    ads: Ads
    istiod: Istiod
    latest: Latest[Credentials | None]
    socket: Path
    trusted: list[list[bytes]]

    async def met(self, variant: Variant = DELTA, *, types: Iterable[str] = ("x",)) -> tuple[Envoy, Any]:
        """An Envoy and the stream of istiod's that answers it; it has asked for clusters and listeners."""
        at = len(self.istiod.streams)
        envoy = Envoy(self.socket, variant)
        await envoy.ask(CLUSTERS, types=types)
        stream = await self.istiod.stream(at)
        assert (await stream.heard()).type_url == CLUSTERS
        await envoy.ask(LISTENERS)
        assert (await stream.heard()).type_url == LISTENERS
        return envoy, stream

    async def until(self, wanted: Callable[[], Any]) -> None:
        for _ in range(int(SOON / 0.01)):
            if wanted():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self.ads.state)


@asynccontextmanager
async def world(
    *, servers: tuple[str, ...] = (), known: Credentials | None = None, **settings: Any
) -> AsyncIterator[World]:
    """A running world; `known` is the agent's identity at first."""
    folder = Path(tempfile.mkdtemp(prefix="ads"))  # pytest's own paths are too long for a socket
    istiod = Istiod()
    await istiod.begin()
    latest: Latest[Credentials | None] = Latest(known or identity())
    terms = replace(
        AdsSettings(servers=servers or (f"127.0.0.1:{istiod.port}",), server_name=ISTIOD, cluster="c1"),
        **{"first_wait": 0.02, "longest_wait": 0.05, **settings},
    )
    trusted: list[list[bytes]] = []
    ads = Ads(terms, latest, socket=folder / "xds.sock", trust=lambda roots: trusted.append(list(roots)))
    running = asyncio.ensure_future(ads.run())
    try:
        yield World(ads, istiod, latest, folder / "xds.sock", trusted)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await istiod.end()
        shutil.rmtree(folder)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Play it, and see that nothing goes on after it."""

    async def whole() -> None:
        await asyncio.wait_for(scenario, 60)
        for _ in range(100):
            if not (left := _left()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(left)

    asyncio.run(whole())


def _left() -> list[str]:
    """Tasks that go on, but for gRPC's own."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return [str(each) for each in tasks if "poll" not in str(each)]
