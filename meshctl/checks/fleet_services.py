"""Services of one name are one service in all clusters of a mesh."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.finding import Finding
    from meshctl.model.verification import ClusterSeen, FleetSeen, ServiceSeen

ALIKE = Rule(
    code="fleet-services-alike",
    level=Level.WARNING,
    summary="A Service that several clusters have is the same in each: headless or not, and its ports.",
    hint="make them alike, or give them different names: istiod takes Services of one name for one service",
)
HEADLESS = Rule(
    code="fleet-headless-known",
    level=Level.INFO,
    summary="Headless Services are in every cluster from which they may be called.",
    hint="create the Service there too, if it is called from there: names are resolved where the caller is",
)
ACROSS = Rule(
    code="fleet-headless-within-network",
    level=Level.INFO,
    summary="Headless Services have pods of one network.",
    hint="pods of another network cannot be called by their own addresses; use a Service with an address",
)


@check(rules=(ALIKE,), moment=Moment.FLEET)
def fleet_services(site: FleetSeen) -> Iterator[Finding]:
    """Compare Services of one name and namespace."""
    for place, owners in _services(site):
        kinds = {name: "headless" if each.headless else "with an address" for name, each in owners.items()}
        ports = {name: listed(each.ports) or "no ports" for name, each in owners.items()}
        for told in (kinds, ports):
            if len(set(told.values())) > 1:
                words = "; ".join(f"in {name} {each}" for name, each in told.items())
                yield ALIKE.at(f"Service {place}", words)


@check(rules=(HEADLESS, ACROSS), moment=Moment.FLEET)
def fleet_headless(site: FleetSeen) -> Iterator[Finding]:
    """Look for headless Services that callers elsewhere do not find, or find in part."""
    for place, owners in _services(site):
        if not all(each.headless for each in owners.values()):
            continue
        namespace = place.partition("/")[0]
        clusters = [each for each in site.seen if each.name in owners]
        lacking = [
            each.name
            for each in site.seen
            if each.mesh in {one.mesh for one in clusters}
            and each.name not in owners
            and namespace in each.namespaces
        ]
        if lacking:
            yield HEADLESS.at(
                f"Service {place}", f"it is headless, in {listed(owners)}, and not in {listed(lacking)}"
            )
        networks = sorted({each.cluster.network for each in clusters})
        if len(networks) > 1:
            yield ACROSS.at(f"Service {place}", f"it is headless, and in networks {listed(networks)}")


def _services(site: FleetSeen) -> Iterator[tuple[str, Mapping[str, ServiceSeen]]]:
    """`namespace/name`, and the Service by cluster, in every mesh by itself."""
    for mesh in site.meshes:
        found: dict[str, dict[str, ServiceSeen]] = defaultdict(dict)
        own: list[ClusterSeen] = [each for each in site.seen if each.mesh == mesh.name]
        for each in own:
            for service in each.services:
                found[f"{service.namespace}/{service.name}"][each.name] = service
        yield from sorted(found.items())
