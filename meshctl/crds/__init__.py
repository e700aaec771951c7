"""Istio's API: definitions of our own, from which CustomResourceDefinitions and validation come.

`declare` has the words, `shared` the types that kinds have in common, and one module an area the kinds.
To add a field, say it where it belongs, with `.since("1.33")` if older minors lack it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from meshctl.crds import envoy_filter, extensions, networking, routing, security, telemetry, traffic_policy
from meshctl.crds.generate import definition, root
from meshctl.crds.minors import kind_as_of, known
from meshctl.crds.schema import Kind, Object
from meshctl.errors import ConfigError, listed, nearest

KINDS: tuple[Kind, ...] = (
    extensions.TRAFFIC_EXTENSION,
    extensions.WASM_PLUGIN,
    traffic_policy.DESTINATION_RULE,
    envoy_filter.ENVOY_FILTER,
    networking.GATEWAY,
    networking.PROXY_CONFIG,
    networking.SERVICE_ENTRY,
    networking.SIDECAR,
    routing.VIRTUAL_SERVICE,
    networking.WORKLOAD_ENTRY,
    networking.WORKLOAD_GROUP,
    security.AUTHORIZATION_POLICY,
    security.PEER_AUTHENTICATION,
    security.REQUEST_AUTHENTICATION,
    telemetry.TELEMETRY,
)
"""Every kind, by group and name; the order in which definitions are written."""


def crds(minor: str) -> tuple[dict[str, Any], ...]:
    """The CustomResourceDefinitions of an Istio minor, in the order of `KINDS`.

    The same minor always gives equal dicts with keys in the same order, and every call new ones, which
    the caller may change.

    Raises:
        UnsupportedError: `minor` is none, or is older than the definitions reach back.
    """
    return tuple(definition(kind) for kind in kinds(minor))


@cache
def kinds(minor: str) -> tuple[Kind, ...]:
    """Every kind as an Istio minor has it; raises as `crds` does."""
    wanted = known(minor)
    return tuple(kind_as_of(kind, wanted) for kind in KINDS)


def schema_of(kind: str, api_version: str, minor: str) -> Object:
    """What an object holds beside apiVersion, kind and metadata: the fields `spec` and `status`.

    Args:
        kind: as in the object, such as `VirtualService`.
        api_version: as in the object, such as `networking.istio.io/v1`.
        minor: of the Istio that will read the object.

    Raises:
        ConfigError: Istio has no such kind, or not in this version; the hint names what is near.
        UnsupportedError: as `crds`.
    """
    found = next((known_kind for known_kind in kinds(minor) if known_kind.name == kind), None)
    if found is None:
        near = nearest(kind, (known_kind.name for known_kind in KINDS))
        hint = f"did you mean {near!r}?" if near else ""
        raise ConfigError("unknown-kind", f"Istio has no kind {kind!r}", hint=hint)
    served = [f"{found.group}/{version.name}" for version in found.versions]
    if api_version not in served:
        raise ConfigError(
            "unknown-api-version", f"{kind} is not in {api_version!r}", hint=f"use one of {listed(served)}"
        )
    return root(found)
