"""Whatever Envoy lacks is left out wherever it stands, but nothing that guards traffic."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.http.wasm.v3 import wasm_pb2 as http_wasm_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm_pb2,
)
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.filters.network.wasm.v3 import wasm_pb2 as network_wasm_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.extensions.wasm.v3 import wasm_pb2
from google.protobuf import any_pb2, message, struct_pb2
from udpa.type.v1 import typed_struct_pb2 as udpa_pb2
from xds.type.v3 import typed_struct_pb2 as xds_pb2

from meshctl.agent.ads.extensions import (
    ALPN,
    FILTER_STATE,
    METADATA_EXCHANGE,
    REMOVABLE,
    Extensions,
    removable,
)
from meshctl.agent.ads.filtering import Filtering
from meshctl.agent.ads.state import CLUSTERS, LISTENERS

ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
ECDS = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
UPSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
DOWNSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PROXY_PROTOCOL = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
HTTP_WASM = "envoy.extensions.filters.http.wasm.v3.Wasm"
NETWORK_WASM = "envoy.extensions.filters.network.wasm.v3.Wasm"
HTTP_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
NETWORK_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"
JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
STATS = "stats.PluginConfig"
HAS = frozenset(
    {
        HCM, TCP, ROUTER, UPSTREAM_TLS, DOWNSTREAM_TLS, PROTOCOLS, FAULT, HTTP_RBAC, NETWORK_RBAC,
        FILTER_STATE, PROXY_PROTOCOL,
    }
)  # fmt: skip
CAN_OFFER = frozenset({"envoy.network.application_protocols"})


def fit(
    type_url: str,
    sent: message.Message,
    *,
    has: frozenset[str] = HAS,
    objects: frozenset[str] = frozenset(),
    further: frozenset[str] = frozenset(),
) -> tuple[Any, Filtering]:
    """What Envoy gets of it; None: nothing."""
    filtering = Filtering(Extensions(has, objects), removable(further))
    raw = sent.SerializeToString()
    fitted = filtering.fitted(type_url, raw)
    return None if fitted is None else type(sent).FromString(fitted), filtering


def packed(name: str, content: message.Message | None = None) -> any_pb2.Any:
    value = content.SerializeToString() if content else b""
    return any_pb2.Any(type_url=f"type.googleapis.com/{name}", value=value)


def wrapped(name: str, wrapper: Any = udpa_pb2.TypedStruct) -> any_pb2.Any:
    made = wrapper(type_url=f"type.googleapis.com/{name}")
    made.value.fields["a"].CopyFrom(struct_pb2.Value(string_value="b"))
    return packed(wrapper.DESCRIPTOR.full_name, made)


def manager(*filters: any_pb2.Any) -> hcm_pb2.HttpConnectionManager:
    made = hcm_pb2.HttpConnectionManager(stat_prefix="in")
    for at, each in enumerate(filters):
        made.http_filters.add(name=f"f{at}", typed_config=each)
    return made


def listener(*filters: any_pb2.Any) -> listener_pb2.Listener:
    made = listener_pb2.Listener(name="l", stat_prefix="kept")
    chain = made.filter_chains.add(name="c")
    for at, each in enumerate(filters):
        chain.filters.add(name=f"f{at}", typed_config=each)
    return made


def http_of(fitted: Any) -> hcm_pb2.HttpConnectionManager:
    return hcm_pb2.HttpConnectionManager.FromString(fitted.filter_chains[0].filters[0].typed_config.value)


@pytest.mark.parametrize("name", sorted(REMOVABLE))
@pytest.mark.parametrize(
    "config", [packed, wrapped, lambda name: wrapped(name, xds_pb2.TypedStruct)], ids=["plain", "udpa", "xds"]
)
def test_istios_own_extensions_go_in_plain_and_wrapped(name: str, config: Any) -> None:
    fitted, filtering = fit(LISTENERS, listener(config(name), packed(TCP)))
    assert [each.typed_config for each in fitted.filter_chains[0].filters] == [packed(TCP)]
    assert fitted.stat_prefix == "kept"
    assert filtering.removed == {name: 1}


@pytest.mark.parametrize("config", [packed, wrapped])
def test_extensions_that_envoy_has_stay_however_wrapped(config: Any) -> None:
    sent = listener(config(TCP))
    assert fit(LISTENERS, sent)[0] == sent
    filtering = Filtering(Extensions(HAS, frozenset()), REMOVABLE)
    raw = sent.SerializeToString()
    assert filtering.fitted(LISTENERS, raw) is raw


@pytest.mark.parametrize("name", [JWT, EXT_AUTHZ, "acme.filters.Firewall", "envoy.config.filter.waf.v9.Waf"])
@pytest.mark.parametrize("config", [packed, wrapped])
def test_what_may_guard_traffic_stays_for_envoy_to_refuse(name: str, config: Any) -> None:
    sent = listener(packed(HCM, manager(config(name), packed(ROUTER))), config(name))
    fitted, filtering = fit(LISTENERS, sent)
    assert fitted == sent
    assert filtering.lacking == {name}
    assert not filtering.removed


def test_an_envoy_that_says_nothing_of_itself_gets_everything() -> None:
    sent = listener(packed(STATS))
    assert not Filtering(Extensions(frozenset(), frozenset()), REMOVABLE).concerns(LISTENERS)
    assert fit(LISTENERS, sent, has=HAS | {STATS})[0] == sent


def test_what_the_operator_allows_goes_too() -> None:
    fitted, _ = fit(LISTENERS, listener(packed("acme.Log"), packed(TCP)), further=frozenset({"acme.Log"}))
    assert len(fitted.filter_chains[0].filters) == 1


def test_every_place_of_a_listener_is_looked_at() -> None:
    sent = listener(packed(STATS), packed(TCP, tcp_proxy()))
    sent.default_filter_chain.filters.add(name="x", typed_config=packed(STATS))
    sent.listener_filters.add(name="x", typed_config=packed(STATS))
    sent.access_log.add(name="x", typed_config=packed("acme.Log"))
    fitted, filtering = fit(LISTENERS, sent)
    assert not fitted.default_filter_chain.filters
    assert not fitted.listener_filters
    assert not fitted.access_log
    inner = tcp_proxy_pb2.TcpProxy.FromString(fitted.filter_chains[0].filters[0].typed_config.value)
    assert inner == tcp_proxy_pb2.TcpProxy(stat_prefix="t", cluster="c")
    assert filtering.removed == {STATS: 3, "acme.Log": 2}


def tcp_proxy() -> tcp_proxy_pb2.TcpProxy:
    made = tcp_proxy_pb2.TcpProxy(stat_prefix="t", cluster="c")
    made.access_log.add(name="x", typed_config=packed("acme.Log"))
    return made


def test_every_place_of_http_is_looked_at() -> None:
    router = router_pb2.Router(suppress_envoy_headers=True)
    router.upstream_log.add(typed_config=packed("acme.Log"))
    router.upstream_http_filters.add(name="x", typed_config=packed(STATS))
    sent = manager(packed(STATS), packed(FAULT), packed(ROUTER, router))
    sent.access_log.add(typed_config=packed("acme.Log"))
    sent.upgrade_configs.add(upgrade_type="websocket").filters.add(name="x", typed_config=packed(STATS))
    sent.tracing.provider.CopyFrom(_tracer("acme.Tracer"))
    sent.early_header_mutation_extensions.add(name="x", typed_config=packed(STATS))
    sent.route_config.CopyFrom(routes(STATS))
    fitted, filtering = fit(LISTENERS, listener(packed(HCM, sent)))
    got = http_of(fitted)
    assert [each.typed_config.type_url.rpartition("/")[2] for each in got.http_filters] == [FAULT, ROUTER]
    expected = router_pb2.Router(suppress_envoy_headers=True)
    assert got.http_filters[1].typed_config == packed(ROUTER, expected)
    assert not got.access_log
    assert got.upgrade_configs[0] == type(got.upgrade_configs[0])(upgrade_type="websocket")
    assert got.HasField("tracing")
    assert not got.tracing.HasField("provider")
    assert not got.early_header_mutation_extensions
    assert got.route_config == routes("")
    assert filtering.removed == {STATS: 8, "acme.Log": 2, "acme.Tracer": 1}


def _tracer(name: str) -> Any:
    from envoy.config.trace.v3 import http_tracer_pb2

    return http_tracer_pb2.Tracing.Http(name="t", typed_config=packed(name))


def routes(name: str) -> route_pb2.RouteConfiguration:
    """With an extension wherever one can stand, and one that Envoy has beside it."""
    made = route_pb2.RouteConfiguration(name="r")
    host = made.virtual_hosts.add(name="v", domains=["*"])
    route = host.routes.add(name="one")
    weight = route.route.weighted_clusters.clusters.add(name="c")
    for holder in (made, host, route, weight):
        holder.typed_per_filter_config["fault"].CopyFrom(packed(FAULT))
        if name:
            config = route_components_pb2.FilterConfig(config=packed(name))
            inner = packed("envoy.config.route.v3.FilterConfig", config)
            holder.typed_per_filter_config["x"].CopyFrom(inner if holder is route else packed(name))
    return made


def test_every_place_of_routes_is_looked_at() -> None:
    fitted, filtering = fit(ROUTES, routes(STATS))
    assert fitted == routes("")
    assert filtering.removed == {STATS: 4}


def test_route_settings_of_what_guards_stay() -> None:
    sent = routes(JWT)
    fitted, filtering = fit(ROUTES, sent)
    assert fitted == sent
    assert filtering.lacking == {JWT}


def test_every_place_of_a_cluster_is_looked_at() -> None:
    sent = cluster_pb2.Cluster(name="c", alt_stat_name="kept")
    sent.filters.add(name="x", typed_config=wrapped(METADATA_EXCHANGE))
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.use_downstream_protocol_config.SetInParent()
    options.http_filters.add(name="x", typed_config=packed(STATS))
    sent.typed_extension_protocol_options[PROTOCOLS].CopyFrom(packed(PROTOCOLS, options))
    fitted, filtering = fit(CLUSTERS, sent)
    assert not fitted.filters
    del options.http_filters[:]
    assert fitted.typed_extension_protocol_options[PROTOCOLS] == packed(PROTOCOLS, options)
    assert fitted.alt_stat_name == "kept"
    assert filtering.removed == {METADATA_EXCHANGE: 1, STATS: 1}


def test_an_encryption_that_envoy_lacks_never_goes_even_if_the_operator_says_so() -> None:
    sent = cluster_pb2.Cluster(name="c")
    sent.transport_socket.typed_config.CopyFrom(packed("acme.Tls"))
    fitted, filtering = fit(CLUSTERS, sent, further=frozenset({"acme.Tls"}))
    assert fitted == sent
    assert filtering.lacking == {"acme.Tls"}


def tls(context: Any, *protocols: str) -> Any:
    made = context()
    made.common_tls_context.alpn_protocols.extend(protocols)
    return made


def test_a_protocol_that_only_a_lacking_extension_speaks_is_not_offered() -> None:
    sent = cluster_pb2.Cluster(name="c")
    context = tls(tls_pb2.UpstreamTlsContext, "istio-peer-exchange", "istio")
    context.sni = "kept"
    around = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport()
    around.transport_socket.typed_config.CopyFrom(packed(UPSTREAM_TLS, context))
    sent.transport_socket.typed_config.CopyFrom(packed(UPSTREAM_TLS, context))
    match = sent.transport_socket_matches.add(name="m")
    match.transport_socket.typed_config.CopyFrom(packed(PROXY_PROTOCOL, around))
    fitted, _ = fit(CLUSTERS, sent)
    context.common_tls_context.alpn_protocols[:] = ["istio"]
    assert fitted.transport_socket.typed_config == packed(UPSTREAM_TLS, context)
    around.transport_socket.typed_config.CopyFrom(packed(UPSTREAM_TLS, context))
    got = fitted.transport_socket_matches[0].transport_socket.typed_config
    assert got == packed(PROXY_PROTOCOL, around)
    assert fit(CLUSTERS, sent, has=HAS | {METADATA_EXCHANGE})[0] == sent


def test_a_protocol_that_only_a_lacking_extension_speaks_is_not_accepted() -> None:
    sent = listener(packed(TCP))
    context = tls(tls_pb2.DownstreamTlsContext, "istio-peer-exchange", "h2", "http/1.1")
    sent.filter_chains[0].transport_socket.typed_config.CopyFrom(packed(DOWNSTREAM_TLS, context))
    fitted, _ = fit(LISTENERS, sent)
    got = tls_pb2.DownstreamTlsContext.FromString(fitted.filter_chains[0].transport_socket.typed_config.value)
    assert list(got.common_tls_context.alpn_protocols) == ["h2", "http/1.1"]


def test_http_is_offered_within_the_mesh_by_a_filter_that_envoy_has() -> None:
    fitted, filtering = fit(
        LISTENERS, listener(packed(HCM, manager(packed(ALPN), packed(ROUTER)))), objects=CAN_OFFER
    )
    stand_in = http_of(fitted).http_filters[0]
    assert stand_in.name == "f0"
    config = set_filter_state_pb2.Config.FromString(stand_in.typed_config.value)
    expected = set_filter_state_pb2.Config()
    value = value_pb2.FilterStateValue(object_key="envoy.network.application_protocols", skip_if_empty=True)
    value.format_string.text_format_source.inline_string = "%METADATA(CLUSTER:meshctl:alpn)%"
    value.format_string.omit_empty_values = True
    expected.on_request_headers.append(value)
    assert config == expected
    assert not filtering.removed


@pytest.mark.parametrize(
    ("protocols", "offered"),
    [
        (("istio",), "istio-http/1.1,istio"),
        (("istio-peer-exchange", "istio"), "istio-http/1.1,istio"),
        (("istio", "h2"), "istio-h2,istio,h2"),
    ],
)
def test_clusters_of_the_mesh_are_marked_with_what_they_offer(
    protocols: tuple[str, ...], offered: str
) -> None:
    sent = cluster_pb2.Cluster(name="c")
    match = sent.transport_socket_matches.add(name="tlsMode-istio")
    context = tls(tls_pb2.UpstreamTlsContext, *protocols)
    match.transport_socket.typed_config.CopyFrom(packed(UPSTREAM_TLS, context))
    sent.metadata.filter_metadata["istio"]["services"] = "kept"
    fitted, _ = fit(CLUSTERS, sent, objects=CAN_OFFER)
    assert fitted.metadata.filter_metadata["meshctl"]["alpn"] == offered
    assert fitted.metadata.filter_metadata["istio"] == sent.metadata.filter_metadata["istio"]


def test_other_clusters_are_not_marked() -> None:
    sent = cluster_pb2.Cluster(name="c")
    match = sent.transport_socket_matches.add(name="tlsMode-istio")
    context = tls(tls_pb2.UpstreamTlsContext, "istio")
    match.transport_socket.typed_config.CopyFrom(packed(UPSTREAM_TLS, context))
    assert fit(CLUSTERS, sent)[0] == sent  # an Envoy that cannot offer
    sent.metadata.filter_metadata["istio"]["alpn_override"] = "false"
    assert fit(CLUSTERS, sent, objects=CAN_OFFER)[0] == sent
    outside = cluster_pb2.Cluster(name="c")
    outside.transport_socket.typed_config.CopyFrom(
        packed(UPSTREAM_TLS, tls(tls_pb2.UpstreamTlsContext, "h2"))
    )
    assert fit(CLUSTERS, outside, objects=CAN_OFFER)[0] == outside


def discovered(*types: str) -> hcm_pb2.HttpConnectionManager:
    made = hcm_pb2.HttpConnectionManager()
    source = made.http_filters.add(name="plugin").config_discovery
    source.type_urls.extend(f"type.googleapis.com/{each}" for each in types)
    return made


@pytest.mark.parametrize(
    ("types", "left"),
    [((HTTP_WASM, HTTP_RBAC), [HTTP_RBAC]), ((STATS,), None), ((HTTP_RBAC,), [HTTP_RBAC]), ((JWT,), [JWT])],
)
def test_a_filter_whose_configuration_comes_later_allows_what_envoy_has(
    types: tuple[str, ...], left: list[str] | None
) -> None:
    fitted, _ = fit(LISTENERS, listener(packed(HCM, discovered(*types))))
    got = http_of(fitted)
    if left is None:
        assert not got.http_filters
    else:
        assert got == discovered(*left)


def extension(name: str, content: message.Message | None = None) -> extension_pb2.TypedExtensionConfig:
    return extension_pb2.TypedExtensionConfig(name="plugin", typed_config=packed(name, content))


def test_a_configuration_that_comes_later_goes_when_its_extension_does() -> None:
    assert fit(ECDS, extension(STATS))[0] is None
    assert fit(ECDS, extension(JWT))[0] == extension(JWT)
    assert fit(ECDS, extension(HTTP_RBAC))[0] == extension(HTTP_RBAC)


def plugin(wasm: Any, *, remote: bool, policy: int = 0, fail_open: bool = False) -> Any:
    made = wasm(config=wasm_pb2.PluginConfig(fail_open=fail_open, failure_policy=policy))
    code = made.config.vm_config.code
    if remote:
        code.remote.http_uri.uri = "oci://registry.example/plugin"
    else:
        code.local.filename = "/plugin.wasm"
    return made


@pytest.mark.parametrize(
    ("terms", "opens"),
    [
        ({}, False),
        ({"fail_open": True}, True),
        ({"policy": wasm_pb2.FailurePolicy.FAIL_OPEN}, True),
        ({"policy": wasm_pb2.FailurePolicy.FAIL_CLOSED, "fail_open": True}, False),
    ],
)
def test_a_plug_in_that_cannot_be_had_allows_or_refuses_everything_as_its_policy_says(
    terms: dict[str, Any], opens: bool
) -> None:
    sent = extension(HTTP_WASM, plugin(http_wasm_pb2.Wasm, remote=True, **terms))
    fitted, _ = fit(ECDS, sent, has=HAS | {HTTP_WASM})
    rbac = http_rbac_pb2.RBAC.FromString(fitted.typed_config.value)
    assert fitted.typed_config.type_url.endswith(HTTP_RBAC)
    assert rbac.HasField("rules") is not opens
    sent = extension(NETWORK_WASM, plugin(network_wasm_pb2.Wasm, remote=False, **terms))
    fitted, _ = fit(ECDS, sent)
    at_network = network_rbac_pb2.RBAC.FromString(fitted.typed_config.value)
    assert at_network.HasField("rules") is not opens
    assert at_network.stat_prefix == f"wasm-default-{'allow' if opens else 'deny'}"


def test_a_plug_in_that_is_on_the_host_runs_where_envoy_can_run_it() -> None:
    sent = extension(HTTP_WASM, plugin(http_wasm_pb2.Wasm, remote=False))
    assert fit(ECDS, sent, has=HAS | {HTTP_WASM})[0] == sent


def test_an_extension_within_a_matcher_counts_as_itself() -> None:
    around = extension_matcher_pb2.ExtensionWithMatcher()
    around.extension_config.typed_config.CopyFrom(packed(STATS))
    name = around.DESCRIPTOR.full_name
    fitted, _ = fit(LISTENERS, listener(packed(HCM, manager(packed(name, around), packed(ROUTER)))))
    assert len(http_of(fitted).http_filters) == 1


def test_extensions_nested_without_end_are_no_end_of_the_agent() -> None:
    router = router_pb2.Router()
    for _ in range(200):
        outer = router_pb2.Router()
        outer.upstream_http_filters.add(name="x", typed_config=packed(ROUTER, router))
        outer.upstream_http_filters.add(name="y", typed_config=packed(STATS))
        router = outer
    fitted, filtering = fit(LISTENERS, listener(packed(HCM, manager(packed(ROUTER, router)))))
    assert fitted is not None
    assert 0 < filtering.removed[STATS] < 200


def test_counts_begin_anew() -> None:
    _, filtering = fit(LISTENERS, listener(packed(STATS), packed(JWT)))
    filtering.begin()
    assert not filtering.removed
    assert not filtering.lacking
