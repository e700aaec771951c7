"""`observe`: what a plan needs to know of clusters, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, kept_all
from meshctl.cli.report import error_data, table
from meshctl.errors import FailedError, listed

if TYPE_CHECKING:
    from meshctl.actions.fleet.observing import Observed


@click.command()
@inputs_options
@click.option(
    "--out", required=True, metavar="DIR", help="Folder that gets a file a cluster, in place of its last one."
)
@command(cluster=True, works=True)
def observe(app: App, out: str, **asked: Any) -> int:
    """Record what is seen of clusters, so that `plan --observations` needs to reach none.

    Only reads. In the files are the objects of the mesh, its records, and the names of all objects; of
    Secrets nothing but metadata and certificates, and no tokens. Settings may be others when they are
    planned: what was not recorded is then told, and never guessed. What stands in the files is as old as
    they are: `meshctl install` looks again.

    \b
    Examples:
      meshctl observe -f mesh.yaml --out seen
      meshctl plan -f mesh.yaml --observations seen -o json
    """
    from meshctl.actions.fleet.observing import observed
    from meshctl.adapters import recordings

    world, fleet = kept_all(app, asked)
    found = observed(world, fleet)
    files = {
        each.cluster: str(recordings.write(Path(out), each.recording)) for each in found if each.recording
    }
    data = [
        {
            "cluster": each.cluster,
            "file": files.get(each.cluster),
            "error": error_data(each.error) if each.error else None,
        }
        for each in found
    ]
    rows = [(each.cluster, files.get(each.cluster, "-"), _remark(each)) for each in found]
    app.report.result({"clusters": data}, table(rows, ("CLUSTER", "FILE", "")))
    missing = [each.cluster for each in found if each.recording is None]
    if missing:
        raise FailedError(
            "clusters-not-observed",
            f"{len(missing)} of {len(found)} clusters could not be looked at: {listed(missing)}",
            hint="mend what is told above, then run the same command again",
        )
    return 0


def _remark(each: Observed) -> str:
    """What a person should know of one cluster."""
    if each.error is None:
        return ""
    return each.error.message if each.recording is None else f"cannot be planned: {each.error.message}"
