"""Who a host is in the mesh, and how its proxy works.

Source: istioctl's `x workload entry configure`, of which the values are the same.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where
from meshctl.model.enrolment import Enrolment
from meshctl.stages.enrolling.control_plane import is_address
from meshctl.stages.injecting.mesh_config import message, proxy_config
from meshctl.stages.injecting.pod_annotations import PROXY_CONFIG
from meshctl.stages.injecting.yaml_text import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.enrolment import ControlPlane, HostTerms
    from meshctl.model.objects import Object

_NAME, _REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"
_NAMES = (_NAME, "app.kubernetes.io/name", "app")
_REVISIONS = (_REVISION, "app.kubernetes.io/version", "version")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAK = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")

_SSH, _METRICS, _READINESS, _STATUS = 22, 15090, 15021, 15020
"""Ports of a host that are never captured: of its administrator, of Envoy, of the agent."""


def enrol(group: Object, plane: ControlPlane, terms: HostTerms) -> Enrolment:
    """What a host of a WorkloadGroup has to know.

    Args:
        group: the WorkloadGroup, of the shape that the API server takes.
        plane: the control plane that the host will belong to.
        terms: what is said of this host.

    Raises:
        ConfigError: the group's own proxy configuration, or a variable that it sets, cannot be used; or an
            address is none.
    """
    _check_addresses(terms)
    proxy = _proxy(group, plane)
    metadata = {**(proxy.get("proxyMetadata") or {}), **_metadata(group, plane, terms, proxy)}
    environment = {**metadata, **_environment(group, plane, terms, proxy)}
    _check_environment(group, environment)
    return Enrolment(
        group.ref.namespace,
        account(group),
        plane.audience,
        dict(sorted(environment.items())),
        {**proxy, "proxyMetadata": dict(sorted(metadata.items()))},
        terms.agent,
        plane.roots,
        tuple(f"{each} {plane.host}" for each in terms.gateways),
    )


def account(group: Object) -> str:
    """The service account of a group's workloads."""
    return str(group.at("spec.template.serviceAccount") or "default")


def _proxy(group: Object, plane: ControlPlane) -> dict[str, Any]:
    """The mesh's proxy configuration under the group's own."""
    try:
        proxy = proxy_config({}, message(dict(plane.mesh), "MeshConfig").get("defaultConfig") or {})
    except ValueError as fault:
        raise _bad("the mesh configuration cannot be used", Where("MeshConfig"), fault) from fault
    if plane.revision and not proxy.get("discoveryAddress"):
        proxy["discoveryAddress"] = plane.address
    for path in ("metadata.annotations", "spec.metadata.annotations"):
        said = group.at(path, {}).get(PROXY_CONFIG)
        if said is not None:
            proxy = _overlaid(proxy, said, Where(str(group.ref), None, f"{path}.{PROXY_CONFIG}"))
    probe = group.at("spec.probe")
    proxy.pop("readinessProbe", None)
    if probe is None:
        return proxy
    try:
        return proxy_config(proxy, {"readinessProbe": probe})
    except ValueError as fault:
        raise _bad("the probe cannot be used", Where(str(group.ref), None, "spec.probe"), fault) from fault


def _overlaid(proxy: Mapping[str, Any], text: str, where: Where) -> dict[str, Any]:
    try:
        said = parsed(text) or {}
        own = message(said, "ProxyConfig")
        # For a pod istiod keeps some headers that are not named here; for a host istioctl does not.
        base = {key: value for key, value in proxy.items() if key != "proxyHeaders" or key not in own}
        return proxy_config(base, said)
    except ValueError as fault:
        raise _bad("the annotation cannot be used", where, fault) from fault


