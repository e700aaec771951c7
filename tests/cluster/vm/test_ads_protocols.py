"""A stock Envoy tells servers of the mesh that it speaks HTTP, and others nothing, as Istio's own does."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm_pb2,
)
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import any_pb2, json_format, message

from meshctl import pki
from meshctl.agent.ads.extensions import ALPN, REMOVABLE, Extensions
from meshctl.agent.ads.filtering import Filtering
from meshctl.agent.ads.state import CLUSTERS, LISTENERS
from meshctl.sandbox import wheels
from tests.cluster.vm.proxied import extensions

pytestmark = pytest.mark.cluster

KNOWN = (set_filter_state_pb2.Config,)
"""Messages that the agent puts in: JSON is made of those that were imported."""
PATIENCE = 20.0
PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@contextmanager
def server(folder: Path, *accepted: str) -> Iterator[tuple[int, list[str | None]]]:
    """A TLS server on loopback; its port, and the protocol that each connection agreed on."""
    ca = pki.new_authority(pki.Subject(organizations=("x",)), datetime.now(UTC))
    pair = ca.issue(pki.Subject(dns=("x",)), datetime.now(UTC))
    (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    context.set_alpn_protocols(list(accepted))
    agreed: list[str | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with context.wrap_socket(plain, server_side=True) as connection:
                    agreed.append(connection.selected_alpn_protocol())
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], agreed
        listening.shutdown(socket.SHUT_RDWR)


def packed(content: message.Message) -> any_pb2.Any:
    made = any_pb2.Any()
    made.Pack(content)
    return made


def cluster(port: int, *protocols: str) -> cluster_pb2.Cluster:
    """As istiod makes it."""
    made = cluster_pb2.Cluster(name="out", type=cluster_pb2.Cluster.STATIC)
    made.load_assignment.cluster_name = "out"
    address = made.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    tls = tls_pb2.UpstreamTlsContext()
    tls.common_tls_context.alpn_protocols.extend(protocols)
    made.transport_socket.name = "tls"
    made.transport_socket.typed_config.CopyFrom(packed(tls))
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    made.typed_extension_protocol_options[PROTOCOLS].CopyFrom(packed(options))
    return made


def listener(port: int) -> listener_pb2.Listener:
    made = listener_pb2.Listener(name="in")
    made.address.socket_address.address, made.address.socket_address.port_value = "127.0.0.1", port
    http = hcm_pb2.HttpConnectionManager(stat_prefix="in")
    route = http.route_config.virtual_hosts.add(name="all", domains=["*"]).routes.add()
    route.match.prefix, route.route.cluster = "/", "out"
    offering = any_pb2.Any(type_url=f"type.googleapis.com/{ALPN}")
    http.http_filters.add(name="istio.alpn", typed_config=offering)
    http.http_filters.add(name="envoy.filters.http.router", typed_config=packed(router_pb2.Router()))
    chain = made.filter_chains.add()
    chain.filters.add(name="envoy.filters.network.http_connection_manager", typed_config=packed(http))
    return made


def fitted(type_url: str, sent: message.Message) -> Any:
    """What the agent makes of it for the Envoy that runs here, as Envoy reads it from a file."""
    known = extensions()
    has = Extensions(
        frozenset(url for each in known for url in each.type_urls),
        frozenset(each.name for each in known if each.category.endswith("filter_state.object")),
    )
    raw = Filtering(has, REMOVABLE).fitted(type_url, sent.SerializeToString())
    assert raw is not None
    return json_format.MessageToDict(type(sent).FromString(raw), preserving_proto_field_name=True)


@pytest.mark.parametrize(
    ("protocols", "accepted", "expected"),
    [
        (("istio",), ("istio-http/1.1", "istio"), "istio-http/1.1"),
        (("istio-peer-exchange", "istio"), ("istio-peer-exchange", "h2", "http/1.1"), None),
        (("http/1.1",), ("istio-http/1.1", "http/1.1"), "http/1.1"),
        ((), ("istio-http/1.1", "istio", "http/1.1"), "http/1.1"),
    ],
)
def test_what_is_offered(protocols: tuple[str, ...], accepted: tuple[str, ...], expected: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="vm") as name, server(Path(name), *accepted) as (port, agreed):
        folder = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            own = free.getsockname()[1]
        resources = {
            "clusters": [fitted(CLUSTERS, cluster(port, *protocols))],
            "listeners": [fitted(LISTENERS, listener(own))],
        }
        (folder / "envoy.json").write_text(json.dumps({"static_resources": resources}))
        argv = [wheels.envoy(), "-c", folder / "envoy.json", "--disable-hot-restart", "-l", "warning"]
        with (folder / "log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
            try:
                said = _asked(own)
            finally:
                process.kill()
        assert b"200 OK" in said, (folder / "log").read_text()[-3000:]
        assert agreed == [expected]


def _asked(port: int) -> bytes:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            if time.monotonic() > deadline:
                return b""
            time.sleep(0.1)
