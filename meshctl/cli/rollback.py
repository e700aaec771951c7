"""`rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import TIMEOUT
from meshctl.cli.install import TAKE_OVER
from meshctl.cli.plans import counted, plan_text

if TYPE_CHECKING:
    from meshctl.actions.rollback import Return


@click.command()
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="GENERATION",
    help="Release to go back to; not given: the last that was deployed before the newest.",
)
@click.option(
    "-r", "--revision", metavar="NAME", help="Control-plane revision; not given: the only one there is."
)
@click.option("--mesh", default="mesh", show_default=True, metavar="NAME", help="Name of the mesh.")
@click.option("--dry-run", is_flag=True, help="Show the plan and let the API server judge it; keep nothing.")
@TAKE_OVER
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def rollback(
    app: App,
    to: int | None,
    revision: str | None,
    mesh: str,
    dry_run: bool,
    take_over: bool,
    timeout: float,
) -> None:
    """Go back to an earlier release of a control plane, as `meshctl history` lists them.

    What that release sent is sent again, and becomes a release of its own; it needs no files. Custom
    resource definitions of a newer Istio stay. A run that was stopped is continued by the same command.

    \b
    Examples:
      meshctl rollback --dry-run
      meshctl rollback --to 1
      meshctl rollback --revision canary --yes
    """
    from meshctl.actions.install import rehearse
    from meshctl.actions.rights import require_rights
    from meshctl.actions.rollback import rollback as actions_rollback
    from meshctl.actions.rollback import send
    from meshctl.stages.planning.plan_data import plan_data

    world = app.target.world()
    back = actions_rollback(world, mesh, to=to, revision=revision, take_over=take_over, seconds=timeout)
    if back.plan.is_empty:
        unchanged = {"changed": False, **plan_data(back.plan)}
        app.report.result(unchanged, f"{_named(back)} is what is there; nothing was sent")
        return
    if dry_run:
        app.report.result(plan_data(back.plan), plan_text(back.plan))
        for event in rehearse(world, back.plan):
            app.report.event(event)
        return
    app.report.note(f"back to {_named(back)}, in {back.cluster}: {counted(back.plan)}")
    for warning in back.plan.warnings:
        app.report.note(f"! {warning}")
    require_rights(world.clusters[back.cluster], back.plan)
    app.confirm("Go on?")
    for event in send(world, back):
        app.report.event(event)


def _named(back: Return) -> str:
    release = back.release
    revision = f", revision {release.revision}" if release.revision else ""
    return f"release {release.generation} (Istio {release.version}, profile {release.profile}{revision})"
