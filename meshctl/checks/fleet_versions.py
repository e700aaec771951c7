"""Control planes of one mesh are of versions that work together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import FleetSeen

SKEW = Rule(
    code="fleet-versions-close",
    level=Level.ERROR,
    summary="Control planes of a mesh are at most one minor version apart.",
    hint="upgrade the older ones: `meshctl upgrade --context NAME`",
)
SAME = Rule(
    code="fleet-versions-same",
    level=Level.INFO,
    summary="Control planes of a mesh are of one version.",
    hint="finish the upgrade in all clusters",
)
PROXIES = Rule(
    code="fleet-proxies-close",
    level=Level.WARNING,
    summary="Proxies are not newer than any control plane of their mesh, and at most two minors older.",
    hint="upgrade control planes first, then restart the workloads",
)
_BEHIND = 2


@check(rules=(SKEW, SAME), moment=Moment.FLEET)
def fleet_versions(site: FleetSeen) -> Iterator[Finding]:
    """Compare the versions of all istiods of a mesh."""
    for mesh in site.meshes:
        found = {
            f"{each.name} {istiod.version}": istiod.version
            for each in site.seen
            if each.mesh == mesh.name
            for istiod in each.istiods
            if istiod.version
        }
        minors = [minor for version in found.values() if (minor := _minor(version))]
        if minors and max(minors) - min(minors) > 1:
            yield SKEW.at(f"mesh {mesh.name}", f"more than one minor apart: {listed(found)}")
        elif len(set(found.values())) > 1:
            yield SAME.at(f"mesh {mesh.name}", listed(found))


@check(rules=(PROXIES,), moment=Moment.FLEET)
def fleet_proxy_versions(site: FleetSeen) -> Iterator[Finding]:
    """Compare proxies with the control planes of their mesh: endpoints of one are told to those of others."""
    for each in site.seen:
        known = [
            minor
            for other in site.seen
            if other.mesh == each.mesh
            for istiod in other.istiods
            if (minor := _minor(istiod.version))
        ]
        if not known:
            continue
        odd = [
            proxy
            for proxy in each.proxies
            if (minor := _minor(proxy.version)) and not min(known) - _BEHIND <= minor <= max(known)
        ]
        if odd:
            shown = some([f"{one.subject} ({one.version})" for one in odd])
            yield PROXIES.at(each.subject, f"{len(odd)} of {len(each.proxies)} proxies: {shown}")


def _minor(version: str) -> int | None:
    """The minor of a tag such as `1.31.0-distroless`; None where it does not tell."""
    found = re.match(r"v?1\.(\d+)", version)
    return int(found[1]) if found else None
