"""Calls between all clusters arrive, and both sides know who the other is."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meshctl.checks.fleet_roots import signing, trusted
from meshctl.errors import FailedError, listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import Call, FleetSeen, Traffic

TRIED = Rule(
    code="fleet-traffic-tried",
    level=Level.ERROR,
    summary="A client and a server run in every cluster with workloads.",
    hint="see why pods do not become ready there: `kubectl describe pod` while it is verified",
)
OPENED = Rule(
    code="fleet-gateways-reached",
    level=Level.ERROR,
    summary="Gateways are reached from pods of the clusters that need them.",
    hint="see firewalls, the load balancer of the gateway, and whether its pods are ready",
)
ARRIVE = Rule(
    code="fleet-calls-arrive",
    level=Level.ERROR,
    summary="A call from every cluster reaches the server in every cluster.",
    hint="see what else was found; `meshctl proxy-status` shows whether proxies have what they were sent",
)
IDENTITIES = Rule(
    code="fleet-identities-proven",
    level=Level.ERROR,
    summary="Calls are mTLS, and each side proves the identity that it should have.",
    hint="see PeerAuthentication, the trust domain, and roots of both clusters",
)


@check(rules=(TRIED,), moment=Moment.FLEET)
def fleet_traffic(site: FleetSeen) -> Iterator[Finding]:
    """Tell of clusters that took no part."""
    for name, why in _traffic(site).skipped.items():
        yield TRIED.at(f"cluster {name}", why)


@check(rules=(OPENED,), moment=Moment.FLEET)
def fleet_gateways_reached(site: FleetSeen) -> Iterator[Finding]:
    """See which connections were opened from within pods."""
    failed: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for each in _traffic(site).opened:
        if each.fault:
            failed[each.cluster, each.subject, each.address, each.fault].append(each.client)
    for (cluster, subject, address, fault), clients in failed.items():
        yield OPENED.at(
            f"cluster {cluster}" if cluster else subject,
            f"{subject} at {address} is not reached from pods in {listed(clients)}: {fault}",
        )


@check(rules=(ARRIVE,), moment=Moment.FLEET)
def fleet_calls(site: FleetSeen) -> Iterator[Finding]:
    """See which calls had no answer, or that of another server."""
    for each in _traffic(site).calls:
        subject = f"call {each.client} → {each.server}"
        if each.fault:
            yield ARRIVE.at(subject, "; ".join((each.fault, *_because(site, each))))
        elif each.answered_by != each.server:
            yield ARRIVE.at(subject, f"the server of cluster {each.answered_by} answered")


@check(rules=(IDENTITIES,), moment=Moment.FLEET)
def fleet_identities(site: FleetSeen) -> Iterator[Finding]:
    """Compare the identities that proxies saw with those that accounts of the clusters have."""
    for each in _traffic(site).calls:
        if each.fault or each.answered_by != each.server:
            continue
        subject = f"call {each.client} → {each.server}"
        if not each.caller:
            yield IDENTITIES.at(subject, "it was not mTLS: the server's proxy saw no certificate")
            continue
        if each.caller != each.caller_wanted:
            yield IDENTITIES.at(subject, f"the caller is {each.caller} in place of {each.caller_wanted}")
        if each.called != each.called_wanted:
            yield IDENTITIES.at(subject, f"the server is {each.called} in place of {each.called_wanted}")


def _because(site: FleetSeen, call: Call) -> Iterator[str]:
    """What else was seen that keeps a call from arriving: a proxy tells of its connection, and not why."""
    shut = {each.address for each in _traffic(site).opened if each.fault and each.client == call.client}
    if shut.intersection(call.path):
        yield "that gateway is not reached"
    signers = signing(site)
    for one, other in ((call.client, call.server), (call.server, call.client)):
        roots = trusted(site, one)
        if roots and other in signers and signers[other] not in roots:
            yield f"{one} does not trust the root of {other}"


def _traffic(site: FleetSeen) -> Traffic:
    if site.traffic is None:
        raise FailedError("traffic-not-tried", "no traffic was tried")
    return site.traffic
