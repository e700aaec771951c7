"""Where extensions stand in Envoy's configuration.

The table holds of each message what leads to an extension, and the little that is changed on the way. A
message with a field of type `Any` is an extension; a map to `Any` holds extensions by name; all others are
on the way to one. To have a further place looked at, add the fields that lead there. Nested messages have
`_` in place of a dot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY: Final = "google.protobuf.Any"
_HCM: Final = "envoy.extensions.filters.network.http_connection_manager.v3"
TLS_PACKAGE: Final = "envoy.extensions.transport_sockets.tls.v3"
HTTP_FILTER: Final = f"{_HCM}.HttpFilter"
_LOG: Final = "envoy.config.accesslog.v3.AccessLog"
_SOURCE: Final = "envoy.config.core.v3.ExtensionConfigSource"
_EXTENSION: Final = "envoy.config.core.v3.TypedExtensionConfig"
SOCKET: Final = "envoy.config.core.v3.TransportSocket"
TLS: Final = f"{TLS_PACKAGE}.CommonTlsContext"
"""Not an extension, but it names a protocol that only an extension speaks."""

PLACES: Final[Mapping[str, Mapping[int, str]]] = {
    _SOURCE: {2: f"default_config {_ANY}", 4: "type_urls *string"},
    _EXTENSION: {1: "name string", 2: f"typed_config {_ANY}"},
    SOCKET: {1: "name string", 3: f"typed_config {_ANY}"},
    "envoy.config.core.v3.Metadata": {1: "filter_metadata <string,google.protobuf.Struct>"},
    "envoy.config.core.v3.DataSource": {3: "inline_string string"},
    "envoy.config.core.v3.AsyncDataSource": {2: "remote bytes"},
    "envoy.config.core.v3.SubstitutionFormatString": {
        3: "omit_empty_values bool", 5: "text_format_source envoy.config.core.v3.DataSource",
    },
    _LOG: {1: "name string", 4: f"typed_config {_ANY}"},
    "envoy.config.trace.v3.Tracing_Http": {1: "name string", 3: f"typed_config {_ANY}"},
    "envoy.config.route.v3.FilterConfig": {1: f"config {_ANY}"},
    "envoy.config.route.v3.ClusterSpecifierPlugin": {1: f"extension {_EXTENSION}"},
    "envoy.config.route.v3.RetryPolicy_RetryHostPredicate": {1: "name string", 3: f"typed_config {_ANY}"},
    "envoy.config.route.v3.RetryPolicy": {
        5: "retry_host_predicate *envoy.config.route.v3.RetryPolicy_RetryHostPredicate",
        12: f"retry_options_predicates *{_EXTENSION}",
    },
    "envoy.config.route.v3.WeightedCluster_ClusterWeight": {10: f"typed_per_filter_config <string,{_ANY}>"},
    "envoy.config.route.v3.WeightedCluster": {
        1: "clusters *envoy.config.route.v3.WeightedCluster_ClusterWeight",
    },
    "envoy.config.route.v3.RouteAction": {
        3: "weighted_clusters envoy.config.route.v3.WeightedCluster",
        9: "retry_policy envoy.config.route.v3.RetryPolicy",
    },
    "envoy.config.route.v3.Route": {
        2: "route envoy.config.route.v3.RouteAction", 13: f"typed_per_filter_config <string,{_ANY}>",
    },
    "envoy.config.route.v3.VirtualHost": {
        3: "routes *envoy.config.route.v3.Route", 15: f"typed_per_filter_config <string,{_ANY}>",
        16: "retry_policy envoy.config.route.v3.RetryPolicy",
    },
    "envoy.config.route.v3.RouteConfiguration": {
        2: "virtual_hosts *envoy.config.route.v3.VirtualHost",
        12: "cluster_specifier_plugins *envoy.config.route.v3.ClusterSpecifierPlugin",
        16: f"typed_per_filter_config <string,{_ANY}>",
    },
    "envoy.extensions.common.matching.v3.ExtensionWithMatcher": {2: f"extension_config {_EXTENSION}"},
    "udpa.type.v1.TypedStruct": {1: "type_url string"},
    "xds.type.v3.TypedStruct": {1: "type_url string"},
    HTTP_FILTER: {1: "name string", 4: f"typed_config {_ANY}", 5: f"config_discovery {_SOURCE}"},
    f"{_HCM}.RequestIDExtension": {1: f"typed_config {_ANY}"},
    f"{_HCM}.HttpConnectionManager_Tracing": {9: "provider envoy.config.trace.v3.Tracing_Http"},
    f"{_HCM}.HttpConnectionManager_UpgradeConfig": {2: f"filters *{HTTP_FILTER}"},
    f"{_HCM}.HttpConnectionManager": {
        4: "route_config envoy.config.route.v3.RouteConfiguration", 5: f"http_filters *{HTTP_FILTER}",
        7: f"tracing {_HCM}.HttpConnectionManager_Tracing", 13: f"access_log *{_LOG}",
        23: f"upgrade_configs *{_HCM}.HttpConnectionManager_UpgradeConfig",
        36: f"request_id_extension {_HCM}.RequestIDExtension",
        46: f"original_ip_detection_extensions *{_EXTENSION}",
        52: f"early_header_mutation_extensions *{_EXTENSION}",
    },
    "envoy.extensions.filters.http.router.v3.Router": {
        3: f"upstream_log *{_LOG}", 8: f"upstream_http_filters *{HTTP_FILTER}",
    },
    "envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue": {
        1: "object_key string", 2: "format_string envoy.config.core.v3.SubstitutionFormatString",
        5: "skip_if_empty bool", 6: "factory_key string",
    },
    "envoy.extensions.filters.http.set_filter_state.v3.Config": {
        1: "on_request_headers *envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
    },
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {5: f"access_log *{_LOG}"},
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {6: f"http_filters *{HTTP_FILTER}"},
    TLS: {4: "alpn_protocols *string"},
    f"{TLS_PACKAGE}.UpstreamTlsContext": {1: f"common_tls_context {TLS}"},
    f"{TLS_PACKAGE}.DownstreamTlsContext": {1: f"common_tls_context {TLS}"},
    "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport": {
        3: f"transport_socket {SOCKET}",
    },
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport": {
        2: f"transport_socket {SOCKET}",
    },
    "envoy.config.cluster.v3.Filter": {
        1: "name string", 2: f"typed_config {_ANY}", 3: f"config_discovery {_SOURCE}",
    },
    "envoy.config.cluster.v3.Cluster_TransportSocketMatch": {3: f"transport_socket {SOCKET}"},
    "envoy.config.cluster.v3.Cluster": {
        24: f"transport_socket {SOCKET}", 25: "metadata envoy.config.core.v3.Metadata",
        36: f"typed_extension_protocol_options <string,{_ANY}>",
        40: "filters *envoy.config.cluster.v3.Filter",
        43: "transport_socket_matches *envoy.config.cluster.v3.Cluster_TransportSocketMatch",
    },
    "envoy.config.listener.v3.Filter": {
        1: "name string", 4: f"typed_config {_ANY}", 5: f"config_discovery {_SOURCE}",
    },
    "envoy.config.listener.v3.ListenerFilter": {
        1: "name string", 3: f"typed_config {_ANY}", 5: f"config_discovery {_SOURCE}",
    },
    "envoy.config.listener.v3.FilterChain": {
        3: "filters *envoy.config.listener.v3.Filter", 6: f"transport_socket {SOCKET}",
    },
    "envoy.config.listener.v3.Listener": {
        3: "filter_chains *envoy.config.listener.v3.FilterChain",
        9: "listener_filters *envoy.config.listener.v3.ListenerFilter", 22: f"access_log *{_LOG}",
        25: "default_filter_chain envoy.config.listener.v3.FilterChain",
    },
    "envoy.extensions.wasm.v3.VmConfig": {3: "code envoy.config.core.v3.AsyncDataSource"},
    "envoy.extensions.wasm.v3.PluginConfig": {
        3: "vm_config envoy.extensions.wasm.v3.VmConfig", 5: "fail_open bool", 7: "failure_policy int32",
    },
    "envoy.extensions.filters.http.wasm.v3.Wasm": {1: "config envoy.extensions.wasm.v3.PluginConfig"},
    "envoy.extensions.filters.network.wasm.v3.Wasm": {1: "config envoy.extensions.wasm.v3.PluginConfig"},
    "envoy.config.rbac.v3.RBAC": {},
    "envoy.extensions.filters.http.rbac.v3.RBAC": {
        1: "rules envoy.config.rbac.v3.RBAC", 6: "rules_stat_prefix string",
    },
    "envoy.extensions.filters.network.rbac.v3.RBAC": {
        1: "rules envoy.config.rbac.v3.RBAC", 3: "stat_prefix string",
    },
}  # fmt: skip
"""Fields by number, as in `messages.MESSAGES`. Source: Envoy's API."""


