"""A proxy as istiod sees one: a real ADS stream that subscribes and acknowledges, without an Envoy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, Self

import grpc
from envoy.service.discovery.v3 import discovery_pb2

TYPES = {
    "CDS": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "LDS": "type.googleapis.com/envoy.config.listener.v3.Listener",
}


class AdsProxy:
    """Subscribes to clusters and listeners while its context is open.

    Args:
        address: `host:port` of istiod's secured XDS.
        root: PEM of the mesh root.
        token: of the workload's service account, audience `istio-ca`.
        name, namespace, account: of the workload.
        reply: `ack`, `nack` or `silent`: what it answers to a push.
    """

    def __init__(
        self,
        address: str,
        root: bytes,
        token: str,
        *,
        name: str,
        namespace: str,
        account: str = "default",
        host: str = "istiod.istio-system.svc",
        cluster: str = "Kubernetes",
        version: str = "1.31.0",
        reply: str = "ack",
    ) -> None:
        self._channel = grpc.secure_channel(
            address,
            grpc.ssl_channel_credentials(root),
            options=(("grpc.ssl_target_name_override", host), ("grpc.enable_http_proxy", 0)),
        )
        self._token, self._reply = token, reply
        self._node = discovery_pb2.DiscoveryRequest().node
        self._node.id = f"sidecar~10.1.1.1~{name}.{namespace}~{namespace}.svc.cluster.local"
        self._node.metadata.update(
            {
                "NAMESPACE": namespace,
                "SERVICE_ACCOUNT": account,
                "CLUSTER_ID": cluster,
                "ISTIO_VERSION": version,
                "PROXY_CONFIG": {"discoveryAddress": "istiod.istio-system.svc:15012"},
            }
        )
        self._outgoing: SimpleQueue[Any] = SimpleQueue()
        self._told = {short: threading.Event() for short in TYPES}

    def __enter__(self) -> Self:
        for url in TYPES.values():
            self._outgoing.put(discovery_pb2.DiscoveryRequest(type_url=url, node=self._node))
        stream = self._channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {self._token}"),)
        self._call = stream(iter(self._outgoing.get, None), metadata=metadata)
        threading.Thread(target=self._answer, args=(self._call,), daemon=True).start()
        if not all(told.wait(10) for told in self._told.values()):
            raise TimeoutError("istiod sent nothing")
        return self

    def __exit__(self, *error: object) -> None:
        self._call.cancel()
        self._outgoing.put(None)
        self._channel.close()

    def _answer(self, call: Iterator[Any]) -> None:
        try:
            for response in call:
                self._push(response)
        except grpc.RpcError:
            pass  # the stream was cancelled, or istiod was stopped by the test

    def _push(self, response: Any) -> None:
        if self._reply != "silent":
            request = discovery_pb2.DiscoveryRequest(
                type_url=response.type_url,
                version_info="" if self._reply == "nack" else response.version_info,
                response_nonce=response.nonce,
            )
            if self._reply == "nack":
                request.error_detail.code = 13
                request.error_detail.message = "no such filter"
            self._outgoing.put(request)
        for short, url in TYPES.items():
            if url == response.type_url:
                self._told[short].set()
