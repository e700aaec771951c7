"""What the Envoys of a verification run: static configuration, and paths by which a client is asked.

Each stands beside a proxy of the mesh and speaks plain HTTP; what goes between clusters is the proxies'
doing. A server answers every call with who it is, and with what its proxy says of the caller. A client
is asked on loopback, by path, to call a server or to open a connection to an address.

Source: envoyproxy.io, API v3: `config.bootstrap.v3.Bootstrap`; "Access logging / Command operators".
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT: Final = 8000
"""Where servers listen, and their Services."""
ASKING_PORT: Final = 18000
"""Where a client listens, on its pod's loopback."""
CLIENT_HEADER: Final = "x-meshctl-client"
"""Of an answer: the server's `x-forwarded-client-cert`; absent when the call was not mTLS."""
SERVER_HEADER: Final = "x-meshctl-server"
"""Of an answer: name of the cluster that the server is in."""
FLAGS_HEADER: Final = "x-meshctl-flags"
"""Of an answer to a client's asker: what happened to the connection, in Envoy's two-letter words."""

_CONNECT: Final = 3.0  # seconds
_TYPES: Final = "type.googleapis.com/envoy.extensions.filters"


def server(cluster: str, *, six: bool = False) -> str:
    """Configuration, JSON, of the server in a cluster; `six` is whether it listens on IPv6 as well."""
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [
            _header(SERVER_HEADER, cluster.replace("%", "%%")),
            _header(CLIENT_HEADER, "%REQ(X-FORWARDED-CLIENT-CERT)%"),
        ],
    }
    place: dict[str, Any] = {"address": "::", "ipv4_compat": True} if six else {"address": "0.0.0.0"}  # noqa: S104 - within its pod
    return _bootstrap({**place, "port_value": PORT}, [answer], [])


def client(servers: Mapping[str, str], doors: Mapping[str, tuple[str, int]]) -> str:
    """Configuration, JSON, of a client.

    Args:
        servers: host names of servers, by the word that chooses one.
        doors: addresses and ports to which connections are opened, by the word that chooses one.
    """
    routes = [_route(call_path(word), f"server-{word}", f"{host}:{PORT}") for word, host in servers.items()]
    routes += [_route(door_path(word), f"door-{word}", "door.invalid") for word in doors]
    clusters = [_upstream(f"server-{word}", host, PORT) for word, host in servers.items()]
    clusters += [_upstream(f"door-{word}", *place) for word, place in doors.items()]
    return _bootstrap({"address": "127.0.0.1", "port_value": ASKING_PORT}, routes, clusters)


def call_path(word: str) -> str:
    """The path by which a client is asked to call a server."""
    return f"/call/{word}"


def door_path(word: str) -> str:
    """The path by which a client is asked to open a connection to an address."""
    return f"/open/{word}"


def _route(path: str, cluster: str, host: str) -> dict[str, Any]:
    return {
        "match": {"path": path},
        "route": {"cluster": cluster, "host_rewrite_literal": host, "timeout": "10s"},
        "response_headers_to_add": [_header(FLAGS_HEADER, "%RESPONSE_FLAGS%")],
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _upstream(name: str, host: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    return {
        "name": name,
        "type": "STATIC" if _is_ip(host) else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": f"{_CONNECT:g}s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        # A connection for each call: one that is kept would tell how things were, not how they are.
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _bootstrap(place: Mapping[str, Any], routes: list[Any], clusters: list[Any]) -> str:
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "verify",
        # What the mesh's proxy says of the caller; nothing else reaches this port.
        "forward_client_cert_details": "ALWAYS_FORWARD_ONLY",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
            }
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "verify", "address": {"socket_address": place}, "filter_chains": [chain]}
    resources = {"listeners": [listener], "clusters": clusters}
    return json.dumps({"static_resources": resources}, separators=(",", ":"), sort_keys=True)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
