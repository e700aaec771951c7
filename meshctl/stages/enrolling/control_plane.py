"""What a host has to know of a control plane, from the objects that it keeps in its cluster."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where
from meshctl.model.enrolment import TOKENS, ControlPlane
from meshctl.model.objects import Ref
from meshctl.stages.injecting.configuration import INJECTOR, MESH, named
from meshctl.stages.injecting.yaml_text import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.objects import Object

_ROOTS = "istio-ca-root-cert"
_CLUSTER = "Kubernetes"
"""What istiod, and every sidecar, calls a cluster that has no name. istioctl leaves it empty for hosts, which
istiod then takes for hosts of no cluster at all."""


def refs(istio_namespace: str, revision: str, namespace: str) -> tuple[Ref, Ref, Ref]:
    """ConfigMaps to look at: mesh configuration, injector, the mesh's roots in the workload's namespace."""
    return (
        Ref("v1", "ConfigMap", istio_namespace, named(MESH, revision)),
        Ref("v1", "ConfigMap", istio_namespace, named(INJECTOR, revision)),
        Ref("v1", "ConfigMap", namespace, _ROOTS),
    )


def control_plane(
    istio_namespace: str,
    revision: str,
    namespace: str,
    live: Mapping[Ref, Object],
    *,
    cluster: str = "",
) -> ControlPlane:
    """A control plane by what is there of it.

    Args:
        istio_namespace: where istiod is.
        revision: of istiod; empty and `default` are the unnamed one.
        namespace: of the workload.
        live: the objects of `refs` as far as they are there.
        cluster: the id of its cluster; empty: as its injector says.

    Raises:
        ConfigError: an object is missing, or is not what it should be.
    """
    mesh, injector, roots = refs(istio_namespace, revision, namespace)
    values = _values(live, injector) if injector in live or not cluster else {}
    return ControlPlane(
        istio_namespace,
        "" if revision == "default" else revision,
        _read(live, mesh, "mesh"),
        cluster or _text(values, "global", "multiCluster", "clusterName") or _CLUSTER,
        _data(live, roots, "root-cert.pem"),
        _text(values, "global", "sds", "token", "aud") or TOKENS,
    )


def addresses(service: Object | None) -> tuple[str, ...]:
    """Addresses at which a gateway's Service is reached from outside; names of load balancers are none."""
    if service is None:
        return ()
    given = [each.get("ip", "") for each in service.at("status.loadBalancer.ingress", ())]
    return tuple(each for each in given or service.at("spec.externalIPs", ()) if is_address(each))


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _values(live: Mapping[Ref, Object], injector: Ref) -> Mapping[str, Any]:
    text = _data(live, injector, "values")
    try:
        found = json.loads(text)
    except ValueError as fault:
        raise _unreadable(injector, "values", str(fault)) from fault
    return found if isinstance(found, dict) else {}


def _read(live: Mapping[Ref, Object], ref: Ref, key: str) -> Mapping[str, Any]:
    text = _data(live, ref, key)
    try:
        found = parsed(text)
    except ValueError as fault:
        raise _unreadable(ref, key, str(fault)) from fault
    if found is not None and not isinstance(found, dict):
        raise _unreadable(ref, key, "it is no map")
    return found or {}


def _data(live: Mapping[Ref, Object], ref: Ref, key: str) -> str:
    text = live[ref].at("data", {}).get(key) if ref in live else None
    if not text:
        raise ConfigError(
            "no-control-plane",
            f"{ref} has no {key!r}" if ref in live else f"there is no {ref}",
            hint="istiod copies the mesh's roots into the namespaces of its workloads; see `meshctl status`"
            if ref.name == _ROOTS
            else "choose the control plane with --revision and --istio-namespace; see `meshctl status`",
        )
    return str(text)


def _text(values: Mapping[str, Any], *path: str) -> str:
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _unreadable(ref: Ref, key: str, fault: str) -> ConfigError:
    return ConfigError(
        "no-control-plane",
        f"{key!r} of {ref} cannot be read: {fault}",
        where=Where(str(ref), None, f"data.{key}"),
        hint="bring it in line with `meshctl install`",
    )
