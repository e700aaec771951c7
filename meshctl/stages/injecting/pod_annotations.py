"""What may be said of a sidecar in a pod's annotations.

Source: istio.io/istio pkg/kube/inject/validate.go, pkg/config/validation/agent.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, Where
from meshctl.stages.injecting.mesh_config import PROXY_DEFAULTS, proxy_config, seconds, told_proxy_config
from meshctl.stages.injecting.pods import canonical, quantity
from meshctl.stages.injecting.yaml_text import parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROXY_CONFIG = "proxy.istio.io/config"
OVERRIDES = "proxy.istio.io/overrides"
NATIVE = "sidecar.istio.io/nativeSidecar"
TEMPLATES = "inject.istio.io/templates"
MERGE_METRICS = "prometheus.istio.io/merge-metrics"

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,14}")
_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")


def check(notes: Mapping[str, str], at: str) -> None:
    """Refuse values that the injector would refuse.

    Args:
        notes: a pod's annotations.
        at: path of the annotations, for messages.

    Raises:
        ConfigError: one value is wrong; names the annotation.
        ProblemsError: several are.
    """
    problems = []
    for name in sorted(notes.keys() & _RULES.keys()):
        try:
            _RULES[name](notes[name])
        except ValueError as fault:
            problems.append(
                ConfigError(
                    "bad-annotation",
                    f"{notes[name]!r} is no value for {name}: {fault}",
                    where=Where("", None, at),
                    hint="the injector refuses the whole pod until this is mended",
                )
            )
    if problems:
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)


def boolean(text: str) -> bool | None:
    """A boolean as Go's strconv.ParseBool reads it; None where it is none."""
    return _BOOLEANS.get(text)


