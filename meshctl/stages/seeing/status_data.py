"""JSON forms of the status commands' answers; described in docs/reference/json.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.proxy import short_type

if TYPE_CHECKING:
    from datetime import datetime

    from meshctl.errors import MeshctlError
    from meshctl.model.finding import Finding
    from meshctl.model.proxy import Proxy, ProxyStatus
    from meshctl.model.release import Release
    from meshctl.model.standing import CertificateAge, DataPlane, Installation, MeshStatus, Standing, Webhook


def proxy_status_data(status: ProxyStatus) -> dict[str, Any]:
    """The JSON form of a proxy status; described in docs/reference/json.md."""
    return {
        "synced": status.is_synced,
        "partial": status.is_partial,
        "proxies": [_proxy_data(proxy) for proxy in status.proxies],
        "missing": [
            {
                "name": seat.name,
                "namespace": seat.namespace,
                "cluster": seat.cluster,
                "carrier": seat.carrier.value,
                "revision": seat.revision,
                "version": seat.version,
                "trouble": seat.trouble,
            }
            for seat in status.missing
        ],
        "istiods": [
            {
                "name": istiod.name,
                "namespace": istiod.namespace,
                "cluster": istiod.cluster,
                "revision": istiod.revision,
                "version": istiod.version,
                "proxies": istiod.proxies,
                "error": _error_data(istiod.error),
            }
            for istiod in status.istiods
        ],
        "unseen": [{"cluster": name, "error": _error_data(error)} for name, error in status.unseen],
    }


def mesh_status_data(status: MeshStatus) -> dict[str, Any]:
    """The JSON form of a mesh status; described in docs/reference/json.md."""
    return {
        "sound": status.is_sound,
        "clusters": [_cluster_data(each, status.now) for each in status.clusters],
    }


def release_data(release: Release) -> dict[str, Any]:
    """The JSON form of a release record, without what it installed."""
    return {
        "mesh": release.mesh,
        "generation": release.generation,
        "status": release.status.value,
        "version": release.version,
        "revision": release.revision or "default",
        "profile": release.profile,
        "namespace": release.namespace,
        "created": release.created,
        "cause": release.cause,
        "restores": release.restores or None,
    }


def _proxy_data(proxy: Proxy) -> dict[str, Any]:
    return {
        "name": proxy.name,
        "namespace": proxy.namespace,
        "cluster": proxy.cluster,
        "carrier": proxy.carrier.value,
        "istiod": proxy.istiod,
        "version": proxy.version,
        "state": proxy.worst.value,
        "types": [
            {
                "type": short_type(url),
                "url": url,
                "state": sync.state.value,
                "sent": _time(sync.sent),
                "error": sync.error,
            }
            for url, sync in proxy.types.items()
        ],
    }


def _cluster_data(one: Standing, now: datetime) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "server": one.server,
        "version": one.version,
        "installed": one.is_installed,
        "releases": [release_data(each) for each in one.releases],
        "installations": [_installation_data(each) for each in one.installations],
        "webhooks": [_webhook_data(each) for each in one.webhooks],
        "default": {"injection": one.default.injection, "validation": one.default.validation},
        "certificates": [_age_data(each, now) for each in one.certificates],
        "dataPlane": None if one.data_plane is None else _data_plane_data(one.data_plane),
        "findings": [finding_data(each) for each in one.findings],
        "unread": [{"what": what, "error": _error_data(error)} for what, error in one.unread],
    }


def _installation_data(each: Installation) -> dict[str, Any]:
    return {
        "kind": each.ref.kind,
        "namespace": each.ref.namespace,
        "name": each.ref.name,
        "role": each.role.value,
        "revision": each.revision,
        "version": each.version,
        "image": each.image,
        "by": each.by,
        "wanted": each.wanted,
        "ready": each.ready,
        "trouble": each.trouble,
        "causes": list(each.causes),
    }


def _webhook_data(each: Webhook) -> dict[str, Any]:
    return {
        "kind": each.ref.kind,
        "name": each.ref.name,
        "revision": each.revision,
        "tag": each.tag,
        "target": each.target,
        "alive": each.is_alive,
        "bundle": each.has_bundle,
        "trustsRoot": each.trusts_root,
        "required": each.is_required,
    }


def _age_data(each: CertificateAge, now: datetime) -> dict[str, Any]:
    return {
        "name": each.name,
        "place": each.place,
        "begins": _time(each.begins),
        "ends": _time(each.ends),
        "left": round(each.left(now), 4),
    }


def _data_plane_data(one: DataPlane) -> dict[str, Any]:
    return {
        "sidecars": one.sidecars,
        "gateways": one.gateways,
        "namespaces": one.namespaces,
        "versions": dict(one.versions),
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """The JSON form of a finding; described in docs/reference/json.md."""
    return {
        "code": finding.rule.code,
        "level": finding.rule.level.value,
        "subject": finding.subject,
        "message": finding.message,
        "place": finding.place,
        "hint": finding.rule.hint,
    }


def _error_data(error: MeshctlError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "details": list(error.details), "hint": error.hint}


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")
