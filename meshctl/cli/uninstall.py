"""`uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, ONLY, TIMEOUT
from meshctl.cli.plans import left_text, removal_data, removal_text
from meshctl.errors import ConfigError, FailedError, Where

if TYPE_CHECKING:
    from meshctl.actions.uninstall import Leave
    from meshctl.ports import World


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="mesh.yaml: remove it from all its clusters.",
)
@ONLY
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
@click.option(
    "--revision",
    metavar="NAME",
    help="Only this control plane; `default` is the unnamed one. What others share stays.",
)
@click.option(
    "--uninject",
    is_flag=True,
    help="First take sidecars out of running workloads: they make their pods anew, without.",
)
@click.option("--force", is_flag=True, help="Go on though proxies are attached, or tags lead here.")
@click.option("--mesh", metavar="NAME", default="", help="Name of the mesh; the only one when not given.")
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
def uninstall(
    app: App,
    files: tuple[str, ...],
    only: str | None,
    drain: float,
    dry_run: bool,
    timeout: float,
    **scope: Any,
) -> int:
    """Remove the mesh, wait until it is really gone, and compare with what was there before.

    It needs no files, and neither istiod nor its webhooks have to work. Without --purge the custom
    resource definitions and your resources stay. It refuses while proxies are attached: delete or restart
    their workloads, or let --uninject take the sidecars out. With a mesh.yaml, links between clusters go
    first, and clusters that others serve before those.

    \b
    Examples:
      meshctl uninstall
      meshctl uninstall -f mesh.yaml
      meshctl uninstall -f mesh.yaml --cluster east
      meshctl uninstall --uninject --yes
      meshctl uninstall --revision 1-31-0
      meshctl uninstall --purge --force --yes
      meshctl uninstall --purge --dry-run -o json
    """
    from meshctl.actions.uninstall import uninstall as actions_uninstall
    from meshctl.model.removal import Scope

    wanted = Scope(namespace=app.target.istio_namespace, seconds=timeout, **scope)
    seconds = max(1, round(drain))
    if files:
        from meshctl.cli import fleet_uninstall

        return fleet_uninstall.uninstall(app, files, only, wanted, drain=seconds, dry_run=dry_run)
    if only is not None:
        raise ConfigError(
            "unknown-cluster",
            "clusters are named in a mesh.yaml",
            where=Where("--cluster"),
            hint="give it with -f, or choose the cluster with --context",
        )
    world = app.target.world()
    for leave in actions_uninstall(world, wanted, drain=seconds):
        if leave.is_empty and not dry_run:
            if leave.scope.revision is None:
                world.releases[leave.cluster].forget_upgrade(leave.scope.mesh)
            left = leave.left(world)
            app.report.result(
                removal_data(leave, left),
                f"there is nothing to remove\n{left_text(left, leave.scope.revision)}".rstrip(),
            )
            continue
        for part in filter(None, removal_text(leave)):
            app.report.note(part)
        if dry_run:
            for refusal in leave.refusals:
                app.report.note(f"! it would be refused: {refusal.code}")
            app.report.result(removal_data(leave, ()), "")
            continue
        _remove(app, world, leave, seconds)
    return 0


def _remove(app: App, world: World, leave: Leave, drain: int) -> None:
    """Ask, do it, and say what is left."""
    from meshctl.actions.install import refuse_during_upgrade
    from meshctl.actions.rights import require_rights
    from meshctl.actions.uninstall import remove

    if leave.scope.revision is not None:
        refuse_during_upgrade(world.releases[leave.cluster], leave.scope.mesh)
    for refusal in leave.refusals:
        raise refusal
    for plan in (leave.labels, leave.freeing, leave.plan):
        require_rights(world.clusters[leave.cluster], plan)
    app.confirm(f"Remove all this from {leave.cluster}?")
    for event in remove(world, leave, drain=drain):
        app.report.event(event)
    left = leave.left(world)
    app.report.result(removal_data(leave, left), left_text(left, leave.scope.revision))
    if any(not each.meant for each in left):
        raise FailedError(
            "residue",
            f"{sum(not each.meant for each in left)} objects of the mesh are left",
            hint="run the same command again; if they stay, see which finalizers hold them",
        )