def _metadata(
    group: Object, plane: ControlPlane, terms: HostTerms, proxy: Mapping[str, Any]
) -> dict[str, str]:
    """What istiod is told of the workload."""
    name = group.ref.name
    labels = {**group.at("spec.metadata.labels", {}), **group.at("spec.template.labels", {})}
    labels |= {_NAME: _first(labels, _NAMES, name), _REVISION: _first(labels, _REVISIONS, "latest")}
    found = {
        "CANONICAL_SERVICE": labels[_NAME],
        "CANONICAL_REVISION": labels[_REVISION],
        "POD_NAMESPACE": group.ref.namespace,
        "SERVICE_ACCOUNT": account(group),
        "TRUST_DOMAIN": str(plane.mesh.get("trustDomain") or plane.mesh.get("trust_domain") or ""),
        "ISTIO_META_CLUSTER_ID": plane.cluster,
        "ISTIO_META_MESH_ID": proxy.get("meshId", ""),
        "ISTIO_META_NETWORK": group.at("spec.template.network", ""),
        "ISTIO_META_WORKLOAD_NAME": name,
        "ISTIO_METAJSON_LABELS": _json(labels),
    }
    if ports := group.at("spec.template.ports"):
        listed = [{"name": each, "containerPort": ports[each], "protocol": ""} for each in sorted(ports)]
        found["ISTIO_META_POD_PORTS"] = _json(listed)
    if terms.captures_dns:
        found["ISTIO_META_DNS_CAPTURE"] = "true"
    if terms.registers:
        found["ISTIO_META_AUTO_REGISTER_GROUP"] = name
    return found


def _environment(
    group: Object, plane: ControlPlane, terms: HostTerms, proxy: Mapping[str, Any]
) -> dict[str, str]:
    """What the host itself goes by: which traffic is captured, whom to ask for a certificate."""
    ports = sorted(set(group.at("spec.template.ports", {}).values()))
    status = proxy.get("statusPort") or _STATUS
    excluded = dict.fromkeys((_SSH, _METRICS, _READINESS, status))
    found = {
        "ISTIO_INBOUND_PORTS": _commas(ports) or "*",
        "ISTIO_NAMESPACE": group.ref.namespace,
        "ISTIO_SERVICE": f"{group.ref.name}.{group.ref.namespace}",
        "ISTIO_SERVICE_CIDR": "*",
        "ISTIO_LOCAL_EXCLUDE_PORTS": _commas(excluded),
        "SERVICE_ACCOUNT": account(group),
    }
    if plane.revision:
        found["CA_ADDR"] = plane.address
    if terms.address:
        found["ISTIO_SVC_IP"] = terms.address
        if terms.is_external:
            found["REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"] = "true"
    return found


def _check_addresses(terms: HostTerms) -> None:
    for each in (*terms.gateways, *filter(None, (terms.address,))):
        if not is_address(each):
            raise ConfigError(
                "no-address",
                f"{each!r} is no IP address",
                hint="name the host, or the gateway before istiod, by its IP address",
            )


def _check_environment(group: Object, environment: Mapping[str, str]) -> None:
    """Refuse what would end a line of cluster.env, or not be a variable to who reads it."""
    for name, value in environment.items():
        where = Where(str(group.ref), None, name)
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(
                "bad-variable",
                f"{name!r} of proxyMetadata is no name of a variable",
                where=where,
                hint="variables have letters, digits and underscores, and do not begin with a digit",
            )
        if _BREAK.search(value):
            raise ConfigError(
                "bad-variable",
                f"the value of {name!r} has a line break or a control character",
                where=where,
                hint="write it on one line; where it is JSON, breaks are written as \\n",
            )


def _first(labels: Mapping[str, str], names: Iterable[str], default: str) -> str:
    return next((labels[each] for each in names if each in labels), default)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=isinstance(value, dict), separators=(",", ":"), ensure_ascii=False)


def _commas(numbers: Iterable[int]) -> str:
    return ",".join(str(each) for each in numbers)


def _bad(what: str, where: Where, fault: ValueError) -> ConfigError:
    return ConfigError(
        "bad-proxy-config", f"{what}: {fault}", where=where, hint="`meshctl validate` tells what may be said"
    )
