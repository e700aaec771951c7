"""Istio's MeshConfig and ProxyConfig as istiod reads, merges and writes them.

Data is kept in protobuf's JSON form: fields by their JSON names, durations as `45s`, enumerations as names;
fields that hold nothing but their default are left out.

Source: istio.io/istio pkg/config/mesh; JSON as golang/protobuf jsonpb reads and writes it.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting.mesh_types import enums, mesh_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.fields import Field

PROXY_DEFAULTS: Mapping[str, Any] = {
    "configPath": "./etc/istio/proxy",
    "binaryPath": "/usr/local/bin/envoy",
    "serviceCluster": "istio-proxy",
    "drainDuration": "45s",
    "discoveryAddress": "istiod.istio-system.svc:15012",
    "proxyAdminPort": 15000,
    "controlPlaneAuthPolicy": "MUTUAL_TLS",
    "statNameLength": 189,
    "statusPort": 15020,
    "terminationDrainDuration": "5s",
}
MESH_DEFAULTS: Mapping[str, Any] = {
    "proxyListenPort": 15001,
    "proxyInboundListenPort": 15006,
    "connectTimeout": "10s",
    "protocolDetectionTimeout": "0s",
    "ingressClass": "istio",
    "ingressService": "istio-ingressgateway",
    "ingressControllerMode": "STRICT",
    "enableTracing": True,
    "defaultConfig": PROXY_DEFAULTS,
    "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    "inboundTrafficPolicy": {},
    "enableAutoMtls": True,
    "trustDomain": "cluster.local",
    "defaultServiceExportTo": ["*"],
    "defaultVirtualServiceExportTo": ["*"],
    "defaultDestinationRuleExportTo": ["*"],
    "rootNamespace": "istio-system",
    "localityLbSetting": {"enabled": True},
    "dnsRefreshRate": "60s",
}
# Headers of a proxy that a more particular configuration leaves alone where it does not name them.
_HEADERS = ("forwardedClientCert", "requestId", "attemptCount", "server", "envoyDebugHeaders")
_ZEROS: tuple[Any, ...] = ("", 0, False, None, [], {})
_UNITS = {
    "ns": "1e-9",
    "us": "1e-6",
    "µs": "1e-6",
    "μs": "1e-6",
    "ms": "1e-3",
    "s": "1",
    "m": "60",
    "h": "3600",
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def mesh_config(said: Any) -> dict[str, Any]:
    """A mesh configuration with Istio's defaults under what was said.

    Raises:
        ValueError: a value of the wrong type; names its path.
    """
    own = message(said or {}, "MeshConfig")
    proxy = (said or {}).get("defaultConfig") or {}
    return {**_laid(MESH_DEFAULTS, own, "MeshConfig"), "defaultConfig": proxy_config(PROXY_DEFAULTS, proxy)}


def proxy_config(base: Mapping[str, Any], said: Any) -> dict[str, Any]:
    """`said` over `base`: fields replace each other; metadata and some headers are merged.

    Raises:
        ValueError: a value of the wrong type; names its path.
    """
    own = message(said, "ProxyConfig")
    merged = _laid(base, own, "ProxyConfig")
    metadata = {**(base.get("proxyMetadata") or {}), **(own.get("proxyMetadata") or {})}
    if metadata:
        merged["proxyMetadata"] = metadata
    if "proxyHeaders" in own and "proxyHeaders" in base:
        old = {key: value for key, value in base["proxyHeaders"].items() if key in _HEADERS}
        merged["proxyHeaders"] = {**old, **own["proxyHeaders"]}
    return merged


def told_proxy_config(base: Mapping[str, Any], said: Any) -> dict[str, Any]:
    """`said` over `base`, as istiod does it for one pod: what is said to be empty is not said at all.

    Raises:
        ValueError: a value of the wrong type; names its path.
    """
    return proxy_config(base, _laid({}, message(said, "ProxyConfig"), "ProxyConfig"))


def is_set(value: Any) -> bool:
    """Whether protobuf keeps a value of a plain field, a list or a map of fields."""
    return value not in _ZEROS


def message(data: Any, kind: str, path: str = "") -> dict[str, Any]:
    """The known fields of a message, in its own order; what is said to be empty is kept as such.

    Raises:
        ValueError: a value of the wrong type; names its path.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{path or 'it'} is not a map")  # noqa: TRY004 - of the user's data
    found: dict[str, Any] = {}
    for field in mesh_types()[kind].fields:
        value = data.get(field.name, data.get(_snake(field.name)))
        if value is not None:
            found = {key: each for key, each in found.items() if not _rivals(key, field, kind)}
            found[field.name] = _value(value, field, f"{path}.{field.name}" if path else field.name)
    return found


