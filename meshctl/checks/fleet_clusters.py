"""Every cluster of a fleet is there, is itself, and is known everywhere by one name."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.mesh import Role
from meshctl.model.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import FleetSeen

SEEN = Rule(
    code="fleet-clusters-there",
    level=Level.ERROR,
    summary="Every cluster of the mesh.yaml answers, and has a mesh.",
    hint="see its context in the kubeconfig and its API server; `meshctl install` brings the mesh",
)
READ = Rule(
    code="fleet-clusters-read",
    level=Level.WARNING,
    summary="All that is verified can be read.",
    hint="ask for the right that is missing; what was not read is not verified",
)
DISTINCT = Rule(
    code="fleet-clusters-distinct",
    level=Level.ERROR,
    summary="Every entry of the mesh.yaml is a cluster of its own.",
    hint="give each its own context",
)
NAMED = Rule(
    code="fleet-names-unique",
    level=Level.ERROR,
    summary="Every cluster is known by its own name to its istiods and to its proxies.",
    hint="set values.global.multiCluster.clusterName to the cluster's name and restart istiod; then restart "
    "the workloads",
)
INJECTED = Rule(
    code="fleet-injection-works",
    level=Level.ERROR,
    summary="Pods that are made now get a proxy in every cluster.",
    hint="see the webhook istio-sidecar-injector, and whether the API server reaches where it leads",
)


@check(rules=(SEEN,), moment=Moment.FLEET)
def fleet_clusters(site: FleetSeen) -> Iterator[Finding]:
    """Tell of clusters of which nothing could be seen."""
    for each in site.clusters:
        if each.why:
            yield SEEN.at(each.subject, each.why)


@check(rules=(READ,), moment=Moment.FLEET)
def fleet_unread(site: FleetSeen) -> Iterator[Finding]:
    """Tell of what could not be read."""
    for each in site.seen:
        for what, why in each.unread:
            yield READ.at(each.subject, f"{what}: {why}")


@check(rules=(DISTINCT,), moment=Moment.FLEET)
def fleet_distinct(site: FleetSeen) -> Iterator[Finding]:
    """Compare the UIDs of the namespaces kube-system."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in site.clusters:
        found[each.uid].append(each.name)
    for uid, names in found.items():
        if uid and len(names) > 1:
            yield DISTINCT.at(f"clusters {listed(names)}", "they are one and the same cluster")


@check(rules=(NAMED,), moment=Moment.FLEET)
def fleet_names(site: FleetSeen) -> Iterator[Finding]:
    """Compare what istiods call their clusters, and what proxies were told, with the mesh.yaml."""
    for each in site.seen:
        own = site.mesh(each.mesh).known_as(each.cluster).name
        told: dict[str, list[str]] = defaultdict(list)
        for istiod in each.istiods:
            if istiod.cluster != own:
                told[istiod.cluster].append(f"istiod {istiod.pod}")
        for place in each.places:
            if place.cluster != each.name:
                told[place.cluster].append(place.subject)
        for name, subjects in sorted(told.items()):
            whose = ", which is the name of another cluster" if site.cluster(name) else ""
            yield NAMED.at(each.subject, f"it is called {name!r}{whose}, by {some(subjects)}")


@check(rules=(INJECTED,), moment=Moment.FLEET)
def fleet_injection(site: FleetSeen) -> Iterator[Finding]:
    """Tell of clusters whose pods would run outside the mesh."""
    for each in site.seen:
        if each.injection_fault and each.cluster.role is not Role.EXTERNAL:
            yield INJECTED.at(each.subject, f"pods get no proxy: {each.injection_fault}")
