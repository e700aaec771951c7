"""Answers of the status commands as a person reads them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from meshctl.cli.report import pairs, table
from meshctl.model.proxy import Sync

if TYPE_CHECKING:
    from datetime import datetime

    from meshctl.model.finding import Finding
    from meshctl.model.proxy import Proxy, ProxyStatus
    from meshctl.model.release import Release
    from meshctl.model.standing import CertificateAge, Installation, MeshStatus, Standing

TYPES = ("CDS", "LDS", "EDS", "RDS", "ECDS")
"""Types that have a column of their own."""


def proxies_text(status: ProxyStatus) -> str:
    """One line a proxy, then what is not right and why."""
    blocks = []
    alone = "is connected to none that answered" if status.is_partial else "is not connected"
    if status.proxies:
        header = ("NAME", "CLUSTER", "KIND", "ISTIOD", "VERSION", *TYPES)
        blocks.append(table([_proxy_row(proxy) for proxy in status.proxies], header))
    blocks += [
        f"! {proxy.name}.{proxy.namespace}: {line}" for proxy in status.proxies for line in _rejected(proxy)
    ]
    blocks += [
        f"! {seat.name}.{seat.namespace}: has a {seat.carrier} and {alone}{_because(seat.trouble)}"
        for seat in status.missing
    ]
    blocks += [f"! istiod {each.name}: {each.error.message}" for each in status.istiods if each.error]
    blocks += [f"! {name}: {error.message}" for name, error in status.unseen]
    if status.is_partial:
        blocks.append("! this is not the whole answer: see above who did not give theirs")
    return "\n".join(blocks) or "no proxy is connected"


def mesh_text(status: MeshStatus) -> str:
    """Cluster by cluster: what is installed, whether it is ready, what ends when."""
    return "\n\n".join(_cluster_text(each, status.now) for each in status.clusters)


def history_text(releases: tuple[Release, ...]) -> str:
    """One line a generation."""
    rows = [
        (str(r.generation), r.status, r.version, r.revision or "default", r.profile, r.created, r.cause)
        for r in releases
    ]
    header = ("GENERATION", "STATUS", "VERSION", "REVISION", "PROFILE", "CREATED", "CAUSE")
    return table(rows, header) if rows else "nothing was installed here by meshctl"


def findings_text(findings: tuple[Finding, ...]) -> list[str]:
    """Two lines a finding: what, and what to do."""
    lines = []
    for each in findings:
        lines.append(f"{_mark(each)} {each.subject}: {each.message}  [{each.rule.code}]")
        lines.append(f"    hint: {each.rule.hint}")
    return lines


def _mark(finding: Finding) -> str:
    return ("i", "!", "x")[finding.rule.level.rank]


def _because(cause: str) -> str:
    return f": {cause}" if cause else ""


def _proxy_row(proxy: Proxy) -> tuple[str, ...]:
    states = proxy.states
    types = (_state(states[name].state) if name in states else "-" for name in TYPES)
    return (
        f"{proxy.name}.{proxy.namespace}",
        proxy.cluster,
        proxy.carrier,
        proxy.istiod,
        proxy.version,
        *types,
    )


def _state(state: Sync) -> str:
    return state.value.replace("-", " ").upper()


def _rejected(proxy: Proxy) -> list[str]:
    return [
        f"rejected {name}: {sync.error}" for name, sync in proxy.states.items() if sync.state is Sync.ERROR
    ]


def _cluster_text(one: Standing, now: datetime) -> str:
    facts = [("cluster", f"{one.cluster}  {one.server}  {one.version}".rstrip())]
    facts += [("mesh", _release_words(release)) for release in one.releases]
    if one.is_installed:
        facts.append(
            ("default", f"injects {one.default.injection or '-'}, validates {one.default.validation or '-'}")
        )
    tags = [each for each in one.webhooks if each.tag and each.ref.kind == "MutatingWebhookConfiguration"]
    if tags:
        facts.append(("tags", ", ".join(f"{each.tag} → {each.revision}" for each in tags)))
    if one.data_plane:
        plane = one.data_plane
        versions = ", ".join(f"{count} of {version}" for version, count in sorted(plane.versions.items()))
        count = f"{plane.sidecars} sidecars, {plane.gateways} gateways in {plane.namespaces} namespaces"
        facts.append(("proxies", f"{count}{f' ({versions})' if versions else ''}"))
    facts += [("certificate", _age_words(each, now)) for each in one.certificates]
    blocks = [pairs(facts)]
    if one.installations:
        header = ("WORKLOAD", "ROLE", "REVISION", "VERSION", "READY", "BY", "")
        blocks.append(table([_installation_row(each) for each in one.installations], header))
    elif not one.is_installed:
        blocks.append("no mesh is installed here; `meshctl install` begins one")
    blocks += ["\n".join(findings_text(one.findings))] if one.findings else []
    blocks += (
        ["\n".join(f"! {what} could not be read: {error.message}" for what, error in one.unread)]
        if one.unread
        else []
    )
    return "\n\n".join(blocks)


def _release_words(release: Release) -> str:
    named = f" revision {release.revision}" if release.revision else ""
    return (
        f"{release.mesh} generation {release.generation} {release.status}: Istio {release.version}, "
        f"profile {release.profile}{named}, {release.created}"
    )


def _installation_row(each: Installation) -> tuple[str, ...]:
    place = f"{each.ref.kind.lower()}/{each.ref.name}.{each.ref.namespace}"
    trouble = "; ".join((each.trouble, *each.causes)) if each.trouble else ""
    return (
        place,
        each.role,
        each.revision,
        each.version or "-",
        f"{each.ready}/{each.wanted}",
        each.by or "-",
        trouble,
    )


def _age_words(age: CertificateAge, now: datetime) -> str:
    left = age.ends - now
    days = f"{left.days} days" if left > timedelta(days=2) else f"{left.total_seconds() / 3600:.1f} hours"
    return f"{age.name} ({age.place}) ends in {days}, {age.left(now):.0%} of its life left"
