"""`install` and `plan`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import TIMEOUT, inputs_options, kept_all
from meshctl.cli.passphrase import PASSPHRASE_FILE, signer
from meshctl.cli.plan_files import PLAN
from meshctl.cli.plans import counted, plan_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.actions.fleet.install import Choices, Fleet
    from meshctl.actions.install import Wave
    from meshctl.model.plan import Plan
    from meshctl.ports import World

TAKE_OVER = click.option("--take-over", is_flag=True, help="Take fields that other field managers hold.")
ADOPT = click.option(
    "--adopt", is_flag=True, help="Make ours what already stands there and is part of the mesh."
)


@click.command()
@inputs_options
@click.option("--dry-run", is_flag=True, help="Show the plan and let the API server judge it; keep nothing.")
@PLAN
@TAKE_OVER
@ADOPT
@PASSPHRASE_FILE
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def install(
    app: App,
    dry_run: bool,
    file: str,
    take_over: bool,
    adopt: bool,
    passphrase_file: str | None,
    timeout: float,
    **asked: Any,
) -> int:
    """Install the mesh, or bring it in line with what is asked.

    Run it twice and the second run has nothing to do. A run that was stopped is continued by the
    same command. It keeps to the version and the revision that are there; `meshctl upgrade` changes
    a version. Settings are what you give now, not what was given before: the plan says what is lost.

    With a mesh.yaml, all its clusters are installed side by side, each as soon as those are that it needs:
    authorities first, then istiods, links between clusters, addresses of gateways, clusters that others
    serve. One that fails keeps back only those that need it.

    \b
    Examples:
      meshctl install
      meshctl install -f mesh.yaml
      meshctl install --profile demo --set meshConfig.accessLogFile=/dev/stdout
      meshctl install -f operator.yaml -f values.yaml --revision canary
      meshctl install --dry-run
      meshctl plan -o json > plan.json && meshctl install --plan plan.json
    """
    from meshctl.actions.fleet.install import Choices

    if file:
        _install_plan(app, file, asked)
        return 0
    world, fleet = kept_all(app, asked, adopt=adopt)
    choices = Choices(take_over, adopt, timeout)
    if fleet.is_declared:
        from meshctl.cli import fleet as several

        world = replace(world, signer=signer(app, passphrase_file))
        return several.install(app, world, fleet, choices, dry_run=dry_run)
    _install_one(app, world, fleet, choices, dry_run=dry_run)
    return 0


def _install_one(app: App, world: World, fleet: Fleet, choices: Choices, *, dry_run: bool) -> None:
    from meshctl.actions.doing import do
    from meshctl.actions.install import rehearse
    from meshctl.actions.rights import require_rights
    from meshctl.stages.planning.plan_data import plan_data

    for wave in _waves(world, fleet, choices):
        if wave.plan.is_empty:
            app.report.result({"changed": False, **plan_data(wave.plan)}, unchanged(wave))
            continue
        if dry_run:
            app.report.result(plan_data(wave.plan), plan_text(wave.plan))
            for event in rehearse(world, wave.plan):
                app.report.event(event)
            continue
        app.report.note(headline(wave))
        for warning in wave.plan.warnings:
            app.report.note(f"! {warning}")
        require_rights(world.clusters[wave.cluster], wave.plan)
        app.confirm("Go on?")
        for event in do(world, wave.plan):
            app.report.event(event)


def _install_plan(app: App, file: str, asked: dict[str, Any]) -> None:
    from meshctl.actions.doing import do
    from meshctl.actions.rights import require_rights
    from meshctl.cli.plan_files import headline, planned
    from meshctl.stages.planning.plan_data import plan_data

    world, found = planned(app, file, asked)
    if found.release is None or found.plan.is_empty:
        said = "the cluster is as planned; nothing was sent"
        app.report.result({"changed": False, **plan_data(found.plan)}, said)
        return
    app.report.note(f"{headline(found.release, found.plan.cluster)}: {counted(found.plan)}")
    for warning in found.plan.warnings:
        app.report.note(f"! {warning}")
    require_rights(world.clusters[found.plan.cluster], found.plan)
    app.confirm("Go on?")
    for event in do(world, found.plan):
        app.report.event(event)


@click.command()
@inputs_options
@TAKE_OVER
@ADOPT
@click.option(
    "--observations",
    metavar="DIR",
    help="Plan against what `meshctl observe` has put into this folder; reach no cluster.",
)
@command(cluster=True)
def plan(app: App, take_over: bool, adopt: bool, observations: str | None, **asked: Any) -> int:
    """Show what install would send, object by object and leaf by leaf; send nothing.

    In JSON or YAML the plan of one cluster can be applied later, with `meshctl install --plan`.

    \b
    Examples:
      meshctl plan
      meshctl plan --profile demo -o json > plan.json
      meshctl plan -f mesh.yaml
      meshctl plan -f mesh.yaml --cluster west -o json > west.json
      meshctl plan -f mesh.yaml --observations seen
    """
    from meshctl.actions.fleet.install import Choices

    world, fleet = kept_all(app, asked, adopt=adopt, observations=observations or "")
    choices = Choices(take_over, adopt)
    if fleet.is_declared:
        from meshctl.cli import fleet as several

        return several.plan(app, world, fleet, choices)
    for wave in _waves(world, fleet, choices):
        show(app, world, wave.plan, choices)
    return 0


def show(app: App, world: World, steps: Plan, choices: Choices) -> None:
    """The plan of one cluster, as a person reads it or as a file that can be applied."""
    from meshctl.actions.plan_file import sealed

    if app.report.form == "text":
        app.report.result(None, plan_text(steps))
    else:
        app.report.result(sealed(world, steps, take_over=choices.take_over, adopt=choices.adopt), "")


def _waves(world: World, fleet: Fleet, choices: Choices) -> Iterator[Wave]:
    from meshctl.actions.install import install as actions_install

    [asked] = fleet.inputs.values()
    return actions_install(
        world, asked, take_over=choices.take_over, adopt=choices.adopt, seconds=choices.seconds
    )


def headline(wave: Wave) -> str:
    """What a plan is for and how much it changes, in a line before it is agreed to."""
    values = wave.values
    named = f", revision {values.revision}" if values.revision else ""
    what = f"Istio {values.version.full}, profile {values.profile}{named}"
    return f"{what}, into {wave.cluster}: {counted(wave.plan)}"


def unchanged(wave: Wave) -> str:
    """The answer where there is nothing to do."""
    values = wave.values
    return f"Istio {values.version.full}, profile {values.profile}, is installed as asked; nothing was sent"
