"""The protocol messages that the agent reads and writes: only the fields that it looks at.

They are made from field numbers when this module is imported, which takes a tenth of the memory of the whole
API. Fields that are not named here are kept as they came, so that what is written again is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, struct_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final[dict[str, Any]] = {"string": 9, "bytes": 12, "int64": 3, "bool": 8, "int32": 5, "uint32": 13}
_MESSAGE: Final[Any] = 11
MESSAGES: Final[Mapping[str, Mapping[int, str]]] = {
    "envoy.config.core.v3.Extension": {1: "name string", 2: "category string", 6: "type_urls *string"},
    "envoy.config.core.v3.Node": {
        1: "id string", 2: "cluster string", 3: "metadata google.protobuf.Struct",
        9: "extensions *envoy.config.core.v3.Extension",
    },
    "google.rpc.Status": {1: "code int32", 2: "message string"},
    "envoy.service.discovery.v3.DiscoveryRequest": {
        1: "version_info string", 2: "node bytes", 3: "resource_names *string", 4: "type_url string",
        5: "response_nonce string", 6: "error_detail google.rpc.Status",
    },
    "envoy.service.discovery.v3.DiscoveryResponse": {
        1: "version_info string", 2: "resources *google.protobuf.Any", 4: "type_url string", 5: "nonce string",
    },
    "envoy.service.discovery.v3.DeltaDiscoveryRequest": {
        1: "node bytes", 2: "type_url string", 3: "resource_names_subscribe *string",
        4: "resource_names_unsubscribe *string", 6: "response_nonce string", 7: "error_detail google.rpc.Status",
    },
    "envoy.service.discovery.v3.Resource": {
        1: "version string", 2: "resource google.protobuf.Any", 3: "name string", 4: "aliases *string",
    },
    "envoy.service.discovery.v3.DeltaDiscoveryResponse": {
        1: "system_version_info string", 2: "resources *envoy.service.discovery.v3.Resource",
        4: "type_url string", 5: "nonce string", 6: "removed_resources *string",
    },
    "meshctl.ResponseHead": {1: "version string", 4: "type_url string", 5: "nonce string"},
    "istio.mesh.v1alpha1.ProxyConfig": {34: "ca_certificates_pem *string"},
    "envoy.config.core.v3.DataSource": {1: "filename string", 2: "inline_bytes bytes", 3: "inline_string string"},
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate": {
        1: "certificate_chain envoy.config.core.v3.DataSource", 2: "private_key envoy.config.core.v3.DataSource",
    },
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext": {
        1: "trusted_ca envoy.config.core.v3.DataSource",
    },
    "envoy.extensions.transport_sockets.tls.v3.Secret": {
        1: "name string", 2: "tls_certificate envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        4: "validation_context envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    },
    "istio.v1.auth.IstioCertificateRequest": {
        1: "csr string", 3: "validity_duration int64", 4: "metadata google.protobuf.Struct",
    },
    "istio.v1.auth.IstioCertificateResponse": {1: "cert_chain *string"},
    "istio.networking.nds.v1.NameInfo": {
        1: "ips *string", 2: "registry string", 3: "shortname string", 4: "namespace string", 5: "alt_hosts *string",
    },
    "grpc.health.v1.HealthCheckRequest": {1: "service string"},
    "grpc.health.v1.HealthCheckResponse": {1: "status int32"},
    "istio.networking.nds.v1.NameTable": {1: "table <string,istio.networking.nds.v1.NameInfo>"},
}  # fmt: skip
"""Fields by number: a name and a kind; `*` is repeated, `<string,K>` a map. Source: Envoy's and Istio's API.

A request's `node` is kept as bytes: it is read once a stream, and has a hundred kilobytes. `ResponseHead` is what
both kinds of responses begin with; the resources, which can have megabytes, are not read with it.
"""


def _label(kind: str) -> Any:
    return 3 if kind[0] in "*<" else 1  # repeated, or optional


def _field(message: descriptor_pb2.DescriptorProto, number: int, said: str) -> None:
    name, kind = said.split(" ")
    field = message.field.add(name=name, number=number, label=_label(kind))
    if kind.startswith("<"):
        field.type, field.type_name = _MESSAGE, _entry(message, name, kind)
    elif kind.lstrip("*") in _KINDS:
        field.type = _KINDS[kind.lstrip("*")]
    else:
        field.type, field.type_name = _MESSAGE, "." + kind.lstrip("*")


def _entry(message: descriptor_pb2.DescriptorProto, name: str, kind: str) -> str:
    """The message that a map's entries are, as protobuf names and marks it."""
    key, value = kind.strip("<>").split(",")
    entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
    entry.options.map_entry = True
    _field(entry, 1, f"key {key}")
    _field(entry, 2, f"value {value}")
    return entry.name


def classes(messages: Mapping[str, Mapping[int, str]]) -> dict[str, Any]:
    """A class for each message, by its name.

    Args:
        messages: fields of each, by number: a name and a kind, as in the table above; a message's package stands
            after those of the messages that it is made of.
    """
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    packages = tuple(dict.fromkeys(name.rpartition(".")[0] for name in messages))
    for at, package in enumerate(packages):
        file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
        file.dependency.extend([*packages[:at], any_pb2.DESCRIPTOR.name, struct_pb2.DESCRIPTOR.name])
        for name, fields in messages.items():
            if name.rpartition(".")[0] == package:
                message = file.message_type.add(name=name.rpartition(".")[2])
                for number, said in fields.items():
                    _field(message, number, said)
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in messages}


_CLASSES: Final = classes(MESSAGES)

DiscoveryRequest: Final = _CLASSES["envoy.service.discovery.v3.DiscoveryRequest"]
DiscoveryResponse: Final = _CLASSES["envoy.service.discovery.v3.DiscoveryResponse"]
DeltaDiscoveryRequest: Final = _CLASSES["envoy.service.discovery.v3.DeltaDiscoveryRequest"]
DeltaDiscoveryResponse: Final = _CLASSES["envoy.service.discovery.v3.DeltaDiscoveryResponse"]
Node: Final = _CLASSES["envoy.config.core.v3.Node"]
ResponseHead: Final = _CLASSES["meshctl.ResponseHead"]
Secret: Final = _CLASSES["envoy.extensions.transport_sockets.tls.v3.Secret"]
CertificateRequest: Final = _CLASSES["istio.v1.auth.IstioCertificateRequest"]
CertificateResponse: Final = _CLASSES["istio.v1.auth.IstioCertificateResponse"]
HealthCheckRequest: Final = _CLASSES["grpc.health.v1.HealthCheckRequest"]
HealthCheckResponse: Final = _CLASSES["grpc.health.v1.HealthCheckResponse"]
NameTable: Final = _CLASSES["istio.networking.nds.v1.NameTable"]
ProxyConfig: Final = _CLASSES["istio.mesh.v1alpha1.ProxyConfig"]
