"""Envoy's node: how istiod knows this proxy. Source: Istio's pkg/model/proxy.go and pkg/bootstrap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.reading.typed import FLAGS
from meshctl.agent.reading.workload import DOMAIN
from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.agent.settings import Settings

ISTIO_VERSION: Final = "1.32.0"
"""Release of Istio whose proxies this one is like, where nothing else says it; istiod asks for no other."""
_FLAGS: Final = (
    "DISABLE_HBONE_SEND", "DNS_AUTO_ALLOCATE", "DNS_CAPTURE", "ENABLE_HBONE", "ENABLE_SELF_DISCOVERY",
    "INBOUND_LISTENER_EXACT_BALANCE", "OUTBOUND_LISTENER_EXACT_BALANCE",
)  # fmt: skip
_NO_TEXTS: Final = (
    "ANNOTATIONS",
    "LABELS",
    "PROXY_CONFIG",
    "STATIC_LABELS",
    "PILOT_SAN",
    "PLATFORM_METADATA",
)
_LOCALITY: Final = "istio-locality"
_LOCALITY_LABELS: Final = ("topology.istio.io/locality", _LOCALITY)
_NAME_LABELS: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_UNNAMED: Final = "istio-proxy"


def node(settings: Settings) -> dict[str, Any]:
    """The node as Envoy's bootstrap has it: `id`, `cluster`, `locality` and `metadata`.

    Raises:
        ConfigError: cluster.env sets metadata to what istiod cannot read.
    """
    who = settings.workload
    labels, locality = _labels(settings)
    domain = f"{who.namespace}.{DOMAIN}"
    return {
        "id": f"sidecar~{who.addresses[0]}~{who.name}.{who.namespace}~{domain}",
        "cluster": _service(settings, labels),
        "locality": locality,
        "metadata": _metadata(settings, labels),
    }


def _metadata(settings: Settings, labels: Mapping[str, str]) -> dict[str, Any]:
    who, envoy = settings.workload, settings.envoy
    found = _readable(settings)
    found.update(
        ENVOY_PROMETHEUS_PORT=envoy.prometheus_port,
        ENVOY_STATUS_PORT=envoy.ready_port,
        INSTANCE_IPS=",".join(who.addresses),
        ISTIO_VERSION=found.get("ISTIO_VERSION") or ISTIO_VERSION,
        # Envoy asks for no metadata of its peers: upstream's has no such extension.
        METADATA_DISCOVERY="false",
        NAME=who.name,
        NAMESPACE=who.namespace,
        PROXY_CONFIG=settings.proxy.data,
        SERVICE_ACCOUNT=who.service_account,
    )
    if labels:
        found.update(LABELS=dict(labels), STATIC_LABELS=dict(labels))
    if settings.capture.mode == "none" and not _has_own_rules(settings):
        found.setdefault("INTERCEPTION_MODE", "NONE")
    if settings.proxy.data.get("controlPlaneAuthPolicy") == "MUTUAL_TLS":
        found["PILOT_SAN"] = [settings.ads.server_name or settings.proxy.discovery_address.rpartition(":")[0]]
    for name, value in (
        ("ENVOY_SECURE_METRICS_PORT", envoy.secure_metrics_port),
        ("ENVOY_SECURE_MERGED_METRICS_PORT", envoy.secure_merged_metrics_port),
        ("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true" if envoy.wait_for_connections else ""),
        ("ENVOY_SKIP_DEPRECATED_LOGS", "true" if envoy.skip_deprecated_logs else ""),
    ):
        if value:
            found[name] = value
    return found


def _has_own_rules(settings: Settings) -> bool:
    """Whether traffic is captured, and somebody else sees to it."""
    return FLAGS.get(settings.variables.get("ISTIO_CUSTOM_IP_TABLES"), False)


def _readable(settings: Settings) -> dict[str, Any]:
    """What cluster.env and the ProxyConfig say, in the forms that istiod takes."""
    found = dict(settings.workload.metadata)
    for name, value in found.items():
        if name in _FLAGS and isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif name in _FLAGS:
            if value not in FLAGS:
                raise _unreadable(settings, name, "true or false")
            found[name] = "true" if FLAGS[value] else "false"
        elif name == "POD_PORTS":
            found[name] = _ports(settings, value)
        elif name in _NO_TEXTS and isinstance(value, str):
            raise _unreadable(settings, name, "JSON")
    return found


def _ports(settings: Settings, value: Any) -> str:
    """Ports by name, as a text of JSON."""
    try:
        ports = json.loads(value) if isinstance(value, str) and value else value or []
        made = [
            {
                **({"name": str(each["name"])} if each.get("name") else {}),
                "containerPort": int(each["containerPort"]),
                "protocol": str(each.get("protocol", "")),
            }
            for each in ports
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unreadable(
            settings, "POD_PORTS", 'ports such as [{"name":"http","containerPort":8080}]'
        ) from error
    return json.dumps(made, separators=(",", ":"))


def _unreadable(settings: Settings, name: str, wanted: str) -> ConfigError:
    where = settings.variables.where(f"ISTIO_META_{name}")
    return ConfigError("wrong-type", f"{name} of the node's metadata has to be {wanted}", where=where)


def _labels(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """The labels, and the locality that one of them may say, as `region.zone.subzone` or with slashes."""
    labels = dict(settings.workload.labels)
    said = next((labels[name] for name in _LOCALITY_LABELS if name in labels), "")
    if not said:
        return labels, {}
    said = said if "/" in said else said.replace(".", "/")
    labels[_LOCALITY] = said
    parts = zip(("region", "zone", "sub_zone"), said.split("/"), strict=False)
    return labels, {name: part for name, part in parts if part}


def _service(settings: Settings, labels: Mapping[str, str]) -> str:
    """Name that traces and statistics have this proxy by."""
    proxy, namespace = settings.proxy.data, settings.workload.namespace
    workload = str(settings.workload.metadata.get("WORKLOAD_NAME") or "")
    canonical = next((labels[name] for name in _NAME_LABELS if name in labels), workload or _UNNAMED)
    how = proxy.get("tracingServiceName", "")
    if how == "CANONICAL_NAME_AND_NAMESPACE":
        return f"{canonical}.{namespace}"
    named = canonical if how == "CANONICAL_NAME_ONLY" else str(proxy.get("serviceCluster", ""))
    if named and named != _UNNAMED:
        return named
    app = next((labels[name] for name in reversed(_NAME_LABELS) if name in labels), "")
    return f"{app or workload or _UNNAMED}.{namespace}"
