"""Who vouches for whom, as a person reads it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meshctl.cli.report import table
from meshctl.cli.tables import findings_text
from meshctl.errors import listed
from meshctl.stages.trusting.judging import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.model.trust import ClusterTrust, Kind, Shown, TrustStatus


def trust_text(status: TrustStatus) -> str:
    """Roots, authorities, what is in use, and what is not right."""
    blocks = [
        _roots_text(status),
        _authorities_text(status.clusters),
        _published_text(status.clusters),
        _in_use_text(status.clusters),
    ]
    wrong = [line for each in status.clusters for line in findings_text(each.findings)]
    wrong += [
        f"! {each.cluster}: {what}: {error.message}"
        for each in status.clusters
        for what, error in each.unread
    ]
    return "\n\n".join(each for each in (*blocks, "\n".join(wrong)) if each)


def _roots_text(status: TrustStatus) -> str:
    rows = []
    for root in status.roots:
        trusting = [
            each.cluster
            for each in status.clusters
            if each.authority and root.fingerprint in each.authority.roots
        ]
        kept = "yes" if root.fingerprint in status.kept else "no"
        where = listed(trusting) or "no cluster"
        rows.append((short(root.fingerprint), root.name, f"{root.ends:%Y-%m-%d}", root.key, kept, where))
    return table(rows, ("ROOT", "NAME", "UNTIL", "KEY", "KEPT", "TRUSTED IN")) if rows else "no root is known"


def _authorities_text(clusters: Iterable[ClusterTrust]) -> str:
    rows = []
    for each in clusters:
        authority = each.authority
        if authority is None:
            told = "none" if each.server == each.cluster else f"that of {each.server}"
            rows.append((each.cluster, told, "", "", "", "", ""))
            continue
        facts = authority.certificate
        rows.append(
            (
                each.cluster,
                facts.name if facts else "cannot be read",
                short(facts.fingerprint) if facts else "",
                f"{facts.ends:%Y-%m-%d}" if facts else "",
                short(authority.root) if authority.root else "none",
                authority.place.removeprefix("Secret "),
                authority.by or "unknown",
            )
        )
    return table(rows, ("CLUSTER", "AUTHORITY", "SHA-256", "UNTIL", "ROOT", "SECRET", "KEPT BY"))


def _published_text(clusters: Iterable[ClusterTrust]) -> str:
    rows = [
        (each.cluster, f"{len(group.namespaces)}", _shorts(group.roots))
        for each in clusters
        for group in each.published
    ]
    return table(rows, ("CLUSTER", "NAMESPACES", "GIVEN ROOTS")) if rows else ""


def _in_use_text(clusters: Iterable[ClusterTrust]) -> str:
    """One line for all of a cluster that have the same authority and trust the same roots."""
    rows = []
    for each in clusters:
        groups: dict[tuple[Kind, str, str, tuple[str, ...]], list[Shown]] = defaultdict(list)
        for one in each.shown:
            if one.leaf is not None:
                groups[one.kind, one.issuer, one.root, one.roots].append(one)
        for (kind, issuer, root, roots), found in sorted(groups.items()):
            first = min(one.leaf.ends for one in found if one.leaf is not None)
            rows.append(
                (
                    each.cluster,
                    f"{len(found)} {kind}",
                    short(issuer) or "unknown",
                    short(root) or "none",
                    _shorts(roots),
                    f"{first:%Y-%m-%d %H:%M}",
                )
            )
    return (
        table(rows, ("CLUSTER", "IN USE", "SIGNED BY", "ROOT", "TRUSTS", "FIRST ENDS (UTC)")) if rows else ""
    )


def _shorts(fingerprints: Sequence[str]) -> str:
    return listed(map(short, fingerprints)) or "none"
