"""What is not as it should be in whom a mesh trusts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.model.finding import Level, Rule
from meshctl.model.trust import Kind
from meshctl.stages.trusting.authority import renews

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from meshctl.model.certificate import Facts
    from meshctl.model.finding import Finding
    from meshctl.model.trust import ClusterTrust, SeenAuthority, Shown

AUTHORITY_WHOLE: Final = Rule(
    "authority-whole",
    Level.ERROR,
    "Every istiod has an authority that a root beside it vouches for.",
    "where meshctl manages it, `meshctl install -f` makes it anew; else look at the Secret",
)
AUTHORITY_LASTS: Final = Rule(
    "authority-lasts",
    Level.WARNING,
    "The authority of every cluster has more than a third of its life left, and its root more than a fifth.",
    "`meshctl install -f` makes another authority, and `meshctl ca rotate` goes to another root",
)
AUTHORITY_VALID: Final = Rule(
    "authority-valid",
    Level.ERROR,
    "The authority of every cluster, and every root that vouches for one, is valid now.",
    "no proxy gets a certificate from it: `meshctl ca rotate`",
)
AUTHORITY_KEPT: Final = Rule(
    "authority-kept",
    Level.WARNING,
    "Where meshctl manages authorities, they come from a root in the mesh's folder.",
    "name the folder that has its root in spec.trust, or go to another: `meshctl ca rotate`",
)
ROOTS_SHARED: Final = Rule(
    "roots-shared",
    Level.ERROR,
    "The root of each cluster's authority is trusted in every other cluster.",
    "calls between them fail; give both one root: `meshctl ca rotate` changes it without a failed request",
)
ROOTS_PUBLISHED: Final = Rule(
    "roots-published",
    Level.WARNING,
    "Every namespace is given the roots of its authority.",
    "the leading istiod writes them within a minute; if not, see its log",
)
ISTIOD_CURRENT: Final = Rule(
    "istiod-current",
    Level.ERROR,
    "Every istiod signs with the authority in its Secret.",
    "it reads the Secret within a minute or two; where its roots differ, it has to be restarted",
)
PROXY_TRUSTS: Final = Rule(
    "proxy-trusts",
    Level.ERROR,
    "Every live proxy trusts the roots of its authority.",
    "restart its workload, or wait until its certificate is renewed",
)
PROXY_TRUSTED: Final = Rule(
    "proxy-trusted",
    Level.ERROR,
    "The certificate of every live proxy comes from a root that all clusters trust.",
    "restart its workload, or wait until its certificate is renewed",
)
PROXY_VALID: Final = Rule(
    "proxy-valid",
    Level.ERROR,
    "The certificate of every live proxy is valid now.",
    "it cannot get a new one: see the log of its pod, and whether it reaches istiod",
)
IDENTITY_SEEN: Final = Rule(
    "identity-seen",
    Level.WARNING,
    "Every live proxy and istiod tells which certificate it has.",
    "is its pod ready, and may we forward ports into it?",
)


_LEFT: Final = 0.2
_MOST: Final = 3
"""Namespaces that a finding names."""


def rules() -> tuple[Rule, ...]:
    """Every rule above, in that order."""
    return tuple(each for each in globals().values() if isinstance(each, Rule))


def judged(
    clusters: Sequence[ClusterTrust],
    kept: Mapping[str, Sequence[str]],
    roots: Mapping[str, Facts],
    now: datetime,
) -> tuple[ClusterTrust, ...]:
    """The clusters with their findings at the moment `now`.

    Args:
        clusters: those that are to trust each other.
        kept: SHA-256 of the roots in the folder of its mesh, by cluster; none where that has no folder.
        roots: every root that was seen, by its SHA-256.
        now: when they were looked at.
    """
    authorities = {each.cluster: each.authority for each in clusters if each.authority is not None}
    return tuple(
        replace(
            each,
            findings=(
                *_of_authority(each, now),
                *_of_root(each, roots, now),
                *_of_folder(each, kept.get(each.cluster)),
                *_of_others(each, authorities),
                *_of_namespaces(each, authorities.get(each.server)),
                *(finding for one in each.shown for finding in _of_shown(one, each, authorities, now)),
            ),
        )
        for each in clusters
    )


def _of_authority(one: ClusterTrust, now: datetime) -> Iterator[Finding]:
    authority = one.authority
    if authority is None:
        return
    facts, subject = authority.certificate, f"{authority.place} of {one.cluster}"
    if facts is None:
        yield AUTHORITY_WHOLE.at(subject, "its certificate cannot be read")
        return
    if not authority.root:
        yield AUTHORITY_WHOLE.at(subject, f"no root beside it vouches for {facts.name}")
    if not facts.begins <= now <= facts.ends:
        yield AUTHORITY_VALID.at(
            subject, f"valid from {facts.begins:%Y-%m-%d %H:%M} to {facts.ends:%Y-%m-%d %H:%M} UTC"
        )
    elif renews(facts.begins, facts.ends, now):
        yield AUTHORITY_LASTS.at(subject, f"it ends on {facts.ends:%Y-%m-%d}")


def _of_root(one: ClusterTrust, roots: Mapping[str, Facts], now: datetime) -> Iterator[Finding]:
    """Whether the root lasts; an authority that is its own was told of already."""
    own = one.authority.certificate if one.authority else None
    root = roots.get(one.authority.root) if one.authority else None
    if root is None or root == own:
        return
    subject = f"root {short(root.fingerprint)} of {one.cluster}"
    if root.ends < now:
        yield AUTHORITY_VALID.at(subject, f"{root.name} has ended on {root.ends:%Y-%m-%d}")
    elif now > root.ends - (root.ends - root.begins) * _LEFT:
        yield AUTHORITY_LASTS.at(subject, f"{root.name} ends on {root.ends:%Y-%m-%d}")


def _of_folder(one: ClusterTrust, kept: Sequence[str] | None) -> Iterator[Finding]:
    root = one.authority.root if one.authority else ""
    if root and kept is not None and root not in kept:
        yield AUTHORITY_KEPT.at(one.cluster, f"its root {short(root)} is not in the folder of the mesh")


def _of_others(one: ClusterTrust, authorities: Mapping[str, SeenAuthority]) -> Iterator[Finding]:
    mine = one.authority
    if mine is None or not mine.root:
        return
    for name, other in sorted(authorities.items()):
        if name != one.cluster and mine.root not in other.roots:
            yield ROOTS_SHARED.at(one.cluster, f"its root {short(mine.root)} is not trusted in {name!r}")


def _of_namespaces(one: ClusterTrust, authority: SeenAuthority | None) -> Iterator[Finding]:
    if authority is None:
        return
    for group in one.published:
        if group.roots != authority.roots:
            names = ", ".join(group.namespaces[:_MOST]) + (", …" if len(group.namespaces) > _MOST else "")
            yield ROOTS_PUBLISHED.at(
                f"{one.cluster}: {names}",
                f"given {_roots(group.roots)} in place of {_roots(authority.roots)}",
            )


def _of_shown(
    shown: Shown, one: ClusterTrust, authorities: Mapping[str, SeenAuthority], now: datetime
) -> Iterator[Finding]:
    subject = f"{shown.subject} of {one.cluster}"
    if shown.leaf is None:
        yield IDENTITY_SEEN.at(subject, shown.error.message if shown.error else "it has no certificate")
        return
    own = authorities.get(one.server)
    if shown.kind is Kind.ISTIOD:
        if own is not None and own.certificate is not None:
            if shown.issuer != own.certificate.fingerprint:
                message = f"it signs with {short(shown.issuer)}, not with the authority of {one.server!r}"
                yield ISTIOD_CURRENT.at(subject, message)
            elif shown.roots != own.roots:
                message = f"it hands out {_roots(shown.roots)} in place of {_roots(own.roots)}"
                yield ISTIOD_CURRENT.at(subject, message)
        return
    if not shown.leaf.begins <= now <= shown.leaf.ends:
        yield PROXY_VALID.at(subject, f"its certificate was valid until {shown.leaf.ends:%Y-%m-%d %H:%M} UTC")
    missing = set(own.roots) - set(shown.roots) if own is not None and shown.roots else set()
    if missing:
        yield PROXY_TRUSTS.at(subject, f"it does not trust {_roots(sorted(missing))}")
    for name, other in sorted(authorities.items()):
        if shown.roots and shown.root not in other.roots:  # an old ztunnel does not tell its roots
            root = short(shown.root) if shown.root else "a root that it does not trust itself"
            yield PROXY_TRUSTED.at(subject, f"its certificate comes from {root}, not trusted in {name!r}")
            return


def short(fingerprint: str) -> str:
    """The first digits of a SHA-256, as people tell two apart."""
    return fingerprint[:12]


def _roots(fingerprints: Sequence[str]) -> str:
    return ", ".join(map(short, fingerprints)) or "no root"
