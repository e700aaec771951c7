"""`uninstall`."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, TIMEOUT
from meshctl.cli.plans import attached_text, left_text, plan_text, removal_data
from meshctl.errors import FailedError


@click.command()
@click.option(
    "--purge",
    is_flag=True,
    help="Everything, whoever installed it: definitions with all resources of their kinds, too.",
)
@click.option("--keep-ca", is_flag=True, help="Leave the key of istiod's own certificate authority.")
@click.option(
    "--strip-finalizers",
    "strip",
    is_flag=True,
    help="Take finalizers of your Istio resources away, so that they cannot hold their definitions.",
)
@click.option(
    "--save-to",
    "file",
    default="istio-resources.yaml",
    show_default=True,
    metavar="FILE",
    help="Where your Istio resources are saved before their definitions go.",
)
@click.option("--mesh", default="mesh", show_default=True, metavar="NAME", help="Name of the mesh.")
@click.option(
    "--drain",
    default="2s",
    show_default=True,
    metavar="DURATION",
    type=DURATION,
    help="How long gateways may finish what is under way.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def uninstall(app: App, drain: float, dry_run: bool, timeout: float, **scope: Any) -> None:
    """Remove the mesh, wait until it is really gone, and compare with what was there before.

    It needs no files, and neither istiod nor its webhooks have to work. Without --purge the custom
    resource definitions and your resources stay.

    \b
    Examples:
      meshctl uninstall
      meshctl uninstall --purge --yes
      meshctl uninstall --purge --dry-run -o json
    """
    from meshctl.actions.doing import do
    from meshctl.actions.rights import require_rights
    from meshctl.actions.uninstall import uninstall as actions_uninstall
    from meshctl.model.removal import Scope

    world = app.target.world()
    wanted = Scope(namespace=app.target.istio_namespace, seconds=timeout, **scope)
    for leave in actions_uninstall(world, wanted, drain=max(1, round(drain))):
        if leave.plan.is_empty and not dry_run:
            left = leave.left(world)
            app.report.result(
                removal_data(leave, left), f"there is no mesh to remove\n{left_text(left)}".rstrip()
            )
            continue
        app.report.note(plan_text(leave.plan))
        if leave.attached:
            app.report.note(attached_text(leave.attached))
        if dry_run:
            app.report.result(removal_data(leave, ()), "")
            continue
        require_rights(world.clusters[leave.cluster], leave.plan)
        app.confirm(f"Remove all this from {leave.cluster}?")
        for event in do(world, leave.plan):
            app.report.event(event)
        left = leave.left(world)
        app.report.result(removal_data(leave, left), left_text(left))
        if any(not each.meant for each in left):
            raise FailedError(
                "residue",
                f"{sum(not each.meant for each in left)} objects of the mesh are left",
                hint="run the same command again; if they stay, see which finalizers hold them",
            )
