"""What Envoy starts with: how it asks for its configuration, and the few listeners that are the agent's own.

Source: Envoy's config/bootstrap/v3; names of statistics, tags and clusters are those that istiod, Istio's
dashboards and `istioctl proxy-config` know.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.envoy import statistics
from meshctl.agent.envoy.collectors import clusters as collectors
from meshctl.agent.envoy.collectors import sinks, tracing
from meshctl.agent.envoy.node import node
from meshctl.agent.envoy.parts import SDS, Json, cluster, pipe, secret, socket_address, typed
from meshctl.agent.envoy.settings import EVERYWHERE
from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshctl.agent.places import Places
    from meshctl.agent.settings import Settings

XDS: Final = "xds-grpc"
AGENT: Final = "agent"
ADMIN: Final = "prometheus_stats"
"""Names of the clusters of this host's own; istiod's configuration names some of them, too."""
_MOST: Final = 2**31 - 1
_STREAMS: Final = 100000
_DEPRECATED: Final = "envoy.deprecated_features"
_RUNTIME: Final[Mapping[str, Any]] = {
    f"{_DEPRECATED}:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": True,
    "envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update": False,
    "envoy.reloadable_features.fixed_heap_use_allocated": True,
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
    "re2.max_program_size.error_level": "32768",
}
"""Runtime flags that istiod's configuration counts on. Source: Istio's pkg/bootstrap."""
_COMPRESSED: Final = (
    "text/plain", "application/vnd.google.protobuf", "application/openmetrics-text",
    "application/openmetrics-protobuf",
)  # fmt: skip


def bootstrap(settings: Settings, places: Places) -> Json:
    """The bootstrap, as Envoy reads it from JSON; holds no secret.

    Raises:
        ConfigError: cluster.env sets metadata to what istiod cannot read.
    """
    proxy = settings.proxy.data
    made: Json = {
        "node": node(settings),
        "layered_runtime": {
            "layers": [
                {"name": "global config", "static_layer": _runtime(proxy.get("runtimeValues", {}))},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "bootstrap_extensions": [_internal_listener()],
        **statistics.settings(settings),
        "admin": _admin(places),
        "dynamic_resources": _dynamic(delta=settings.envoy.delta),
        "static_resources": {
            "clusters": [*_clusters(settings, places), *collectors(settings)],
            "listeners": _listeners(settings),
        },
        "overload_manager": _overload(settings),
        "cluster_manager": _cluster_manager(settings),
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }
    if tracer := tracing(settings, str(made["node"]["cluster"])):
        made["tracing"] = tracer
    if collected := sinks(settings):
        made["stats_sinks"] = collected
    return {name: part for name, part in made.items() if part != {}}


def write(path: Path, made: Json) -> bool:
    """Write a bootstrap for the agent's user alone, whole or not at all; each start of the agent does.

    Returns:
        Whether it is another one than what was there.
    """
    text = json.dumps(made, indent=1, sort_keys=True) + "\n"
    try:
        if path.read_text() == text:
            return False
    except (OSError, UnicodeDecodeError):
        pass  # then it is written anew
    part = path.with_name(f".{path.name}.part")
    door = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(door, "w") as stream:  # noqa: PTH123 - a descriptor, for its mode
        stream.write(text)
    part.replace(path)
    return True


def _runtime(said: Mapping[str, str]) -> Json:
    """Flags with what the mesh has set; an empty value takes a flag away."""
    found = {
        **_RUNTIME,
        **{name: {"true": True, "false": False}.get(value, value) for name, value in said.items()},
    }
    return {name: value for name, value in found.items() if value != ""}


def _internal_listener() -> Json:
    return {
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": typed("bootstrap.internal_listener.v3.InternalListener", buffer_size_kb=64),
    }


def _admin(places: Places) -> Json:
    return {
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": typed("access_loggers.file.v3.FileAccessLog", path="/dev/null"),
            }
        ],
        "profile_path": str(places.state / "envoy.prof"),
        "address": pipe(places.admin, mode=0o600),
    }


def _dynamic(*, delta: bool) -> Json:
    by_ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "lds_config": by_ads,
        "cds_config": by_ads,
        "ads_config": {
            "api_type": "DELTA_GRPC" if delta else "GRPC",
            "set_node_on_first_message_only": True,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS}}],
        },
    }


def _clusters(settings: Settings, places: Places) -> list[Json]:
    listening = settings.server.address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening, listening)  # noqa: S104
    threshold = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _STREAMS)
    found = [
        cluster(ADMIN, pipe(places.admin), timeout="0.250s"),
        cluster(AGENT, socket_address(host, settings.server.port), timeout="0.250s"),
        cluster(SDS, pipe(places.sds), http2=True),
        {
            **cluster(XDS, pipe(places.xds), http2=True),
            "circuit_breakers": {
                "thresholds": [{"priority": each, **threshold} for each in ("DEFAULT", "HIGH")]
            },
            "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
            "max_requests_per_connection": 1,
        },
    ]
    return [*found, _own_cluster()] if _knows_itself(settings) else found


def _own_cluster() -> Json:
    """The workload's own service, from which Envoy knows how near others are."""
    policy = typed(
        "load_balancing_policies.least_request.v3.LeastRequest",
        locality_lb_config={"zone_aware_lb_config": {"min_cluster_size": "1"}},
    )
    name = "envoy.load_balancing_policies.least_request"
    return {
        "name": "local_cluster",
        "alt_stat_name": "local_cluster;",
        "type": "EDS",
        "connect_timeout": "1s",
        "load_balancing_policy": {
            "policies": [{"typed_extension_config": {"name": name, "typed_config": policy}}]
        },
        "eds_cluster_config": {
            "eds_config": {"ads": {}, "resource_api_version": "V3"},
            "service_name": "local_cluster",
        },
    }


