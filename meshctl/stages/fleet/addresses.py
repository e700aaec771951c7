"""Where clusters reach the istiod of another one: the address of the load balancer before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Object

UNKNOWN: Final = "192.0.2.1"
"""Stands for an address that is not known yet where a plan is only shown (RFC 5737, for documentation)."""
_XDS: Final = 15012


def entrance(services: Iterable[Object]) -> Object | None:
    """The Service of type LoadBalancer by which clusters reach an istiod; None where there is none.

    Of several the one that has an address, and then the first by name.
    """
    found = [each for each in services if _leads_to_istiod(each)]
    return min(found, key=lambda each: (not address(each), each.ref), default=None)


def address(service: Object) -> str:
    """The IP address or host name of a load balancer; empty while it has none."""
    for each in service.at("status.loadBalancer.ingress", ()):
        found = each.get("ip") or each.get("hostname")
        if found:
            return str(found)
    return ""


def _leads_to_istiod(service: Object) -> bool:
    ports = {each.get("port") for each in service.at("spec.ports", ())}
    return service.at("spec.type") == "LoadBalancer" and _XDS in ports and not service.is_leaving


def told(manifest: Manifest) -> str:
    """The address at which a served cluster looks for its istiod, as it was installed; empty: none is said.

    A host name that the user says is no such address: it is called by itself, and does not move.
    """
    for obj in manifest.objects:
        if obj.ref.kind == "EndpointSlice" and _XDS in {each.get("port") for each in obj.at("ports", ())}:
            return str(obj.at("endpoints[0].addresses[0]", ""))
        if obj.ref.kind == "Service" and obj.at("spec.type") == "ExternalName":
            return str(obj.at("spec.externalName"))
    return ""
