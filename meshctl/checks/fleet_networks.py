"""Networks are told apart, and led into."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from itertools import combinations
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.labels import NETWORK
from meshctl.model.mesh import Role
from meshctl.model.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import ClusterSeen, FleetSeen

LABELLED = Rule(
    code="fleet-network-labelled",
    level=Level.ERROR,
    summary="Where there are several networks, the mesh's namespace names the network of its cluster.",
    hint=f"`meshctl install` sets the label {NETWORK}",
)
TOLD = Rule(
    code="fleet-network-told",
    level=Level.ERROR,
    summary="Proxies are told the network that they are in.",
    hint="set `network` of the cluster in the mesh.yaml and install; then restart the workloads",
)
GATEWAY = Rule(
    code="fleet-gateway-there",
    level=Level.ERROR,
    summary="Every network that others call into has a gateway with an address.",
    hint=f"see the Service of the east-west gateway: its label {NETWORK}, and its load balancer",
)
RANGES = Rule(
    code="fleet-pod-ranges-apart",
    level=Level.ERROR,
    summary="Clusters of one network give their pods addresses of different ranges.",
    hint="say that they are two networks, with `network` in the mesh.yaml, or give one of them other ranges",
)


@check(rules=(LABELLED,), moment=Moment.FLEET)
def fleet_network_labels(site: FleetSeen) -> Iterator[Finding]:
    """Read the label of the mesh's namespace in every cluster."""
    for each in _with_workloads(site):
        network = each.cluster.network
        if not network or not site.mesh(each.mesh).spans_networks:
            continue
        if each.network_label is None:
            yield LABELLED.at(each.subject, f"Namespace {each.namespace} lacks the label {NETWORK}={network}")
        elif each.network_label != network:
            told = f"{NETWORK}={each.network_label} in place of {network!r}"
            yield LABELLED.at(each.subject, f"Namespace {each.namespace} has the label {told}")


@check(rules=(TOLD,), moment=Moment.FLEET)
def fleet_network_told(site: FleetSeen) -> Iterator[Finding]:
    """Compare what proxies were told with the mesh.yaml."""
    for each in _with_workloads(site):
        found: dict[str, list[str]] = defaultdict(list)
        for place in each.places:
            if place.network != each.cluster.network:
                found[place.network].append(place.subject)
        for network, subjects in sorted(found.items()):
            yield TOLD.at(
                each.subject,
                f"network {network!r} in place of {each.cluster.network!r}: {some(subjects)}",
            )


@check(rules=(GATEWAY,), moment=Moment.FLEET)
def fleet_gateways(site: FleetSeen) -> Iterator[Finding]:
    """Look for the Services that istiod takes for gateways of a network."""
    every = _with_workloads(site)
    for each in every:
        mesh, network = site.mesh(each.mesh), each.cluster.network
        if not mesh.spans_networks or any(one.name == network and one.gateways for one in mesh.networks):
            continue
        members = [other for other in every if other.cluster.network == network]
        leading = [one for other in members for one in other.gateways if one.network == network]
        if all(one.why for one in leading) and not any(_unread(other, "gateways") for other in members):
            yield GATEWAY.at(each.subject, _lack(each))


def _lack(seen: ClusterSeen) -> str:
    """Why there is no way into the network of a cluster."""
    network = seen.cluster.network
    if own := [each for each in seen.gateways if each.network == network]:
        return "; ".join(f"{each.subject}: {each.why}" for each in own)
    if seen.gateways:
        others = listed(f"{each.subject} ({each.network})" for each in seen.gateways)
        return f"no Service leads into network {network!r}, but into others: {others}"
    return f"no Service has the label {NETWORK}={network}, by which istiod finds a gateway"


@check(rules=(RANGES,), moment=Moment.FLEET)
def fleet_pod_ranges(site: FleetSeen) -> Iterator[Finding]:
    """Compare ranges of pods' addresses within each network."""
    for one, other in combinations(_with_workloads(site), 2):
        if one.cluster.network != other.cluster.network:
            continue
        pairs = [(left, right) for left in one.ranges for right in other.ranges if _overlap(left, right)]
        if pairs:
            left, right = pairs[0]
            what = left if left == right else f"{left} and {right}"
            more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
            yield RANGES.at(
                f"clusters {one.name} and {other.name}",
                f"they are on one network, and pods of both have addresses in {what}{more}",
            )


def _overlap(one: str, other: str) -> bool:
    left, right = ip_network(one), ip_network(other)
    return left.version == right.version and left.overlaps(right)


def _with_workloads(site: FleetSeen) -> list[ClusterSeen]:
    return [each for each in site.seen if each.cluster.role is not Role.EXTERNAL]


def _unread(seen: ClusterSeen, what: str) -> bool:
    return any(each == what for each, _ in seen.unread)
