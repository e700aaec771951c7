"""Clusters of one mesh agree who they are; meshes that trust each other know each other's names."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.mesh import TRUST_DOMAIN
from meshctl.model.wording import some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import ClusterSeen, FleetSeen, ProxyPlace

MESH_ID = Rule(
    code="fleet-mesh-id-equal",
    level=Level.ERROR,
    summary="All proxies of a mesh have its mesh ID.",
    hint="set values.global.meshID, then restart the workloads",
)
DOMAIN = Rule(
    code="fleet-trust-domain-equal",
    level=Level.ERROR,
    summary="All proxies of a mesh have its trust domain.",
    hint="set `trust.domain` in the mesh.yaml, or meshConfig.trustDomain, then restart the workloads",
)


@check(rules=(MESH_ID,), moment=Moment.FLEET)
def fleet_mesh_id(site: FleetSeen) -> Iterator[Finding]:
    """Compare what proxies were told."""
    for each in site.seen:
        wanted = site.mesh(each.mesh).identifier
        if wanted:
            yield from _others(each, MESH_ID, "mesh ID", wanted, lambda place: place.mesh)


@check(rules=(DOMAIN,), moment=Moment.FLEET)
def fleet_trust_domain(site: FleetSeen) -> Iterator[Finding]:
    """Compare what proxies were told."""
    for each in site.seen:
        wanted = site.mesh(each.mesh).trust_domain or _common(site, each.mesh)
        yield from _others(
            each, DOMAIN, "trust domain", wanted, lambda place: place.trust_domain or TRUST_DOMAIN
        )


def _common(site: FleetSeen, mesh: str) -> str:
    """The trust domain of the first cluster of a mesh, where the mesh.yaml says none."""
    for each in site.seen:
        if each.mesh == mesh and each.injected:
            return each.injected.trust_domain or TRUST_DOMAIN
    return TRUST_DOMAIN


def _others(
    seen: ClusterSeen, rule: Rule, what: str, wanted: str, told: Callable[[ProxyPlace], str]
) -> Iterator[Finding]:
    """A finding for each value that is not the one that is wanted."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in seen.places:
        if told(each) != wanted:
            found[told(each)].append(each.subject)
    for value, subjects in sorted(found.items()):
        yield rule.at(seen.subject, f"{what} {value!r} in place of {wanted!r}: {some(subjects)}")
