"""istiod's certificate authority: what it would give a proxy that starts now.

A signing request for a key of our own is sent to one istiod, over the same port and with the same token as
its debug streams; the key is thrown away, and the certificate lasts a minute. It is the one way to see which
intermediate an istiod signs with and which roots it hands out, as it reads both from files now and then.

Source: istio.io/api security/v1alpha1/ca.proto (the service, and numbers of fields).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from meshctl import pki
from meshctl.adapters.xds import channel_to, refusal
from meshctl.errors import FailedError
from meshctl.model.envoy import Identity

if TYPE_CHECKING:
    from meshctl.adapters.xds import Caller, Server
    from meshctl.ports import Cluster

_PORT: Final = 15012
_SECONDS: Final = 60  # validity of what is asked for
_PACKAGE: Final = "istio.v1.auth"
_METHOD: Final = f"/{_PACKAGE}.IstioCertificateService/CreateCertificate"


def handed_out(cluster: Cluster, server: Server, caller: Caller, *, seconds: float = 10.0) -> Identity:
    """Ask one istiod for a certificate; with it come the roots that the istiod hands out.

    Args:
        cluster: where the istiod runs.
        server: whom to ask.
        caller: who asks, and the roots that may vouch for the istiod.
        seconds: how long to wait once it is connected.

    Raises:
        UnreachableError: no connection, or no answer in time.
        AccessError: istiod does not take the token.
        FailedError: what answers is not an istiod of this mesh, or it does not sign.
    """
    with cluster.forward(server.namespace, server.pod, _PORT) as (host, port):
        answer = _asked(f"{host}:{port}", server, caller, seconds)
    try:
        *chain, roots = (text.encode() for text in answer.cert_chain)
        return Identity(tuple(one for each in chain for one in pki.split(each)), pki.split(roots), roots)
    except ValueError as fault:
        raise FailedError(
            "istiod-failed",
            f"what istiod {server.namespace}/{server.pod} signed is no certificate with a root",
            details=(str(fault),),
        ) from fault


def _asked(address: str, server: Server, caller: Caller, seconds: float) -> Any:
    import grpc

    request, response = _messages()
    asked = request(csr=pki.signing_request(pki.new_key(), pki.Subject()), validity_duration=_SECONDS)
    metadata = (("authorization", f"Bearer {caller.token}"),)
    with channel_to(address, server, caller) as channel:
        call = channel.unary_unary(
            _METHOD, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )
        try:
            return call(asked, timeout=seconds, metadata=metadata)
        except grpc.RpcError as refused:
            raise refusal(refused, server, seconds) from refused


@cache
def _messages() -> tuple[Any, Any]:
    """Request and response of the service, of which xds-protos has none."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="meshctl/ca.proto", package=_PACKAGE, syntax="proto3")
    request = file.message_type.add(name="IstioCertificateRequest")
    request.field.add(name="csr", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    request.field.add(name="validity_duration", number=3, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = (pool.FindMessageTypeByName(f"{_PACKAGE}.{each.name}") for each in (request, response))
    first, second = map(message_factory.GetMessageClass, made)
    return first, second
