"""Envoy is configured by istiod, and what is the agent's stays with it."""

from __future__ import annotations

import asyncio
import stat

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
from tests.unit.agent.ads.both_ends import SOON, authority, identity, run, world

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
