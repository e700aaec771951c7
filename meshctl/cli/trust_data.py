"""Certificates, and who trusts whom, as data: described in docs/reference/json.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.report import error_data
from meshctl.stages.seeing.status_data import finding_data

if TYPE_CHECKING:
    from datetime import datetime

    from meshctl.model.certificate import Facts
    from meshctl.model.trust import ClusterTrust, SeenAuthority, Shown, TrustStatus


def certificate_data(facts: Facts) -> dict[str, Any]:
    """One certificate for a program."""
    return {
        "name": facts.name,
        "sha256": facts.fingerprint,
        "issuer": facts.issuer,
        "serial": f"{facts.serial:x}",
        "begins": _time(facts.begins),
        "ends": _time(facts.ends),
        "key": facts.key,
        "uris": list(facts.uris),
        "signs": facts.signs,
        "pathLength": facts.path_length,
        "permitted": list(facts.permitted),
    }


def trust_data(status: TrustStatus) -> dict[str, Any]:
    """Who vouches for whom, for a program."""
    return {
        "sound": status.is_sound,
        "roots": [
            {**certificate_data(each), "kept": each.fingerprint in status.kept} for each in status.roots
        ],
        "clusters": [_cluster_data(each) for each in status.clusters],
    }


def _cluster_data(one: ClusterTrust) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "server": one.server,
        "authority": None if one.authority is None else _authority_data(one.authority),
        "published": [
            {"namespaces": list(each.namespaces), "roots": list(each.roots)} for each in one.published
        ],
        "inUse": [_shown_data(each) for each in one.shown],
        "unread": [{"what": what, "error": error_data(error)} for what, error in one.unread],
        "findings": [finding_data(each) for each in one.findings],
    }


def _authority_data(seen: SeenAuthority) -> dict[str, Any]:
    return {
        "place": seen.place,
        "by": seen.by,
        "certificate": None if seen.certificate is None else certificate_data(seen.certificate),
        "root": seen.root,
        "roots": list(seen.roots),
    }


def _shown_data(shown: Shown) -> dict[str, Any]:
    return {
        "kind": shown.kind.value,
        "namespace": shown.namespace,
        "pod": shown.pod,
        "certificate": None if shown.leaf is None else certificate_data(shown.leaf),
        "issuer": shown.issuer,
        "root": shown.root,
        "roots": list(shown.roots),
        "error": None if shown.error is None else error_data(shown.error),
    }


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
