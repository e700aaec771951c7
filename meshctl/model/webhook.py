"""Webhook entries of the API server: what each calls, and whether anybody answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.objects import Ref
from meshctl.model.standing import is_served

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.objects import Object

DEACTIVATED = "istio.io/deactivated"
"""A label that nothing carries, by which istioctl and we let an injector rest."""


def called(entry: Mapping[str, Any]) -> Ref | None:
    """The Service that an entry of a webhook configuration calls; None where it calls an address."""
    service = (entry.get("clientConfig") or {}).get("service")
    return Ref("v1", "Service", service["namespace"], service["name"]) if service else None


def may_block(entry: Mapping[str, Any]) -> bool:
    """Whether a call that fails stops what the entry is asked about, and it is asked at all."""
    selector = entry.get("namespaceSelector") or {}
    rests = DEACTIVATED in (selector.get("matchLabels") or {})
    return entry.get("failurePolicy", "Fail") == "Fail" and not rests


def silence(ref: Ref, service: Object | None, slices: Iterable[Object]) -> str:
    """Why nobody answers at a Service; empty when somebody does.

    Args:
        ref: the Service.
        service: as it is; None when it does not exist.
        slices: its EndpointSlices.
    """
    if service is None:
        return f"{ref} does not exist"
    if service.at("spec.type") == "ExternalName":
        return ""  # outside the cluster: the API server calls that name
    return "" if is_served(slices) else f"{ref} has no ready endpoint"


def endpoints_of(ref: Ref) -> str:
    """The label selector of a Service's EndpointSlices."""
    return f"kubernetes.io/service-name={ref.name}"
