"""Services that get traces, statistics and access logs from Envoy, as a ProxyConfig names them."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.envoy.parts import Json, cluster, secret, typed
from meshctl.agent.reading.texts import HOST_IP, host_port, is_ip, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.agent.settings import Settings

_log = logging.getLogger(__name__)

_SERVICES: Final = {
    "envoyMetricsService": "envoy_metrics_service",
    "envoyAccessLogService": "envoy_accesslog_service",
}
_TRACERS: Final = {"zipkin": "zipkin", "datadog": "datadog_agent"}
"""Fields of a ProxyConfig, and the names of their clusters."""


def clusters(settings: Settings) -> list[Json]:
    """The clusters of those that are named."""
    proxy, found = settings.proxy.data, []
    said = proxy.get("tracing") or {}
    for field, name in _TRACERS.items():
        if address := (said.get(field) or {}).get("address"):
            found.append(_collector(settings, name, address, said.get("tlsSettings") or {}, "tracer"))
    for field, name in _SERVICES.items():
        service = proxy.get(field) or {}
        if address := service.get("address"):
            made = _collector(settings, name, address, service.get("tlsSettings") or {}, name, http2=True)
            if keepalive := _keepalive(service.get("tcpKeepalive") or {}):
                made["upstream_connection_options"] = {"tcp_keepalive": keepalive}
            found.append(made)
    return found


def tracing(settings: Settings, service: str) -> Json:
    """Where spans go when istiod's configuration does not say it; empty when nowhere."""
    said = settings.proxy.data.get("tracing") or {}
    if (said.get("zipkin") or {}).get("address"):
        name, config = (
            "zipkin",
            {
                "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                "collector_cluster": "zipkin",
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
                "trace_id_128bit": True,
                "shared_span_context": False,
            },
        )
    elif (said.get("datadog") or {}).get("address"):
        name, config = (
            "datadog",
            {
                "@type": "type.googleapis.com/envoy.config.trace.v3.DatadogConfig",
                "collector_cluster": "datadog_agent",
                "service_name": service,
            },
        )
    else:
        return {}
    return {"http": {"name": f"envoy.tracers.{name}", "typed_config": config}}


def sinks(settings: Settings) -> list[Json]:
    """Where statistics are pushed to."""
    proxy, found = settings.proxy.data, []
    if (proxy.get("envoyMetricsService") or {}).get("address"):
        config = {
            "@type": "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "envoy_metrics_service"}},
        }
        found.append({"name": "envoy.stat_sinks.metrics_service", "typed_config": config})
    if address := _resolved(proxy.get("statsdUdpAddress", "")):
        host, port = address
        config = {
            "@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink",
            "address": {"socket_address": {"address": host, "port_value": port}},
        }
        found.append({"name": "envoy.stat_sinks.statsd", "typed_config": config})
    return found


def _resolved(address: str) -> tuple[str, int] | None:
    """Address and port of a statsd: Envoy looks up no name there."""
    if not address:
        return None
    host, port = host_port(address)
    if is_ip(host):
        return host, port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        _log.warning("statistics do not go to statsd: %s is not found: %s", host, error)
        return None
    return sorted(str(each[4][0]) for each in found)[0], port


def _collector(
    settings: Settings, name: str, address: str, tls: Mapping[str, Any], server: str, *, http2: bool = False
) -> Json:
    """A cluster that is found by DNS; `server` is its name in TLS unless the settings say another."""
    host, port = host_port(address)
    if host == HOST_IP:
        host = settings.variables.get("HOST_IP", host)
    made = cluster(name, {"socket_address": {"address": host, "port_value": port}}, http2=http2)
    made.update(type="STRICT_DNS", respect_dns_ttl=True, dns_lookup_family=_family(settings))
    if name == "zipkin":
        made["dns_refresh_rate"] = "30s"
    if secured := _tls(settings, tls, server, http2=http2):
        made["transport_socket"] = secured
    return made


def _family(settings: Settings) -> str:
    families = {":" in address for address in settings.workload.addresses}
    if len(families) == 2 and settings.envoy.dual_stack:
        return "ALL"
    return "V6_ONLY" if families == {True} else "V4_ONLY"


def _keepalive(said: Mapping[str, Any]) -> Json:
    found = {
        "keepalive_probes": int(said.get("probes") or 0),
        "keepalive_time": int(seconds(said.get("time") or "0s")),
        "keepalive_interval": int(seconds(said.get("interval") or "0s")),
    }
    return {name: value for name, value in found.items() if value}


def _tls(settings: Settings, said: Mapping[str, Any], server: str, *, http2: bool) -> Json:
    """A transport socket; files are named to Envoy, and come from the agent like its other secrets."""
    mode = said.get("mode", "DISABLE")
    if mode == "DISABLE":
        return {}
    key, root = _secrets(settings, said, mode)
    common: Json = {}
    if key:
        common["tls_certificate_sds_secret_configs"] = [secret(key)]
    if root:
        names = [{"exact": name} for name in said.get("subjectAltNames") or ()]
        common["combined_validation_context"] = {
            "default_validation_context": {"match_subject_alt_names": names} if names else {},
            "validation_context_sds_secret_config": secret(root),
        }
    if http2:
        common["alpn_protocols"] = ["istio", "h2"] if mode == "ISTIO_MUTUAL" else ["h2"]
    sni = said.get("sni") or (server if mode == "ISTIO_MUTUAL" else "")
    config = typed("transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=common)
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {**config, **({"sni": sni} if sni else {})},
    }


def _secrets(settings: Settings, said: Mapping[str, Any], mode: str) -> tuple[str, str]:
    """Names of the key with its certificate, and of the roots; where none are named, those of the host."""
    if mode == "ISTIO_MUTUAL":
        return "default", "ROOTCA"
    ours = settings.workload.metadata
    chain = ours.get("TLS_CLIENT_CERT_CHAIN") or said.get("clientCertificate")
    private = ours.get("TLS_CLIENT_KEY") or said.get("privateKey")
    trusted = ours.get("TLS_CLIENT_ROOT_CERT") or said.get("caCertificates")
    key = f"file-cert:{chain}~{private}" if mode == "MUTUAL" and chain and private else ""
    if said.get("insecureSkipVerify") and not trusted:
        return key, ""
    return key, f"file-root:{trusted or 'system'}"
