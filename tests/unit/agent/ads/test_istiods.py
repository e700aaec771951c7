"""istiods come and go, are slow or broken; Envoy serves on and learns all in the end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from meshctl.agent.ads.state import CLUSTERS, LISTENERS
from meshctl.agent.ads.variants import VARIANTS, Variant
from tests.unit.agent.ads.both_ends import Envoy, authority, identity, run, world

ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
EVERY = pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)


@EVERY
def test_envoy_begins_anew_when_istiod_goes_and_says_all_to_the_next_one(variant: Variant) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met(variant)
            await istiod.say(CLUSTERS)
            await envoy.told()
            assert w.ads.connected.value
            istiod.over.set()
            assert "it has ended the stream" in await envoy.ended()
            assert not w.ads.connected.value
            await envoy.close()
            envoy, again = await w.met(variant)
            assert again is not istiod
            await again.say(CLUSTERS, nonce="other")
            assert (await envoy.told()).nonce == "other"
            assert w.ads.state.connections == 2
            await envoy.close()

    run(scenario())


@EVERY
def test_envoys_stream_stays_open_while_no_istiod_answers_and_all_is_said_again(variant: Variant) -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            envoy, first = await w.met(variant)
            first.over.set()  # before it has answered anything
            second = await w.istiod.stream(1)
            assert await second.heard_types(2) == [CLUSTERS, LISTENERS]
            await second.say(LISTENERS)
            assert (await envoy.told()).type_url == LISTENERS
            await envoy.close()

    run(scenario())


def test_an_istiod_that_comes_late_is_found() -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            port = w.istiod.port
            await w.istiod.end()
            envoy = Envoy(w.socket)
            await envoy.ask(CLUSTERS, types=["x"])
            await w.until(lambda: "UNAVAILABLE" in w.ads.state.error)
            await w.istiod.begin(port)
            stream = await w.istiod.stream()
            await stream.heard()
            await stream.say(CLUSTERS)
            assert (await envoy.told()).type_url == CLUSTERS
            assert w.ads.state.error == ""
            await envoy.close()

    run(scenario())


def test_another_address_is_tried_when_one_does_not_answer() -> None:
    async def scenario() -> None:
        async with world() as other, world(servers=("127.0.0.1:1", f"127.0.0.1:{other.istiod.port}")) as w:
            envoy = Envoy(w.socket)
            await envoy.ask(CLUSTERS, types=["x"])
            stream = await other.istiod.stream()
            await stream.heard()
            await stream.say(CLUSTERS)
            await envoy.told()
            assert w.ads.state.server == f"127.0.0.1:{other.istiod.port}"
            await envoy.close()

    run(scenario())


def test_an_istiod_that_does_not_accept_us_is_asked_again_and_the_reason_is_told() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.istiod.refuse = grpc.StatusCode.UNAUTHENTICATED
            envoy = Envoy(w.socket)
            await envoy.ask(CLUSTERS, types=["x"])
            await w.until(lambda: "UNAUTHENTICATED: refused by the test" in w.ads.state.error)
            w.istiod.refuse = None
            stream = await w.istiod.stream()
            assert await stream.heard_types(1) == [CLUSTERS]
            await envoy.close()

    run(scenario())


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"roots": authority("other").root}, "CERTIFICATE_VERIFY_FAILED"),
        ({"key": b"nonsense"}, ""),
        ({"chain": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, ""),
    ],
)
def test_credentials_that_do_not_work_are_no_end_and_new_ones_are_used_at_once(
    broken: dict[str, bytes], why: str
) -> None:
    async def scenario() -> None:
        async with world(known=replace(identity(), **broken), longest_wait=60.0, first_wait=60.0) as w:
            envoy = Envoy(w.socket)
            await envoy.ask(CLUSTERS, types=["x"])
            await w.until(lambda: w.ads.state.error)
            assert why in w.ads.state.error
            w.latest.set(identity())
            await (await w.istiod.stream()).heard()
            await envoy.close()

    run(scenario())


def test_nothing_is_asked_before_there_is_a_certificate() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.latest.set(None)
            envoy = Envoy(w.socket)
            await envoy.ask(CLUSTERS, types=["x"])
            await asyncio.sleep(0.05)
            assert w.istiod.streams == []
            assert w.ads.state.error == "no certificate yet"
            w.latest.set(identity())
            await (await w.istiod.stream()).heard()
            await envoy.close()

    run(scenario())


def test_a_new_certificate_ends_a_stream_only_when_the_old_one_nears_its_end() -> None:
    async def scenario() -> None:
        old = identity()
        short = replace(old, begins=old.begins - 100, ends=time.time() + 1.0)
        async with world(known=short) as w:
            envoy, istiod = await w.met()
            await istiod.say(CLUSTERS)
            await envoy.told()
            await asyncio.sleep(0.05)
            assert not envoy.call.done()  # there is no other one yet
            w.latest.set(identity("other"))
            assert "the certificate was renewed" in await envoy.ended()
            await envoy.close()
            envoy, istiod = await w.met()
            assert istiod.names == (b"spiffe://cluster.local/ns/default/sa/other",)
            await istiod.say(CLUSTERS)
            await envoy.told()
            w.latest.set(identity("third"))
            await asyncio.sleep(0.05)
            assert not envoy.call.done()
            await envoy.close()

    run(scenario())


def test_a_second_envoy_takes_the_place_of_the_first() -> None:
    async def scenario() -> None:
        async with world() as w:
            first, _ = await w.met()
            second, istiod = await w.met()
            assert "another" in await first.ended()
            await istiod.say(CLUSTERS)
            await second.told()
            assert w.ads.state.envoy
            await second.close()
            await w.until(lambda: not w.ads.state.envoy)
            await first.close()

    run(scenario())


def test_what_envoy_says_never_waits_for_an_istiod_that_does_not_listen() -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met()
            names = [f"outbound|80||service-{at}.namespace.svc.cluster.local" for at in range(1000)]
            for _ in range(100):  # 5 MB, more than any window of HTTP/2
                await envoy.ask(ENDPOINTS, resource_names_subscribe=names)
            for at in range(50):
                await istiod.say(CLUSTERS, b"\x0a\x01a" * 10_000, raw=True, nonce=str(at))
            for at in range(50):
                assert (await envoy.told()).nonce == str(at)
            await istiod.heard_types(102)
            await envoy.close()

    run(scenario())


def test_an_envoy_that_does_not_read_holds_istiod_back_and_not_the_agents_memory() -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met()
            sent = 0

            async def push() -> None:
                nonlocal sent
                while True:
                    await istiod.say_bytes(_large(str(sent)))
                    sent += 1

            pushing = asyncio.ensure_future(push())
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 40  # of a megabyte each
            for at in range(sent):
                assert (await envoy.told()).nonce == str(at)
            pushing.cancel()
            await asyncio.wait([pushing])
            await envoy.close()

    def _large(nonce: str) -> bytes:
        response = discovery_pb2.DeltaDiscoveryResponse(type_url=LISTENERS, nonce=nonce)
        response.resources.add(name="x" * 1_000_000)
        return response.SerializeToString()

    run(scenario())


def test_an_istiod_that_takes_nothing_at_all_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("meshctl.agent.ads.stream.LONGEST_QUEUE", 1_000_000)
        async with world() as w:
            envoy, _ = await w.met()
            with suppress(grpc.RpcError, asyncio.InvalidStateError):
                while not envoy.call.done():
                    await envoy.ask(ENDPOINTS, resource_names_subscribe=["x" * 100_000])
            await w.until(lambda: not w.ads.state.envoy)
            assert "istiod takes no requests" in caplog.text
            await envoy.close()

    caplog.set_level("INFO")
    run(scenario())


def test_an_istiod_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("meshctl.agent.ads.stream.PATIENCE", 0.1)
        async with world() as w:
            envoy, _ = await w.met()
            await w.istiod.stream(1)
            assert "no answer within" in w.ads.state.error
            await envoy.close()

    run(scenario())


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x22\x02\xff\xfe"])
def test_an_istiod_that_sends_what_is_no_response_is_left(raw: bytes) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, first = await w.met()
            await first.say_bytes(raw)
            second = await w.istiod.stream(1)
            await second.heard_types(4)
            await second.say(CLUSTERS)
            await envoy.told()
            await second.say_bytes(raw)
            assert "no response" in await envoy.ended()
            await envoy.close()

    run(scenario())


def test_an_envoy_that_sends_what_is_no_request_has_its_stream_ended() -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy = Envoy(w.socket)
            await envoy.say_bytes(b"\xff\xff")
            assert "no request" in await envoy.ended()
            await envoy.close()
            envoy, _ = await w.met()
            await envoy.close()

    run(scenario())
