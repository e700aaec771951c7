"""Small pieces of Envoy's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
SDS: Final = "sds-grpc"
"""The cluster that secrets come from."""
_FROM_THE_START: Final = ("default", "ROOTCA")


def typed(name: str, **fields: Any) -> Json:
    """A message of one of Envoy's extensions, by its name below `envoy.extensions`."""
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}


def socket_address(host: str, port: int) -> Json:
    """A TCP address."""
    return {"socket_address": {"protocol": "TCP", "address": host, "port_value": port}}


def pipe(path: Path, mode: int | None = None) -> Json:
    """A Unix socket, to connect to or, with a mode for its file, to listen on."""
    return {"pipe": {"path": str(path), **({} if mode is None else {"mode": mode})}}


def cluster(name: str, address: Json, *, timeout: str = "1s", http2: bool = False) -> Json:
    """A cluster of one endpoint."""
    made: Json = {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": timeout,
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if http2:
        options = "upstreams.http.v3.HttpProtocolOptions"
        made["typed_extension_protocol_options"] = {
            f"envoy.extensions.{options}": typed(options, explicit_http_config={"http2_protocol_options": {}})
        }
    return made


def secret(name: str) -> Json:
    """A secret that the agent gives; the workload's own are waited for without end."""
    source = {
        "api_type": "GRPC",
        "grpc_services": [{"envoy_grpc": {"cluster_name": SDS}}],
        "set_node_on_first_message_only": True,
        "transport_api_version": "V3",
    }
    config: Json = {"api_config_source": source, "resource_api_version": "V3"}
    if name in _FROM_THE_START:
        config["initial_fetch_timeout"] = "0s"
    return {"name": name, "sds_config": config}
