"""Envoy is configured by istiod, and what is the agent's stays with it."""

from __future__ import annotations

import asyncio
import stat
import time
from contextlib import suppress
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2

from meshctl.agent.ads.proxy import Ads
from meshctl.agent.ads.settings import AdsSettings
from meshctl.agent.ads.state import CLUSTERS, HEALTH, LISTENERS, NAMES, PROXY_CONFIG
from meshctl.agent.ads.variants import DELTA, STATE_OF_THE_WORLD, VARIANTS, Variant
from meshctl.agent.latest import Latest
from meshctl.agent.messages import NameTable, ProxyConfig
from meshctl.errors import ConfigError
from tests.unit.agent.ads.both_ends import SOON, Envoy, authority, identity, run, world

ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
EXCHANGE = "envoy.tcp.metadataexchange.config.MetadataExchange"
EVERY = pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)


@EVERY
def test_what_envoy_and_istiod_say_reaches_the_other_unchanged(variant: Variant) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met(variant)
            sent = cluster_pb2.Cluster(name="a")
            await istiod.say(CLUSTERS, sent)
            response = await envoy.told()
            assert (response.type_url, response.nonce, len(response.resources)) == (CLUSTERS, "n1", 1)
            await envoy.answer(response)
            await istiod.heard_types(2)  # the agent's own
            answer = await istiod.heard()
            assert (answer.type_url, answer.response_nonce) == (CLUSTERS, "n1")
            assert istiod.metadata["clusterid"] == "c1"
            assert istiod.names == (b"spiffe://cluster.local/ns/default/sa/vm",)
            await w.until(lambda: w.ads.state.types["CDS"].accepted == 1)
            state = w.ads.state
            assert (state.types["CDS"].version, state.protocol, state.error) == ("v1", variant.name, "")
            assert state.server == f"127.0.0.1:{w.istiod.port}"
            await envoy.close()

    run(scenario())


@EVERY
def test_names_and_roots_are_asked_for_after_the_listeners_and_stay_with_the_agent(variant: Variant) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met(variant)
            assert await istiod.heard_types(2) == [NAMES, PROXY_CONFIG]
            table = NameTable()
            table.table["web.default.svc.cluster.local"].ips.append("10.0.0.1")
            await istiod.say(NAMES, table)
            answer = await istiod.heard()
            assert (answer.type_url, answer.response_nonce) == (NAMES, "n1")
            assert not answer.HasField("error_detail")
            raw = await asyncio.wait_for(w.ads.names.until(bool), SOON)
            assert raw is not None
            assert NameTable.FromString(raw) == table
            root = authority("mesh").root
            await istiod.say(PROXY_CONFIG, ProxyConfig(ca_certificates_pem=[root.decode()]))
            await istiod.heard()
            assert w.trusted == [[root]]
            await istiod.say(LISTENERS, listener_pb2.Listener(name="l"))
            assert (await envoy.told()).type_url == LISTENERS
            await envoy.close()

    run(scenario())


@EVERY
def test_a_table_of_names_that_cannot_be_read_is_refused_and_the_last_one_kept(variant: Variant) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met(variant)
            await istiod.heard_types(2)
            await istiod.say(NAMES, b"", raw=True)
            await istiod.heard()
            assert w.ads.names.value == b""
            await istiod.say(NAMES, b"\xff\xff\xff", raw=True, nonce="n2")
            answer = await istiod.heard()
            assert answer.response_nonce == "n2"
            assert "DecodeError" in answer.error_detail.message
            assert w.ads.names.value == b""
            assert w.ads.state.types["NDS"].rejected == 1
            await envoy.close()

    run(scenario())


def test_what_is_not_wanted_is_not_asked_for() -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            envoy, istiod = await w.met()
            await envoy.ask(ENDPOINTS)
            assert await istiod.heard_types(1) == [ENDPOINTS]
            await envoy.close()

    run(scenario())


def test_a_type_that_envoy_has_not_asked_for_does_not_reach_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met()
            await istiod.say("type.googleapis.com/istio.workload.Address", b"x", raw=True)
            await istiod.say(LISTENERS)
            assert (await envoy.told()).type_url == LISTENERS
            await envoy.close()

    run(scenario())