def _laid(base: Mapping[str, Any], own: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """`own` over `base`; a group holds the last of its fields, and a plain field set to nothing is gone."""
    known = mesh_types()[kind].by_name
    result = {
        key: value for key, value in base.items() if not any(_rivals(key, known[mine], kind) for mine in own)
    }
    for key, value in own.items():
        if (
            is_set(value)
            or known[key].group
            or (isinstance(value, dict) and not known[key].shape)
            or known[key].kind.endswith("value")
        ):
            result[key] = value
        else:
            result.pop(key, None)
    return result


def _rivals(key: str, field: Field, kind: str) -> bool:
    other = mesh_types()[kind].by_name[key]
    return bool(field.group) and other.group == field.group and other.name != field.name


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _value(value: Any, field: Field, path: str) -> Any:
    match field.shape:
        case "[]":
            if not isinstance(value, list):
                raise ValueError(f"{path} is not a list")  # noqa: TRY004 - of the user's data
            return [_plain(each, field.kind, f"{path}[{at}]") for at, each in enumerate(value)]
        case "{}":
            if not isinstance(value, dict):
                raise ValueError(f"{path} is not a map")  # noqa: TRY004 - of the user's data
            return {key: _plain(each, field.kind, f"{path}.{key}") for key, each in value.items()}
        case _:
            return _plain(value, field.kind, path)


def _plain(value: Any, kind: str, path: str) -> Any:
    if kind in mesh_types():
        return _laid({}, message(value, kind, path), kind)
    if kind.startswith("enum."):
        return _enum(value, kind.removeprefix("enum."), path)
    match kind.removesuffix("value"):
        case "string":
            return _checked(value, isinstance(value, str), path, "text; put it in quotes")
        case "bool":
            return _checked(value, isinstance(value, bool), path, "true or false")
        case "int":
            return _integer(value, path)
        case "long":
            return str(_integer(value, path))
        case "double":
            number = float(value) if isinstance(value, str) else value
            return _checked(
                number, not isinstance(value, bool) and isinstance(number, int | float), path, "a number"
            )
        case "duration":
            return duration(_checked(value, isinstance(value, str), path, "a duration such as 5s"), path)
        case _:
            return value


def _checked(value: Any, fits: bool, path: str, wanted: str) -> Any:
    if not fits:
        raise ValueError(f"{path} is {json.dumps(value, default=str)}, not {wanted}")
    return value


def _integer(value: Any, path: str) -> int:
    text = value if isinstance(value, str) else json.dumps(value)
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError(f"{path} is {json.dumps(value, default=str)}, not a whole number")
    return int(text)


def _enum(value: Any, kind: str, path: str) -> Any:
    known = enums()[kind]
    if isinstance(value, str):
        _checked(value, value in known, path, f"one of {', '.join(known)}")
        return value if known[value] else ""
    number = _integer(value, path)
    return next((name for name, each in known.items() if each == number), number) if number else ""


def seconds(text: str) -> Decimal:
    """A duration as Go writes it (`1m30s`), in seconds.

    Raises:
        ValueError: no duration.
    """
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    parts = _PART.findall(rest)
    if rest != "0" and (not parts or "".join(number + unit for number, unit in parts) != rest):
        raise ValueError(f"{text!r} is no duration; write 90s, 5m or 1h")
    return sign * sum((Decimal(number) * Decimal(_UNITS[unit]) for number, unit in parts), Decimal(0))


def duration(text: str, path: str = "") -> str:
    """A duration in protobuf's form: seconds with no, three, six or nine decimals."""
    try:
        whole, _, parts = f"{seconds(text):.9f}".partition(".")
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from None
    for _ in range(3):
        parts = parts.removesuffix("000")
    return f"{whole}.{parts}s" if parts else f"{whole}s"
