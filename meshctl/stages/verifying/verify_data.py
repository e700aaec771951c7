"""A verification as plain data; described in docs/reference/json.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.stages.seeing.status_data import finding_data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.check import Outcome
    from meshctl.model.verification import Call, ClusterSeen, FleetSeen, Opened


def verification_data(fleet: FleetSeen, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """What was seen, tried and found."""
    every = tuple(outcomes)
    traffic = fleet.traffic
    return {
        "sound": not any(each.level == "error" for each in every),
        "clusters": [_cluster(each) for each in fleet.clusters],
        "checks": [
            {
                "check": each.check,
                "rules": [rule.code for rule in each.rules],
                "passed": each.passed,
                "skipped": each.skipped,
                "findings": [finding_data(one) for one in each.findings],
            }
            for each in every
        ],
        "traffic": None
        if traffic is None
        else {
            "calls": [_call(each) for each in traffic.calls],
            "gateways": [_opened(each) for each in traffic.opened],
            "skipped": dict(sorted(traffic.skipped.items())),
        },
    }


def _cluster(seen: ClusterSeen) -> dict[str, Any]:
    return {
        "cluster": seen.name,
        "mesh": seen.mesh,
        "role": str(seen.cluster.role),
        "network": seen.cluster.network,
        "namespace": seen.namespace,
        "revision": seen.revision or "default",
        "unreachable": seen.why,
        "proxies": len(seen.proxies),
        "asked": sum(bool(each.roots) for each in seen.trusted),
        "istiods": [
            {"name": each.pod, "version": each.version, "reads": dict(sorted(each.reads.items()))}
            for each in seen.istiods
        ],
        "root": seen.authority.root if seen.authority else "",
        "trusts": sorted(seen.published.roots) if seen.published else [],
        "ahead": None if seen.ahead is None else round(seen.ahead, 1),
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "client": call.client,
        "server": call.server,
        "ok": call.is_well,
        "answeredBy": call.answered_by,
        "caller": call.caller,
        "called": call.called,
        "fault": call.fault,
        "path": list(call.path),
    }


def _opened(door: Opened) -> dict[str, Any]:
    return {
        "client": door.client,
        "cluster": door.cluster,
        "gateway": door.subject,
        "address": door.address,
        "ok": not door.fault,
        "fault": door.fault,
    }
