"""Istio's ProxyConfig: how a mesh wants its proxies. Source: istio.io/api, mesh/v1alpha1/proxy.proto."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.reading.document import kind
from meshctl.agent.reading.fields import camel, shown
from meshctl.agent.reading.texts import is_duration, is_host_port, seconds
from meshctl.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshctl.agent.reading.document import Document
    from meshctl.agent.reading.problems import Problems

DEFAULTS: Final[Mapping[str, Any]] = {
    "binaryPath": "/usr/local/bin/envoy",
    "configPath": "./etc/istio/proxy",
    "controlPlaneAuthPolicy": "MUTUAL_TLS",
    "discoveryAddress": "istiod.istio-system.svc:15012",
    "drainDuration": "45s",
    "proxyAdminPort": 15000,
    "serviceCluster": "istio-proxy",
    "statNameLength": 189,
    "statusPort": 15020,
    "terminationDrainDuration": "5s",
}
"""What Istio's proxies have where a mesh says nothing; some of it is only ever told to istiod."""

_TLS: Final[Mapping[str, Any]] = {
    "mode": ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"), "clientCertificate": "path",
    "privateKey": "path",
    "caCertificates": "path", "credentialName": "text", "subjectAltNames": "texts", "sni": "text",
    "insecureSkipVerify": "flag", "caCrl": "path",
}  # fmt: skip
_SERVICE: Final = {
    "address": "address", "tlsSettings": _TLS,
    "tcpKeepalive": {"probes": "count", "time": "duration", "interval": "duration"},
}  # fmt: skip
_TRACING: Final = {
    "zipkin": {"address": "address"}, "lightstep": {"address": "address", "accessToken": "text"},
    "datadog": {"address": "address"}, "stackdriver": "object", "openCensusAgent": "object",
    "customTags": "object", "maxPathTagLength": "count", "sampling": "number", "tlsSettings": _TLS,
    "enableIstioTags": "flag",
}  # fmt: skip
_STATS: Final = {"inclusionPrefixes": "texts", "inclusionSuffixes": "texts", "inclusionRegexps": "texts"}
_SHAPE: Final[Mapping[str, Any]] = {
    "configPath": "text", "binaryPath": "text", "serviceCluster": "text",
    "tracingServiceName": ("APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"),
    "drainDuration": "duration", "discoveryAddress": "address", "discoveryRefreshDelay": "duration",
    "zipkinAddress": "text", "statsdUdpAddress": "address", "envoyMetricsServiceAddress": "text",
    "proxyAdminPort": "port", "availabilityZone": "text",
    "controlPlaneAuthPolicy": ("NONE", "MUTUAL_TLS", "INHERIT"), "customConfigFile": "text",
    "statNameLength": "count", "concurrency": "count", "proxyBootstrapTemplatePath": "text",
    "interceptionMode": ("REDIRECT", "TPROXY", "NONE"), "tracing": _TRACING, "sds": "object",
    "envoyAccessLogService": _SERVICE, "envoyMetricsService": _SERVICE, "proxyMetadata": "map",
    "runtimeValues": "map", "statusPort": "port", "extraStatTags": "texts", "gatewayTopology": "object",
    "terminationDrainDuration": "duration", "meshId": "text", "readinessProbe": "object",
    "proxyStatsMatcher": _STATS,
    "holdApplicationUntilProxyStarts": "flag", "caCertificatesPem": "texts", "image": "object",
    "privateKeyProvider": "object", "proxyHeaders": "object", "fileFlushInterval": "duration",
    "fileFlushMinSizeKb": "count", "statsCompression": "flag", "connectionSettings": "object",
}  # fmt: skip
"""Fields by name: a kind, an enum's names, or an object's fields. An `object` is istiod's own matter."""
_UNUSED: Final = {
    "customConfigFile": "Envoy starts with the agent's own bootstrap",
    "proxyBootstrapTemplatePath": "Envoy starts with the agent's own bootstrap",
    "privateKeyProvider": "keys stay with the agent's own identity",
}
_KINDS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "text": ("a string", lambda value: isinstance(value, str)),
    "path": ("a path without '~'", lambda value: isinstance(value, str) and "~" not in value),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "count": ("a whole number from 0 to 2147483647", lambda value: _is_whole(value, 2**31 - 1)),
    "port": ("a port, from 1 to 65535", lambda value: _is_whole(value, 65535) and int(value) > 0),
    "duration": ("a duration such as '45s'", lambda value: isinstance(value, str) and is_duration(value)),
    "address": ("an address such as 'host:15012'", lambda value: _is_address(value)),
    "texts": ("an array of strings", lambda value: isinstance(value, list) and _all_texts(value)),
    "map": ("an object of strings", lambda value: isinstance(value, dict) and _all_texts(value.values())),
    "object": ("an object", lambda value: isinstance(value, dict)),
}  # fmt: skip


