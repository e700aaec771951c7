"""Nothing that comes from istiod or from Envoy ends the agent, or has it wait for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.agent.ads.extensions import ALPN, METADATA_EXCHANGE, REMOVABLE, Extensions
from meshctl.agent.ads.filtering import Filtering
from meshctl.agent.ads.journal import Journal
from meshctl.agent.ads.state import CLUSTERS, LISTENERS, NAMES
from meshctl.agent.ads.stream import Stream
from meshctl.agent.ads.variants import VARIANTS, Variant
from meshctl.agent.latest import Latest
from meshctl.agent.messages import NameTable
from tests.unit.agent.ads.both_ends import REQUESTS, RESPONSES, identity, node
from tests.unit.agent.ads.test_filtering import (
    CAN_OFFER,
    ECDS,
    HAS,
    HCM,
    HTTP_WASM,
    ROUTES,
    extension,
    listener,
    manager,
    packed,
    plugin,
    routes,
    wrapped,
)
from tests.unit.agent.ads.test_filtering import http_wasm_pb2 as http_wasm

TYPES = (CLUSTERS, LISTENERS, ROUTES, ECDS, NAMES, "type.googleapis.com/a.B", "")
SEEDS = [
    each.SerializeToString()
    for each in (
        listener(packed(HCM, manager(packed(ALPN), wrapped(METADATA_EXCHANGE)))),
        routes("stats.PluginConfig"),
        extension(HTTP_WASM, plugin(http_wasm.Wasm, remote=True)),
    )
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Configuration as istiod sends it, with some bytes changed, taken out or put in."""
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(raw)


RESOURCES = st.one_of(st.binary(max_size=200), mutated())


@settings(max_examples=400, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
@given(type_url=st.sampled_from(TYPES), resource=RESOURCES)
def test_a_resource_is_given_back_or_left_out_whatever_it_holds(type_url: str, resource: bytes) -> None:
    filtering = Filtering(Extensions(HAS, CAN_OFFER), REMOVABLE)
    fitted = filtering.fitted(type_url, resource)
    assert fitted is None or isinstance(fitted, bytes)
    assert fitted is not None or sum(filtering.removed.values()) == 1


@st.composite
def responses(draw: st.DrawFn, variant: Variant) -> bytes:
    if draw(st.booleans()):
        return draw(st.binary(max_size=100))
    response = RESPONSES[variant.name](type_url=draw(st.sampled_from(TYPES)), nonce=draw(st.text(max_size=5)))
    for each in draw(st.lists(RESOURCES, max_size=3)):
        added = response.resources.add()
        holder = added.resource if variant.name == "delta" else added
        holder.type_url, holder.value = draw(st.sampled_from((response.type_url, *TYPES))), each
    return response.SerializeToString()  # type: ignore[no-any-return]


@st.composite
def requests(draw: st.DrawFn, variant: Variant) -> bytes:
    if draw(st.booleans()):
        return draw(st.binary(max_size=100))
    request = REQUESTS[variant.name](
        type_url=draw(st.sampled_from(TYPES)), response_nonce=draw(st.text(max_size=5))
    )
    if draw(st.booleans()):
        request.error_detail.message = draw(st.text(max_size=10))
    if draw(st.booleans()):
        request.node.CopyFrom(node(HAS, CAN_OFFER))
    return request.SerializeToString()  # type: ignore[no-any-return]


class Said:
    """An Envoy, or a stream of istiod's, that says what it has to and then nothing more."""

    server = "1.1.1.1:15012"
    credentials = identity()

    def __init__(self, raws: Sequence[bytes], end: Any) -> None:
        self.heard: list[bytes] = []
        self._raws, self._end = iter(raws), end

    async def read(self) -> Any:
        await asyncio.sleep(0)
        return next(self._raws, self._end)

    async def write(self, raw: bytes) -> bool:
        self.heard.append(raw)
        return True

    async def why(self) -> str:
        return "it is over"

    async def close(self) -> None: ...

    def expires_in(self, _: float) -> float:
        return 3600.0


class Once:
    """Gives one stream of istiod's, and then none."""

    def __init__(self, link: Said) -> None:
        self._link: Said | None = link

    async def connect(self, _: str) -> Said:
        link, self._link = self._link, None
        if link is None:
            await asyncio.sleep(0.01)
            raise NoMoreError
        return link

    def ended(self, *_: Any, **__: Any) -> None: ...


class NoMoreError(Exception):
    pass


@settings(max_examples=200, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
@given(data=st.data(), variant=st.sampled_from(VARIANTS))
def test_a_stream_comes_to_its_end_whatever_is_said(data: st.DataObject, variant: Variant) -> None:
    from_istiod = data.draw(st.lists(responses(variant), max_size=6))
    from_envoy = data.draw(st.lists(requests(variant), max_size=6))

    async def scenario() -> None:
        envoy = Said(from_envoy, grpc.aio.EOF)
        stream = Stream(
            variant,
            Once(Said(from_istiod, None)),  # type: ignore[arg-type]
            Journal(),
            Latest(identity()),
            own={NAMES: lambda raw: NameTable.FromString(raw) and None},
            removable=REMOVABLE,
            health=lambda: "ill",
        )
        with suppress(NoMoreError):
            assert await asyncio.wait_for(stream.serve(envoy), 10)
        for each in envoy.heard:
            RESPONSES[variant.name].FromString(each)

    asyncio.run(scenario())


def test_the_fuzzed_messages_are_those_of_the_protocol() -> None:
    assert discovery_pb2.DeltaDiscoveryRequest is REQUESTS["delta"]