@EVERY
def test_health_is_reported_after_the_listeners_and_again_on_every_stream(variant: Variant) -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            await w.ads.report_health(False, "connection refused")
            envoy, istiod = await w.met(variant)
            report = await istiod.heard()
            assert (report.type_url, report.error_detail.message) == (HEALTH, "connection refused")
            await w.ads.report_health(True)
            report = await istiod.heard()
            assert (report.type_url, report.HasField("error_detail")) == (HEALTH, False)
            await envoy.close()
            envoy, istiod = await w.met(variant)
            report = await istiod.heard()
            assert (report.type_url, report.HasField("error_detail")) == (HEALTH, False)
            await envoy.close()

    run(scenario())


def test_an_application_that_ails_without_saying_why_is_still_reported_as_ailing() -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            await w.ads.report_health(False)
            envoy, istiod = await w.met()
            assert (await istiod.heard()).error_detail.message == "unhealthy"
            await envoy.close()

    run(scenario())


@EVERY
def test_extensions_that_envoy_lacks_are_left_out(variant: Variant) -> None:
    async def scenario() -> None:
        async with world() as w:
            envoy, istiod = await w.met(variant)
            sent = cluster_pb2.Cluster(name="a")
            sent.filters.add(name="mx").typed_config.type_url = f"type.googleapis.com/{EXCHANGE}"
            await istiod.say(CLUSTERS, sent, sent)
            response = await envoy.told()
            first = response.resources[0]
            packed = first.resource if variant is DELTA else first
            assert cluster_pb2.Cluster.FromString(packed.value) == cluster_pb2.Cluster(name="a")
            assert w.ads.state.removed == {EXCHANGE: 2}
            await envoy.close()

    run(scenario())


@EVERY
def test_envoys_refusal_reaches_istiod_with_what_the_agent_knows_of_it(variant: Variant) -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            envoy, istiod = await w.met(variant)
            sent = listener_pb2.Listener(name="l")
            added = sent.filter_chains.add().filters.add(name="rbac")
            added.typed_config.type_url = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
            await istiod.say(LISTENERS, sent)
            response = await envoy.told()
            packed = response.resources[0].resource if variant is DELTA else response.resources[0]
            assert listener_pb2.Listener.FromString(packed.value) == sent
            await envoy.answer(response, "no registered implementation for 'rbac'")
            refusal = await istiod.heard()
            assert refusal.error_detail.message == (
                "no registered implementation for 'rbac'; meshctl-agent: this Envoy lacks "
                "envoy.extensions.filters.network.rbac.v3.RBAC, which is not left out as it may guard traffic"
            )
            assert (refusal.response_nonce, refusal.error_detail.code) == ("n1", 13)
            kept = w.ads.state.types["LDS"]
            assert (kept.rejected, kept.accepted) == (1, 0)
            assert "no registered implementation" in kept.error
            await envoy.close()

    run(scenario())


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
        from envoy.service.discovery.v3 import discovery_pb2

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


def test_the_socket_is_for_its_user_alone_and_what_a_crash_has_left_is_no_hindrance() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.until(w.socket.exists)
            assert stat.S_IMODE(w.socket.stat().st_mode) == 0o600
            again = Ads(AdsSettings(), Latest(identity()), socket=w.socket)
            running = asyncio.ensure_future(again.run())
            await asyncio.sleep(0.05)
            assert not running.done()
            running.cancel()
            await asyncio.wait([running])

    run(scenario())


def test_what_guards_traffic_cannot_be_allowed_to_go() -> None:
    url = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    with pytest.raises(ConfigError, match="never left out"):
        Ads(AdsSettings(removable=(url,)), Latest(None), socket=None)  # type: ignore[arg-type]


@EVERY
def test_a_wish_for_more_is_not_counted_as_another_acceptance(variant: Variant) -> None:
    async def scenario() -> None:
        async with world(names=False, trust=False) as w:
            envoy, istiod = await w.met(variant)
            await istiod.say(CLUSTERS)
            response = await envoy.told()
            await envoy.answer(response)
            await envoy.answer(response)
            await istiod.heard_types(2)
            assert w.ads.state.types["CDS"].accepted == 1
            await envoy.close()

    run(scenario())


def test_both_variants_are_known() -> None:
    assert {each.name for each in VARIANTS} == {DELTA.name, STATE_OF_THE_WORLD.name}