def proxy_settings(text: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """The proxy configuration that an annotation makes of the mesh's.

    Raises:
        ValueError: not YAML, or a value of the wrong type.
    """
    return told_proxy_config(base, parsed(text) or {})


def overrides(notes: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The user's own containers that an injected pod remembers, by their group.

    Raises:
        ConfigError: the annotation is not what an injector writes.
    """
    text = notes.get(OVERRIDES)
    if text is None:
        return {}
    try:
        told = json.loads(text) or {}
        return {
            group: [canonical(each, "Container") for each in told[group]]
            for group in ("containers", "initContainers")
            if told.get(group)
        }
    except (ValueError, TypeError, AttributeError, ConfigError) as fault:
        raise ConfigError(
            "bad-annotation",
            f"{OVERRIDES} is not what an injector writes",
            where=Where("", None, "metadata.annotations"),
            hint="remove it; it is for the injector alone",
            details=(str(fault),),
        ) from fault


def _mode(text: str) -> None:
    if text not in ("REDIRECT", "TPROXY", "NONE"):
        raise ValueError("use REDIRECT, TPROXY or NONE")


def _boolean(text: str) -> None:
    if boolean(text) is None:
        raise ValueError("use true or false")


def _number(text: str) -> None:
    if not re.fullmatch(r"[0-9]+", text) or int(text) >= 2**32:
        raise ValueError("use a whole number from 0")


def _port(text: str) -> None:
    text = text.strip()
    if not re.fullmatch(r"[0-9]+", text) or int(text) >= 2**16:
        raise ValueError(f"{text!r} is no port; use a number from 0 to 65535")


def _ports(text: str) -> None:
    for each in text.strip().split(",") if text.strip() else ():
        _port(each)


def _ports_or_all(text: str) -> None:
    if text != "*":
        _ports(text)


def _ranges(text: str) -> None:
    for each in text.split(",") if text else ():
        if not _is_range(each):
            raise ValueError(f"{each!r} is no range of addresses; use such as 10.0.0.0/8")


def _is_range(text: str) -> bool:
    address, _, width = text.partition("/")
    if "%" in address or not re.fullmatch(r"0|[1-9][0-9]*", width):
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _ranges_or_all(text: str) -> None:
    if text != "*":
        _ranges(text)


def _interfaces(text: str) -> None:
    for each in text.split(",") if text else ():
        if not _INTERFACE.fullmatch(each.strip()):
            raise ValueError(f"{each.strip()!r} is no name of a network interface")


def _quantity(text: str) -> None:
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text) or text != text.strip():
        raise ValueError("it has blanks or control characters")
    try:
        quantity(text)
    except ValueError:
        raise ValueError("use a quantity such as 500m or 1Gi") from None


def _proxy_config(text: str) -> None:
    faults = list(_faults(proxy_config(PROXY_DEFAULTS, parsed(text) or {})))
    if faults:
        raise ValueError("; ".join(faults))


_RULES: Mapping[str, Callable[[str], None]] = {
    "sidecar.istio.io/interceptionMode": _mode,
    "status.sidecar.istio.io/port": _port,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _number,
    "readiness.status.sidecar.istio.io/periodSeconds": _number,
    "readiness.status.sidecar.istio.io/failureThreshold": _number,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _ranges_or_all,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeInboundPorts": _ports_or_all,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeInterfaces": _interfaces,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _interfaces,
    "istio.io/reroute-virtual-interfaces": _interfaces,
    MERGE_METRICS: _boolean,
    PROXY_CONFIG: _proxy_config,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
}


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    """What istiod finds wrong with a proxy configuration that it can read."""
    for name in ("configPath", "binaryPath", "discoveryAddress"):
        if not config.get(name):
            yield f"{name} must not be empty"
    if config.get("serviceCluster") == "":
        yield "serviceCluster must not be empty"
    drain = seconds(config.get("drainDuration", "0s"))
    if drain < 1 or drain != drain.to_integral_value():
        yield "drainDuration must be whole seconds, at least one"
    yield from _address_faults(config)
    yield from _tracing_faults(config.get("tracing") or {})
    for name in ("proxyAdminPort", "statusPort"):
        if not 1 <= config.get(name, 0) <= 65535:
            yield f"{name} must be from 1 to 65535"
    if config.get("controlPlaneAuthPolicy") == "INHERIT":
        yield "controlPlaneAuthPolicy must be NONE or MUTUAL_TLS"
    provider = config.get("privateKeyProvider")
    if provider is not None:
        chosen = provider.get("cryptomb", provider.get("qat"))
        if chosen is None:
            yield "privateKeyProvider names no provider"
        elif seconds(chosen.get("pollDelay", "0s")) == 0:
            yield "privateKeyProvider needs a pollDelay"
    yield from _connection_faults(config.get("connectionSettings") or {})


def _address_faults(config: Mapping[str, Any]) -> Iterator[str]:
    addresses = {
        "discoveryAddress": config.get("discoveryAddress"),
        "statsdUdpAddress": config.get("statsdUdpAddress"),
        "envoyMetricsServiceAddress": config.get("envoyMetricsServiceAddress"),
        "envoyMetricsService.address": (config.get("envoyMetricsService") or {}).get("address"),
        "envoyAccessLogService.address": (config.get("envoyAccessLogService") or {}).get("address"),
    }
    for name, value in addresses.items():
        if value and not _is_address(value):
            yield f"{name} {value!r} is no host:port"


def _tracing_faults(tracing: Mapping[str, Any]) -> Iterator[str]:
    for tracer in ("lightstep", "zipkin", "datadog"):
        if tracer in tracing:
            address = tracing[tracer].get("address", "")
            shown = address if tracer == "lightstep" else address.replace("$(HOST_IP)", "127.0.0.1", 1)
            if not _is_address(shown):
                yield f"tracing.{tracer}.address {address!r} is no host:port"
            if tracer == "lightstep" and not tracing[tracer].get("accessToken"):
                yield "tracing.lightstep needs an accessToken"
    tls = tracing.get("tlsSettings") or {}
    files = ("clientCertificate", "caCertificates", "privateKey", "caCrl")
    mode = tls.get("mode", "DISABLE")
    if tls.get("insecureSkipVerify") and (
        (
            mode == "SIMPLE"
            and any(tls.get(key) for key in ("caCertificates", "credentialName", "subjectAltNames"))
        )
        or (mode == "MUTUAL" and any(tls.get(key) for key in ("caCertificates", "subjectAltNames")))
    ):
        yield "tracing.tlsSettings has insecureSkipVerify and something to verify with"
    if tls.get("credentialName", "").startswith("configmap://"):
        yield "tracing.tlsSettings.credentialName must not be a configmap:// here"
    if mode in ("SIMPLE", "MUTUAL") and tls.get("credentialName"):
        if any(tls.get(key) for key in files):
            yield "tracing.tlsSettings has a credentialName and files"
    elif mode == "MUTUAL" and not (tls.get("clientCertificate") and tls.get("privateKey")):
        yield "tracing.tlsSettings needs clientCertificate and privateKey for MUTUAL"


_LEAST = {
    "listenerPerConnectionBufferLimitBytes": 0,
    "clusterPerConnectionBufferLimitBytes": 0,
    "httpMaxConcurrentStreams": 1,
    "http2InitialStreamWindowSize": 65535,
    "http2InitialConnectionWindowSize": 65535,
    "listenerConnectionLimit": 1,
    "globalDownstreamConnectionLimit": 1,
}


def _connection_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, least in _LEAST.items():
        if name in settings and settings[name] < least:
            yield f"connectionSettings.{name} must be at least {least}"
    for name, value in settings.items():
        if isinstance(value, str) and name.endswith(("Timeout", "Duration")) and seconds(value) < 0:
            yield f"connectionSettings.{name} must not be negative"


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return False
    if not colon or not re.fullmatch(r"[+-]?[0-9]+", port) or not 1 <= int(port) <= 65535:
        return False
    return _is_name(host) or _is_ip(host)


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    fits = 0 < len(host) <= 255 and all(_LABEL.fullmatch(each) for each in labels)
    return fits and not labels[-1].isdigit()


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
