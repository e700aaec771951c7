"""`install`, `plan` and `uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded, placed
from meshctl.cli.plans import attached_text, counted, left_text, plan_data, plan_text, removal_data
from meshctl.errors import FailedError

if TYPE_CHECKING:
    from meshctl.actions.install import Wave

TIMEOUT = click.option(
    "--timeout",
    "--readiness-timeout",
    "timeout",
    default="5m",
    show_default=True,
    metavar="DURATION",
    callback=lambda _context, _option, value: seconds(value),
    help="Budget of each wait: 90s, 5m, 1h.",
)
TAKE_OVER = click.option("--take-over", is_flag=True, help="Take fields that other field managers hold.")
ADOPT = click.option(
    "--adopt", is_flag=True, help="Make ours what already stands there and is part of the mesh."
)


def seconds(text: str) -> float:
    """`90s`, `5m`, `1h30m`, or a bare number of seconds.

    Raises:
        click.BadParameter: it is none of these.
    """
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s|$)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{text!r} is no duration; write 90s, 5m or 1h")
    return sum(float(number) * units[unit] for number, unit in parts)


@click.command()
@inputs_options
@click.option("--dry-run", is_flag=True, help="Show the plan and let the API server judge it; keep nothing.")
@TAKE_OVER
@ADOPT
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def install(app: App, dry_run: bool, take_over: bool, adopt: bool, timeout: float, **asked: Any) -> None:
    """Install the mesh, or bring it in line with what is asked.

    Run it twice and the second run has nothing to do. A run that was stopped is continued by the
    same command.

    \b
    Examples:
      meshctl install
      meshctl install --profile demo --set meshConfig.accessLogFile=/dev/stdout
      meshctl install -f operator.yaml -f values.yaml --revision canary
      meshctl install --dry-run
    """
    from meshctl.actions.install import rehearse
    from meshctl.actions.rights import require_rights

    world, waves = _waves(app, asked, take_over=take_over, adopt=adopt, seconds=timeout)
    for wave in waves:
        if wave.plan.is_empty:
            app.report.result({"changed": False, **plan_data(wave.plan)}, _unchanged(wave))
            continue
        if dry_run:
            app.report.result(plan_data(wave.plan), plan_text(wave.plan))
            for event in rehearse(world, wave):
                app.report.event(event)
            continue
        app.report.note(_headline(wave))
        for warning in wave.plan.warnings:
            app.report.note(f"! {warning}")
        require_rights(world.clusters[wave.cluster], wave.plan)
        app.confirm("Go on?")
        for event in wave.go(world):
            app.report.event(event)


@click.command()
@inputs_options
@TAKE_OVER
@ADOPT
@command(cluster=True)
def plan(app: App, take_over: bool, adopt: bool, **asked: Any) -> None:
    """Show what install would send, object by object and leaf by leaf; send nothing.

    \b
    Examples:
      meshctl plan
      meshctl plan --profile demo -o json
    """
    _, waves = _waves(app, asked, take_over=take_over, adopt=adopt)
    for wave in waves:
        app.report.result(plan_data(wave.plan), plan_text(wave.plan))


def _waves(app: App, asked: dict[str, Any], **choices: Any) -> Any:
    from meshctl.actions.install import install as actions_install

    wanted = loaded(app, asked)  # before the cluster: bad input is told without asking anybody
    world = app.target.world()
    return world, actions_install(world, placed(wanted, world), **choices)


def _headline(wave: Wave) -> str:
    values = wave.values
    named = f", revision {values.revision}" if values.revision else ""
    what = f"Istio {values.version.full}, profile {values.profile}{named}"
    return f"{what}, into {wave.cluster}: {counted(wave.plan)}"


def _unchanged(wave: Wave) -> str:
    values = wave.values
    return f"Istio {values.version.full}, profile {values.profile}, is installed as asked; nothing was sent"


@click.command()
@click.option(
    "--purge",
    is_flag=True,
    help="Everything, whoever installed it: definitions with all resources of their kinds, too.",
)
@click.option("--keep-ca", is_flag=True, help="Leave the key of istiod's own certificate authority.")
@click.option(
    "--save-to",
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
    callback=lambda _context, _option, value: seconds(value),
    help="How long gateways may finish what is under way.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def uninstall(
    app: App, purge: bool, keep_ca: bool, save_to: str, mesh: str, drain: float, dry_run: bool, timeout: float
) -> None:
    """Remove the mesh, wait until it is really gone, and compare with what was there before.

    It needs no files, and neither istiod nor its webhooks have to work. Without --purge the custom
    resource definitions and your resources stay.

    \b
    Examples:
      meshctl uninstall
      meshctl uninstall --purge --yes
      meshctl uninstall --purge --dry-run -o json
    """
    from meshctl.actions.uninstall import uninstall as actions_uninstall
    from meshctl.stages.removal import Scope

    world = app.target.world()
    scope = Scope(mesh, app.target.istio_namespace, purge, keep_ca, file=save_to, seconds=timeout)
    for leave in actions_uninstall(world, scope, drain=max(1, round(drain))):
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
        app.confirm(f"Remove all this from {leave.cluster}?")
        for event in leave.go(world):
            app.report.event(event)
        left = leave.left(world)
        app.report.result(removal_data(leave, left), left_text(left))
        if any(not each.meant for each in left):
            raise FailedError(
                "residue",
                f"{sum(not each.meant for each in left)} objects of the mesh are left",
                hint="run the same command again; if they stay, see which finalizers hold them",
            )