@dataclass(frozen=True, slots=True)
class Way:
    """A field that leads to extensions.

    Attributes:
        field: its name.
        many: whether it is repeated, so that one can be left out.
        holds: it is `extension`, a map of them by name (`named`), or a message on the way (`message`).
        kind: name of the message that it is of; empty for a map.
    """

    field: str
    many: bool
    holds: str
    kind: str


@cache
def classes() -> dict[str, Any]:
    """A class for each message of the table; made when first asked for, as an Envoy may lack nothing."""
    return messages.classes(PLACES)


@cache
def ways(name: str) -> tuple[Way, ...]:
    """The fields of a message that lead to extensions."""
    found = (_way(field) for field in classes()[name].DESCRIPTOR.fields)
    return tuple(way for way in found if way)


@cache
def may_come_later(name: str) -> bool:
    """Whether an extension's configuration may be sent by itself, under `config_discovery`."""
    return "config_discovery" in classes()[name].DESCRIPTOR.fields_by_name


@cache
def leads(name: str) -> bool:
    """Whether anything is to be looked at in a message: an extension, or what is agreed in TLS."""
    return name == TLS or (name in PLACES and bool(ways(name)))


@cache
def config_field(name: str) -> str:
    """The field of an extension that holds its configuration; empty when the message is no extension."""
    fields = classes()[name].DESCRIPTOR.fields
    return next((field.name for field in fields if _kind(field) == _ANY and name != _SOURCE), "")


def _way(field: Any) -> Way | None:
    kind = _kind(field)
    if kind in {"", _ANY, _SOURCE}:
        return None
    if field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        return Way(field.name, many=True, holds="named", kind="") if _kind(value) == _ANY else None
    many = field.label == field.LABEL_REPEATED if hasattr(field, "label") else field.is_repeated
    if config_field(kind):
        return Way(field.name, many=many, holds="extension", kind=kind)
    return Way(field.name, many=many, holds="message", kind=kind) if leads(kind) else None


def _kind(field: Any) -> str:
    """The message that a field is of; empty for a plain value."""
    return field.message_type.full_name if field.message_type else ""
