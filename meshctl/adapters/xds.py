"""istiod's debug streams: what it says of its proxies over secured XDS.

The stream is ADS on port 15012, reached by port-forward, with a token of a service account that may do
nothing else. istiod's certificate is verified against the mesh root, which the API server vouches for:
the token is shown to no one else.

Messages are decoded with xds-protos. Importing its CSDS module takes about 10 ms on top of grpc's 50 ms
(measured with protobuf 7 and xds-protos 1.85), so hand-made descriptors would save nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import AccessError, FailedError, UnreachableError
from meshctl.model.labels import REVISION
from meshctl.model.objects import Ref
from meshctl.model.proxy import Proxy, Sync, TypeSync

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.any_pb2 import Any as AnyMessage

    from meshctl.errors import MeshctlError
    from meshctl.model.objects import Object
    from meshctl.ports import Cluster

SYNCZ: Final = "istio.io/debug/syncz"
"""Type URL: a ClientConfig for every proxy of this istiod."""
CONFIG_DUMP: Final = "istio.io/debug/config_dump"
"""Type URL: what istiod computed for the one proxy named `pod.namespace`, a resource a section."""
DEBUG: Final = "istio.io/debug"
"""Type URL: any debug page; the one name is its path, such as `configz`; the resource holds JSON."""

ROOT_CONFIG_MAP: Final = "istio-ca-root-cert"
_PORT: Final = 15012
_ADS: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_TOKEN_SECONDS: Final = 600  # the shortest that the API server gives
_ACCOUNT: Final = "default"  # of Istio's namespace, where istiod shows every namespace; may do nothing else
_SYNC: Final = {1: Sync.SYNCED, 2: Sync.NOT_SENT, 3: Sync.STALE, 4: Sync.ERROR}  # envoy ConfigStatus


@dataclass(frozen=True, slots=True)
class Server:
    """An istiod pod that can be asked.

    Attributes:
        pod: its name.
        namespace: its namespace.
        revision: its control-plane revision, `default` for the unnamed one.
        cluster_id: ID that this istiod gives to its own cluster.
        is_leaving: whether its pod is being deleted; it may still have proxies, or be gone by now.
    """

    pod: str
    namespace: str
    revision: str
    cluster_id: str
    is_leaving: bool = False

    @property
    def host(self) -> str:
        """The DNS name its certificate must have."""
        unnamed = self.revision == "default"
        return f"istiod.{self.namespace}.svc" if unnamed else f"istiod-{self.revision}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and whom to trust: a token and the mesh root (PEM)."""

    namespace: str
    root: bytes = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Resources of one answer, and the version of the istiod that gave it (empty where it does not say)."""

    resources: tuple[AnyMessage, ...]
    version: str


def servers(cluster: Cluster, namespace: str, revision: str = "") -> tuple[Server, ...]:
    """Running istiod pods in `namespace`, by name; only those of `revision` when it is given."""
    labels = f"app=istiod,istio.io/rev={revision}" if revision else "app=istiod"
    pods = cluster.list("v1", "Pod", namespace=namespace, labels=labels, fields="status.phase=Running")
    return tuple(sorted(map(_server, pods), key=lambda server: server.pod))


def caller(cluster: Cluster, namespace: str, root: bytes = b"") -> Caller:
    """What is needed to ask any istiod in `namespace`: one token serves for all.

    Args:
        cluster: whose tokens these istiods believe.
        namespace: where they run.
        root: what vouches for them, PEM, where that is known; empty: the mesh root as it is published.

    Raises:
        FailedError: the mesh root is not published, so istiod's certificate cannot be verified.
        AccessError: no right to read the mesh root or to ask for the token.
    """
    if not root:
        found = cluster.get(Ref("v1", "ConfigMap", namespace, ROOT_CONFIG_MAP))
        root = found.at("data.root-cert\\.pem", "").encode() if found else b""
    if not root:
        raise FailedError(
            "mesh-root-missing",
            f"ConfigMap {namespace}/{ROOT_CONFIG_MAP} with the mesh root is missing, "
            "so istiod's certificate cannot be verified and nothing was sent",
            hint=f"istiod writes it; see its log: kubectl logs -n {namespace} -l app=istiod",
        )
    token = cluster.token(namespace, _ACCOUNT, audiences=("istio-ca",), seconds=_TOKEN_SECONDS)
    return Caller(namespace, root, token)


def ask(
    cluster: Cluster,
    server: Server,
    caller: Caller,
    type_url: str,
    names: Sequence[str] = (),
    *,
    seconds: float,
) -> Answer:
    """Ask one istiod one question and wait for its answer, at most `seconds` once it is connected.

    Args:
        cluster: where the istiod runs.
        server: whom to ask.
        caller: who asks.
        type_url: `SYNCZ`, `CONFIG_DUMP` or `DEBUG`.
        names: resource names, as the type wants them.
        seconds: how long to wait.

    Raises:
        UnreachableError: no connection, or no answer in time.
        AccessError: istiod does not take the token, or does not allow the question.
        FailedError: what answers is not an istiod of this mesh, or it says no.
    """
    with cluster.forward(server.namespace, server.pod, _PORT) as (host, port):
        return _exchange(f"{host}:{port}", server, caller, _request(caller, type_url, names), seconds)


def proxies(server: Server, answer: Answer) -> tuple[Proxy, ...]:
    """The proxies in an answer to `SYNCZ`, in its order."""
    from envoy.service.status.v3 import csds_pb2

    return tuple(_proxy(server, csds_pb2.ClientConfig.FromString(each.value)) for each in answer.resources)


def _server(pod: Object) -> Server:
    env = pod.at("spec.containers[0].env", [])
    cluster_id = next((each.get("value", "") for each in env if each["name"] == "CLUSTER_ID"), "")
    revision = pod.labels.get(REVISION, "default")
    return Server(pod.ref.name, pod.ref.namespace, revision, cluster_id or "Kubernetes", pod.is_leaving)


def _request(caller: Caller, type_url: str, names: Sequence[str]) -> Any:
    from envoy.service.discovery.v3 import discovery_pb2

    request = discovery_pb2.DiscoveryRequest(type_url=type_url, resource_names=names)
    # istiod wants an address in every node ID, and the namespace and account that the token proves.
    request.node.id = f"sidecar~127.0.0.1~meshctl.{caller.namespace}~{caller.namespace}.svc.cluster.local"
    request.node.metadata.update(
        {"GENERATOR": "event", "NAMESPACE": caller.namespace, "SERVICE_ACCOUNT": _ACCOUNT}
    )
    return request


def _exchange(address: str, server: Server, caller: Caller, request: Any, seconds: float) -> Answer:
    import grpc
    from envoy.service.discovery.v3 import discovery_pb2

    # Kept open until the answer is there: istiod gives up on a stream whose sending side has ended.
    outgoing: SimpleQueue[Any] = SimpleQueue()
    outgoing.put(request)
    with channel_to(address, server, caller) as channel:
        stream = channel.stream_stream(
            _ADS,
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )
        call = stream(
            iter(outgoing.get, None), timeout=seconds, metadata=(("authorization", f"Bearer {caller.token}"),)
        )
        try:
            return _first(call, server, request.type_url)
        except grpc.RpcError as refused:
            raise refusal(refused, server, seconds) from refused
        finally:
            call.cancel()
            outgoing.put(None)


def _first(call: Iterator[Any], server: Server, type_url: str) -> Answer:
    for response in call:
        if response.type_url == type_url:
            return Answer(tuple(response.resources), _version(response.control_plane.identifier))
    raise FailedError("istiod-hung-up", f"istiod {_place(server)} ended the stream without an answer")


def _version(identifier: str) -> str:
    """Istio's version in a control plane identifier, which istiod makes a JSON object."""
    try:
        info = json.loads(identifier).get("Info", {})
    except (ValueError, AttributeError):
        return ""
    return str(info.get("version", ""))


