"""Proxies of all clusters trust what signs in any of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from meshctl.errors import listed
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.mesh import Role
from meshctl.model.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.finding import Finding
    from meshctl.model.verification import FleetSeen

ROOTS = Rule(
    code="fleet-roots-shared",
    level=Level.ERROR,
    summary="The root of each cluster is trusted in all others.",
    hint="give every cluster an intermediate of one root: `ca: managed` under `trust` in the mesh.yaml",
)
IN_USE = Rule(
    code="fleet-roots-in-use",
    level=Level.ERROR,
    summary="What istiod hands out is the root of its Secret.",
    hint="restart istiod, so that it reads the Secret anew",
)
LIVE = Rule(
    code="fleet-roots-live",
    level=Level.ERROR,
    summary="Live proxies trust the root of every cluster.",
    hint="restart their workloads, so that they get the roots of now",
)
VALID = Rule(
    code="fleet-authority-valid",
    level=Level.ERROR,
    summary="What signs in a cluster is vouched for by a root that it brings, and has not expired.",
    hint="renew it before istiod needs it",
)
_SHOWN = 12  # hex digits


@check(rules=(ROOTS,), moment=Moment.FLEET)
def fleet_roots(site: FleetSeen) -> Iterator[Finding]:
    """Compare roots by fingerprint: most clusters, or the first, say which root is the right one."""
    signers = signing(site)
    if not signers:
        return
    [(common, _)] = Counter(signers.values()).most_common(1)
    owners = [name for name, root in signers.items() if root == common]
    for each in site.seen:
        root = signers.get(each.name, common)
        strangers = [name for name in owners if root not in trusted(site, name)]
        if root != common and strangers:
            yield ROOTS.at(each.subject, f"it signs under {_word(root)}, not trusted in {listed(strangers)}")
        elif (roots := trusted(site, each.name)) and common not in roots:
            yield ROOTS.at(each.subject, f"it does not trust {_word(common)}, that of {listed(owners)}")


@check(rules=(IN_USE,), moment=Moment.FLEET)
def fleet_roots_in_use(site: FleetSeen) -> Iterator[Finding]:
    """Compare the Secret with what istiod has written for proxies."""
    for each in site.seen:
        own, published = each.authority, each.published
        if own and own.roots and published and published.roots and own.roots != published.roots:
            yield IN_USE.at(
                each.subject,
                f"{own.subject} has {_words(own.roots)}, and {published.subject} {_words(published.roots)}",
            )


@check(rules=(LIVE,), after=(ROOTS.code,), moment=Moment.FLEET)
def fleet_roots_live(site: FleetSeen) -> Iterator[Finding]:
    """Compare what the Envoys that were asked trust with what signs in each cluster."""
    signers = signing(site)
    for each in site.seen:
        asked = [proxy for proxy in each.trusted if proxy.roots]
        for root in dict.fromkeys(signers.values()):
            behind = [proxy.subject for proxy in asked if root not in proxy.roots]
            if behind:
                whose = f"{_word(root)}, that of {listed(name for name in signers if signers[name] == root)}"
                proxies = f"{len(behind)} of {len(asked)} proxies"
                yield LIVE.at(each.subject, f"{proxies} do not trust {whose}: {some(behind)}")


@check(rules=(VALID,), moment=Moment.FLEET)
def fleet_authority(site: FleetSeen) -> Iterator[Finding]:
    """Read the certificate that signs."""
    for each in site.seen:
        own = each.authority
        if own is None:
            continue
        if not own.root:
            yield VALID.at(each.subject, f"none of the roots in {own.subject} vouches for its certificate")
        if own.ends and own.ends <= site.now:
            yield VALID.at(each.subject, f"the certificate in {own.subject} expired {own.ends.isoformat()}")


def signing(site: FleetSeen) -> Mapping[str, str]:
    """The root under which each cluster's istiod signs, by cluster; those that are not known are left out."""
    found = {}
    for each in site.seen:
        if each.cluster.role not in (Role.PRIMARY, Role.EXTERNAL):
            continue
        if each.authority and each.authority.root:
            found[each.name] = each.authority.root
        elif each.authority is None and each.published and len(each.published.roots) == 1:
            found[each.name] = next(iter(each.published.roots))
    return found


def trusted(site: FleetSeen, name: str) -> frozenset[str]:
    """The roots that proxies of a cluster are given; those of its Secret where none are published."""
    seen = site.cluster(name)
    if seen is None:
        return frozenset()
    if seen.published and seen.published.roots:
        return seen.published.roots
    return seen.authority.roots if seen.authority else frozenset()


def _word(root: str) -> str:
    return f"root {root[:_SHOWN]}"


def _words(roots: frozenset[str]) -> str:
    return listed(map(_word, sorted(roots)))
