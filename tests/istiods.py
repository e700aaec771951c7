"""istiods that are not there: their XDS for real over TLS on loopback, their cluster in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from threading import Event
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2

from meshctl import pki
from meshctl.model.objects import Object, Ref
from tests.fakes import KINDS, FakeCluster, kind_of

SENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOKEN = "token-of-istio-system-default-for-istio-ca"
TYPES = {
    "CDS": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "LDS": "type.googleapis.com/envoy.config.listener.v3.Listener",
}


@cache
def mesh_ca() -> pki.Authority:
    return pki.new_authority(pki.Subject(organizations=("cluster.local",)), datetime.now(UTC))


class FakeIstiod:
    """Serves ADS as istiod does, on a loopback port, while its context is open.

    Args:
        configs: what it has to say, as made by `client_config`.
        mood: `answers`, `silent` (takes the question and says nothing), `hangs-up`.
        host: the DNS name in its certificate.
        ca: who signed its certificate.
    """

    def __init__(
        self,
        *configs: Any,
        mood: str = "answers",
        host: str = "istiod.istio-system.svc",
        ca: pki.Authority | None = None,
        version: str = "1.31.1",
    ) -> None:
        self.asked: list[tuple[str, tuple[str, ...], Mapping[str, Any]]] = []
        self._configs, self._mood, self._version = configs, mood, version
        self._over = Event()
        pair = (ca or mesh_ca()).issue(pki.Subject(dns=(host,)), datetime.now(UTC))
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
        )
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        generic = grpc.method_handlers_generic_handler(service, {"StreamAggregatedResources": handler})
        self._server.add_generic_rpc_handlers((generic,))
        credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    def __enter__(self) -> FakeIstiod:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._server.stop(None).wait()

    def _serve(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        request = next(requests)
        self.asked.append((request.type_url, tuple(request.resource_names), dict(request.node.metadata)))
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        if self._mood == "silent":
            self._over.wait()
        if self._mood != "answers":
            return
        response = discovery_pb2.DiscoveryResponse(type_url=request.type_url, nonce="1")
        info = {"Component": "istiod", "ID": "istiod-1", "Info": {"version": self._version}}
        response.control_plane.identifier = json.dumps(info)
        for config in self._configs:
            response.resources.add().Pack(config)
        yield response
        next(requests, None)  # as istiod: the stream lives until the asker ends it


def client_config(
    name: str,
    namespace: str = "shop",
    *,
    cluster: str = "Kubernetes",
    version: str = "1.31.0",
    error: str = "",
    **states: str,
) -> Any:
    """What istiod says of one proxy; `states` as `CDS="SYNCED"`, all synced where none is given."""
    config = csds_pb2.ClientConfig()
    config.node.id = f"{name}.{namespace}"
    config.node.metadata.update({"CLUSTER_ID": cluster, "NAMESPACE": namespace, "ISTIO_VERSION": version})
    for short, state in (states or dict.fromkeys(TYPES, "SYNCED")).items():
        each = config.generic_xds_configs.add(type_url=TYPES[short], config_status=state)
        if state != "NOT_SENT":
            each.last_updated.FromDatetime(SENT)
        if state == "ERROR":
            each.error_state.details = error
    return config


class AskedCluster(FakeCluster):
    """A cluster with some istiods.

    Args:
        objects: what is there; their namespaces come by themselves.
        name: of the cluster.
        ports: loopback ports of istiods, by pod.
        broken: what reading a kind raises, by kind; also `version` and `token`.
    """

    def __init__(
        self,
        *objects: Mapping[str, Any],
        name: str = "home",
        ports: Mapping[str, int] | None = None,
        broken: Mapping[str, Exception] | None = None,
    ) -> None:
        self.reads: list[str] = []
        self._broken = dict(broken or {})
        places = {"istio-system", *(each["metadata"].get("namespace", "default") for each in objects)}
        asker = {"apiVersion": "v1", "kind": "ServiceAccount"}
        super().__init__(
            name,
            *(_named("Namespace", place) for place in sorted(places - {"default"})),
            {**asker, "metadata": {"namespace": "istio-system", "name": "default"}},
            *objects,
            kinds=(*KINDS, kind_of("networking.istio.io/v1", "WorkloadEntry")),
            settles=False,
        )
        for pod, port in (ports or {}).items():
            self.targets["istio-system", pod, 15012] = ("127.0.0.1", port)

    def version(self) -> str:
        self._read("version")
        return super().version()

    def get(self, ref: Ref) -> Object | None:
        self._read(ref.kind)
        return super().get(ref)

    def list(self, api_version: str, kind: str, **scope: str) -> tuple[Object, ...]:
        self._read(kind)
        return super().list(api_version, kind, **scope)

    def token(self, *account: str, **terms: Any) -> str:
        self._read("token")
        return super().token(*account, **terms)

    def _read(self, kind: str) -> None:
        self.reads.append(kind)
        if kind in self._broken:
            raise self._broken[kind]


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def root_config_map(ca: pki.Authority | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "istio-system", "name": "istio-ca-root-cert"},
        "data": {"root-cert.pem": (ca or mesh_ca()).root.decode()},
    }


def istiod_pod(
    name: str = "istiod-1", *, revision: str = "default", phase: str = "Running"
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "istio-system",
            "name": name,
            "labels": {"app": "istiod", "istio.io/rev": revision},
        },
        "spec": {
            "containers": [{"name": "discovery", "env": [{"name": "CLUSTER_ID", "value": "Kubernetes"}]}]
        },
        "status": {"phase": phase},
    }


def proxied_pod(
    name: str,
    namespace: str = "shop",
    *,
    role: str = "sidecar",
    revision: str = "default",
    phase: str = "Running",
    native: bool = False,
    image: str = "istio/proxyv2:1.31.0",
    **labels: str,
) -> dict[str, Any]:
    """A pod as the injector leaves it; `native`: the proxy is among the init containers."""
    proxy = {"name": "istio-proxy", "image": image, "args": ["proxy", role, "--domain", "x"]}
    app = {"name": "app", "image": "app:1"}
    containers = [app] if native else [app, proxy]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"service.istio.io/canonical-name": name, **labels},
            "annotations": {"sidecar.istio.io/status": json.dumps({"revision": revision})},
        },
        "spec": {"containers": containers, "initContainers": [proxy] if native else []},
        "status": {"phase": phase},
    }