def _knows_itself(settings: Settings) -> bool:
    return settings.workload.metadata.get("ENABLE_SELF_DISCOVERY") in ("true", True)


def _cluster_manager(settings: Settings) -> Json:
    found: Json = {}
    if _knows_itself(settings):
        found["local_cluster_name"] = "local_cluster"
    if reporting := _load_reporting(settings):
        found["load_stats_config"] = reporting
    if path := settings.workload.metadata.get("OUTLIER_LOG_PATH"):
        found["outlier_detection"] = {"event_log_path": path}
    if found:
        found["enable_deferred_cluster_creation"] = True
    return found


def _load_reporting(settings: Settings) -> Any:
    """Where load is reported to, as the node's metadata says it in JSON."""
    name = "LOAD_STATS_CONFIG_JSON"
    try:
        return json.loads(settings.workload.metadata.get(name) or "{}")
    except (TypeError, ValueError, RecursionError) as error:
        where = settings.variables.where(f"ISTIO_META_{name}")
        raise ConfigError(
            "wrong-type", f"{name} of the node's metadata has to be JSON", where=where
        ) from error


def _overload(settings: Settings) -> Json:
    """How many connections, and how much heap, before Envoy sheds load."""
    most = settings.envoy.connections or _MOST
    found: Json = {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": typed(
                    "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=most,
                ),
            }
        ]
    }
    if settings.envoy.memory:
        heap = "envoy.resource_monitors.fixed_heap"
        limit = typed(
            "resource_monitors.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=settings.envoy.memory << 20
        )
        found["refresh_interval"] = "0.25s"
        found["resource_monitors"].append({"name": heap, "typed_config": limit})
        found["actions"] = [
            {
                "name": f"envoy.overload_actions.{name}",
                "triggers": [{"name": heap, "threshold": {"value": part}}],
            }
            for name, part in (
                ("shrink_heap", 0.9),
                ("disable_http_keepalive", 0.92),
                ("stop_accepting_requests", 0.95),
                ("stop_accepting_connections", 0.98),
            )
        ]
    return found


def _listeners(settings: Settings) -> list[Json]:
    envoy = settings.envoy
    own = [_route("/stats/prometheus", ADMIN)]
    merged = [_route("/stats/prometheus", AGENT), _route("/metrics", AGENT)]
    compression = _compressors() if settings.proxy.data.get("statsCompression", True) else []
    found = [
        _listener(settings, envoy.prometheus_address, envoy.prometheus_port, "stats", own, compression),
    ]
    if port := envoy.secure_metrics_port:
        found.append(_secured(_listener(settings, EVERYWHERE, port, "secure_stats", own)))
    if port := envoy.secure_merged_metrics_port:
        found.append(_secured(_listener(settings, EVERYWHERE, port, "secure_merged_stats", merged)))
    ready = [_route("/healthz/ready", AGENT)]
    return [*found, _listener(settings, envoy.ready_address, envoy.ready_port, "agent", ready)]


def _listener(
    settings: Settings,
    address: str,
    port: int,
    prefix: str,
    routes: list[Json],
    filters: list[Json] | None = None,
) -> Json:
    first, *others = _addresses(settings, address)
    virtual_host = {"name": "backend", "domains": ["*"], "routes": routes}
    router = {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        codec_type="AUTO",
        stat_prefix=prefix,
        route_config={"virtual_hosts": [virtual_host]},
        http_filters=[*(filters or ()), router],
    )
    name = "envoy.filters.network.http_connection_manager"
    made: Json = {
        "name": f"{first}_{port}",
        "address": socket_address(first, port),
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }
    if others:
        made["additional_addresses"] = [{"address": socket_address(each, port)} for each in others]
    return made


def _addresses(settings: Settings, address: str) -> list[str]:
    """Addresses to listen on; `*` stands for any of the host, of each family that the host has."""
    if address != EVERYWHERE:
        return [address]
    families = list(dict.fromkeys("::" if ":" in each else "0.0.0.0" for each in settings.workload.addresses))  # noqa: S104
    if settings.envoy.dual_stack:
        return families
    return ["::"] if families == ["::"] else ["0.0.0.0"]  # noqa: S104


def _secured(listener: Json) -> Json:
    """The listener, for workloads of the mesh alone."""
    (chain,) = listener["filter_chains"]
    context = typed(
        "transport_sockets.tls.v3.DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context={
            "tls_certificate_sds_secret_configs": [secret("default")],
            "combined_validation_context": {
                "default_validation_context": {},
                "validation_context_sds_secret_config": secret("ROOTCA"),
            },
        },
    )
    inspector = typed("filters.listener.tls_inspector.v3.TlsInspector")
    secured = {
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        **chain,
    }
    return {
        **listener,
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "filter_chains": [secured],
    }


def _route(prefix: str, to: str) -> Json:
    return {"match": {"prefix": prefix}, "route": {"cluster": to}}


def _compressors() -> list[Json]:
    """Metrics are long and repeat themselves; a scraper chooses how they are packed."""
    found = []
    for name in ("brotli", "zstd", "gzip"):
        library = typed(f"compression.{name}.compressor.v3.{name.title()}")
        config = typed(
            "filters.http.compressor.v3.Compressor",
            compressor_library={"name": f"stats_{name}", "typed_config": library},
            response_direction_config={"common_config": {"content_type": list(_COMPRESSED)}},
        )
        found.append({"name": f"envoy.filters.http.compressor.{name}", "typed_config": config})
    return found