def channel_to(address: str, server: Server, caller: Caller) -> Any:
    """A gRPC channel to an istiod at a forwarded `host:port`, whose certificate is verified."""
    import grpc

    options = (
        ("grpc.ssl_target_name_override", server.host),
        ("grpc.enable_http_proxy", 0),  # the address is loopback, whatever the environment says
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", -1),  # one message holds all proxies
    )
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(caller.root), options=options)


def refusal(refused: Any, server: Server, seconds: float) -> MeshctlError:
    """What a gRPC error of an istiod means; `seconds` is how long it had for its answer."""
    import grpc

    who, code, details = f"istiod {_place(server)}", refused.code(), str(refused.details() or "")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnreachableError(
            "istiod-silent",
            f"{who} did not answer within {seconds:g} s",
            hint="give it longer with --timeout, or look at its pod",
        )
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return AccessError("istiod-refuses", f"{who} does not let us ask", details=(details,))
    if "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details:
        return FailedError(
            "istiod-untrusted",
            f"{who} has no certificate for {server.host} that the mesh root vouches for",
            hint=f"the root is in ConfigMap {server.namespace}/{ROOT_CONFIG_MAP}; "
            "if the CA was changed, restart istiod",
            details=(details,),
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError("istiod-unreachable", f"{who} cannot be reached", details=(details,))
    return FailedError("istiod-failed", f"{who} answered {code.name}", details=(details,))


def _place(server: Server) -> str:
    return f"{server.namespace}/{server.pod}"


def _proxy(server: Server, config: Any) -> Proxy:
    metadata: Mapping[str, Any] = config.node.metadata
    name, _, namespace = config.node.id.rpartition(".")
    return Proxy(
        name=name,
        namespace=_text(metadata, "NAMESPACE") or namespace,
        cluster=_text(metadata, "CLUSTER_ID"),
        istiod=server.pod,
        version=_text(metadata, "ISTIO_VERSION"),
        types={each.type_url: _sync(each) for each in config.generic_xds_configs},
    )


def _text(metadata: Mapping[str, Any], key: str) -> str:
    return str(metadata[key]) if key in metadata else ""


def _sync(config: Any) -> TypeSync:
    seconds = config.last_updated.seconds
    # Go's zero time travels as year 1; it means that nothing was ever sent.
    sent = datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    return TypeSync(_SYNC.get(config.config_status, Sync.IGNORED), sent, config.error_state.details)
