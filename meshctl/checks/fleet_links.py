"""Every istiod reads the clusters it needs: remote secrets, as istiod itself sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.link import LinkKind, links_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.link import Link
    from meshctl.model.verification import ClusterSeen, FleetSeen, SecretSeen

THERE = Rule(
    code="fleet-links-there",
    level=Level.ERROR,
    summary="Every istiod has a remote secret for each cluster it reads.",
    hint="`meshctl cluster link` makes it",
)
USABLE = Rule(
    code="fleet-links-usable",
    level=Level.ERROR,
    summary="Remote secrets hold what istiod takes, each cluster in one of them.",
    hint="make it anew: `meshctl remote-secret create`",
)
TAKEN = Rule(
    code="fleet-tokens-taken",
    level=Level.ERROR,
    summary="The token of each remote secret is taken by the cluster it is for.",
    hint="`meshctl remote-secret rotate` gives it a new one",
)
SYNCED = Rule(
    code="fleet-links-synced",
    level=Level.ERROR,
    summary="Every istiod is in sync with each cluster it reads.",
    hint="see istiod's log, and whether its pod reaches the server that the remote secret names",
)
ASKED = Rule(
    code="fleet-istiods-answer",
    level=Level.WARNING,
    summary="Every istiod says which clusters it reads.",
    hint="see its pod; what it reads is not verified",
)


@check(rules=(THERE,), moment=Moment.FLEET)
def fleet_links(site: FleetSeen) -> Iterator[Finding]:
    """Compare remote secrets with what the topology asks for."""
    for link, server in _links(site):
        if not _secrets(server, link) and not _is_unread(server):
            yield THERE.at(server.subject, f"its istiod has no remote secret for cluster {link.reads}")


@check(rules=(USABLE,), moment=Moment.FLEET)
def fleet_links_usable(site: FleetSeen) -> Iterator[Finding]:
    """Read the kubeconfigs."""
    for each in site.seen:
        names = [secret.cluster for secret in each.secrets]
        for name in sorted({name for name in names if names.count(name) > 1}):
            places = listed(secret.subject for secret in each.secrets if secret.cluster == name)
            yield USABLE.at(each.subject, f"{name} is in several remote secrets: {places}")
        for secret in each.secrets:
            if secret.fault:
                yield USABLE.at(each.subject, f"{secret.subject} for {secret.cluster}: {secret.fault}")


@check(rules=(TAKEN,), moment=Moment.FLEET)
def fleet_tokens(site: FleetSeen) -> Iterator[Finding]:
    """Ask each cluster about the token that is for it, and see when it ends."""
    for each in site.seen:
        for secret in each.secrets:
            if secret.ends and secret.ends <= site.now:
                why = f"expired at {secret.ends.isoformat(timespec='seconds')}"
            elif secret.refused:
                why = f"is not taken by cluster {secret.cluster}: {secret.refused}"
            else:
                continue
            yield TAKEN.at(each.subject, f"the token in {secret.subject} {why}")


@check(
    rules=(SYNCED,), after=("fleet-names-unique", THERE.code, USABLE.code, TAKEN.code), moment=Moment.FLEET
)
def fleet_synced(site: FleetSeen) -> Iterator[Finding]:
    """Take istiods' own word."""
    for link, server in _links(site):
        if link.kind is LinkKind.CONFIG:
            continue  # its own configuration: an istiod that is not in sync with that does not become ready
        for istiod in server.istiods:
            state = istiod.reads.get(link.reads, "unknown")
            if not istiod.why and state != "synced":
                places = listed(f"{one.subject} ({one.server})" for one in _secrets(server, link))
                yield SYNCED.at(
                    server.subject,
                    f"istiod {istiod.pod} is not in sync with {link.reads}: {state}; it reads by {places}",
                )


@check(rules=(ASKED,), moment=Moment.FLEET)
def fleet_istiods(site: FleetSeen) -> Iterator[Finding]:
    """Tell of istiods that did not say."""
    for each in site.seen:
        for istiod in each.istiods:
            if istiod.why:
                yield ASKED.at(each.subject, f"istiod {istiod.pod}: {istiod.why}")


def _links(site: FleetSeen) -> Iterator[tuple[Link, ClusterSeen]]:
    """Links that the topology asks for, and the cluster whose istiod reads, of those that were seen."""
    seen = {each.name: each for each in site.seen}
    for mesh in site.meshes:
        others = [each for each in site.meshes if each is not mesh]
        for link in links_wanted(mesh, others):
            if link.server in seen and site.cluster(link.reads):
                yield link, seen[link.server]


def _secrets(server: ClusterSeen, link: Link) -> list[SecretSeen]:
    return [each for each in server.secrets if each.cluster == link.reads]


def _is_unread(server: ClusterSeen) -> bool:
    return any(what == "remote secrets" for what, _ in server.unread)