@dataclass(frozen=True)
class ProxyConfig:
    """A ProxyConfig that is right, with its defaults.

    Attributes:
        data: as JSON, in camelCase; what istiod is told.
        probe: its readinessProbe, with the place of it; None without one.
    """

    data: Mapping[str, Any]
    probe: Document | None = None

    def seconds(self, name: str) -> float:
        """A duration, which the defaults have or the caller knows to be there."""
        return seconds(self.data[name])

    @property
    def discovery_address(self) -> str:
        """Where istiod is, `host:port`."""
        return str(self.data["discoveryAddress"])

    @property
    def status_port(self) -> int:
        """Port of this host where the agent says how it is."""
        return int(self.data["statusPort"])

    @property
    def metadata(self) -> Mapping[str, str]:
        """Environment of a proxy."""
        return dict(self.data.get("proxyMetadata", {}))


def proxy_config(part: Document | None, service: str, problems: Problems) -> ProxyConfig:
    """Read what a mesh has set; a field that is not known here is passed on to istiod, with a warning.

    Args:
        part: what the mesh has set, or None.
        service: that the workload is of, where the mesh does not say it: cluster.env's ISTIO_SERVICE.
        problems: get what is wrong.
    """
    said: dict[str, Any] = {}
    probe = None
    if part is not None and not isinstance(part.value, dict):
        problems.add(f"there has to be an object, not {kind(part.value)}", part.where(), code="wrong-type")
    elif part is not None:
        said = _checked(part, _SHAPE, problems)
        for key in part.value:
            if camel(key) in _UNUSED:
                problems.warn(f"{key} is not used: {_UNUSED[camel(key)]}", part.where(key))
            if camel(key) == "readinessProbe" and isinstance(part.value[key], dict):
                probe = part.part(key)
    defaults = dict(DEFAULTS)
    if "tracingServiceName" in said:  # it is this or that. Source: ProxyConfig's cluster_name
        del defaults["serviceCluster"]
    elif service:
        defaults["serviceCluster"] = service
    return ProxyConfig({**defaults, **_without_secrets(said)}, probe)


def _checked(part: Document, shape: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The fields of an object, those of the shape in camelCase and of the right kind."""
    said = {}
    for key, value in part.value.items():
        name = key if key in shape else camel(key)
        if value is None:
            continue  # is as if it were not there. Source: the JSON mapping of protobuf
        if name not in shape:
            close = nearest(name, shape)
            hint = f", nearest is {close!r}" if close else ""
            problems.warn(
                f"the agent knows no field {key!r}{hint}; only istiod is told of it", part.where(key)
            )
            said[key] = value
        elif name in said:
            problems.add(
                f"{name!r} is there twice, also in snake case", part.where(key), code="duplicate-key"
            )
        else:
            said[name] = _field(part.part(key), shape[name], problems)
    return said


def _field(part: Document, wanted: Any, problems: Problems) -> Any:
    if isinstance(wanted, dict):
        if isinstance(part.value, dict):
            return _checked(part, wanted, problems)
        expected, right = "an object", False
    elif isinstance(wanted, tuple):
        expected, right = f"one of {', '.join(wanted)}", part.value in wanted
    else:
        expected, check = _KINDS[wanted]
        right = check(part.value)
    if not right:
        close = (
            nearest(part.value, wanted) if isinstance(wanted, tuple) and isinstance(part.value, str) else ""
        )
        problems.add(
            f"there has to be {expected}, not {shown(part.value)}",
            part.where(),
            code="wrong-type",
            hint=f"did you mean {close!r}?" if close else "",
        )
        return None
    return int(part.value) if wanted in ("count", "port") else part.value


def _without_secrets(said: dict[str, Any]) -> dict[str, Any]:
    """Without Lightstep's token: what Envoy starts with is a file, and no Envoy has that tracer any more."""
    tracing = said.get("tracing") or {}
    if "lightstep" not in tracing:
        return said
    hidden = {key: value for key, value in (tracing["lightstep"] or {}).items() if key != "accessToken"}
    return {**said, "tracing": {**tracing, "lightstep": hidden}}


def _is_whole(value: Any, most: int) -> bool:
    """Whether a value is a whole number, which protobuf's JSON may have as text too."""
    if isinstance(value, str):
        return re.fullmatch(r"[0-9]{1,10}", value) is not None and int(value) <= most
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and is_host_port(value)


def _all_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)
