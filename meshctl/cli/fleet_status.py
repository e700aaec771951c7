"""`status` over all clusters of a mesh.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.report import table
from meshctl.cli.tables import mesh_text
from meshctl.model.finding import Level
from meshctl.stages.seeing.status_data import mesh_status_data

if TYPE_CHECKING:
    from meshctl.actions.fleet.install import Fleet
    from meshctl.cli.app import App
    from meshctl.model.standing import MeshStatus, Standing
    from meshctl.ports import World

FINDINGS = 3


def tell(app: App, world: World, fleet: Fleet) -> int:
    """How every cluster stands, a line each and then in full; the exit code."""
    from meshctl.actions.fleet.status import fleet_status

    found = fleet_status(world, fleet)
    app.report.result(_data(fleet, found), f"{_overview(fleet, found)}\n\n{mesh_text(found)}")
    return 0 if found.is_sound else FINDINGS


def _overview(fleet: Fleet, found: MeshStatus) -> str:
    rows = []
    for one in found.clusters:
        cluster = fleet.clusters[one.cluster]
        mesh = fleet.inputs[one.cluster].mesh.name
        release = next((each for each in one.releases if each.mesh == mesh), None)
        rows.append(
            (
                one.cluster,
                mesh,
                str(cluster.role),
                cluster.network or "-",
                cluster.control_plane or "its own",
                release.version if release else "-",
                _state(one),
            )
        )
    return table(rows, ("CLUSTER", "MESH", "ROLE", "NETWORK", "CONTROL PLANE", "VERSION", "STATE"))


def _state(one: Standing) -> str:
    unread = dict(one.unread)
    if "cluster" in unread:
        return f"no answer: {unread['cluster'].message}"
    errors = sum(each.rule.level is Level.ERROR for each in one.findings)
    told = [f"{errors} wrong"] if errors else []
    told += [f"{len(one.findings) - errors} to look at"] if len(one.findings) > errors else []
    told += [f"{len(unread)} not read"] if unread else []
    return ", ".join(told) or "sound"


def _data(fleet: Fleet, found: MeshStatus) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    data = mesh_status_data(found)
    for each in data["clusters"]:
        cluster = fleet.clusters[each["cluster"]]
        each["mesh"] = fleet.inputs[cluster.name].mesh.name
        each["role"] = str(cluster.role)
        each["network"] = cluster.network
        each["controlPlane"] = cluster.control_plane or cluster.name
    return data
