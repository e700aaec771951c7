"""`cluster verify`: whether the clusters of a mesh.yaml work together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, fleet_options, opened_all
from meshctl.cli.status import FINDINGS
from meshctl.model.finding import Level

if TYPE_CHECKING:
    from meshctl.actions.verification.verify import Verification
    from meshctl.model.verification import Traffic


@click.command()
@fleet_options
@click.option("--checks-only", is_flag=True, help="Only look; make no pods and no calls.")
@click.option(
    "--image", default="", metavar="IMAGE", help="An Envoy to make calls with; not given: the mesh's proxy."
)
@click.option(
    "--timeout",
    default="3m",
    show_default=True,
    type=DURATION,
    metavar="DURATION",
    help="How long client and server of a cluster may take until they are ready.",
)
@click.option(
    "--calls-timeout",
    "calling",
    default="60s",
    show_default=True,
    type=DURATION,
    metavar="DURATION",
    help="How long calls may take until all arrive.",
)
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.ERROR.value,
    show_default=True,
    help="Exit code 3 when a finding is at least this bad.",
)
@command(cluster=True, works=True)
def verify(
    app: App,
    checks_only: bool,
    image: str,
    timeout: float,
    calling: float,
    fail_on: str,
    **asked: Any,
) -> int:
    """Hold the clusters of a mesh.yaml against every rule of fleets, then have them call each other.

    Names, mesh ID, trust domain, roots, remote secrets, networks and their gateways, clocks, versions, pod
    ranges and Services are compared. Then a client and a server run in every cluster, in the namespace
    meshctl-verify: each client calls each server, and both identities have to be the right ones. All of it
    is removed again, also when you press Ctrl-C; what a killed run has left, the next one removes. Exit code
    3 when something was found.

    \b
    Examples:
      meshctl cluster verify -f mesh.yaml
      meshctl cluster verify -f mesh.yaml --checks-only
      meshctl cluster verify -f mesh.yaml --fail-on warning -o json
    """
    from meshctl.actions.verification.traffic import Trial
    from meshctl.actions.verification.verify import verify as actions_verify
    from meshctl.stages.verifying.verify_data import verification_data

    world, meshes = opened_all(app, asked)
    trial = None if checks_only else Trial(timeout, calling, image)
    story = actions_verify(world, meshes, trial)
    try:
        while True:
            told = next(story)
            app.report.event(told.event, told.cluster)
    except StopIteration as end:
        found: Verification = end.value
    finally:
        story.close()
    app.report.result(verification_data(found.fleet, found.outcomes), _text(found))
    return 0 if found.is_sound(Level(fail_on)) else FINDINGS


def _text(found: Verification) -> str:
    """The calls as a table, then the checks with what they found."""
    from meshctl.cli.check import outcomes_text

    blocks = [_matrix(found.fleet.traffic)] if found.fleet.traffic else []
    return "\n\n".join([*filter(None, blocks), outcomes_text(found.outcomes)])


def _matrix(traffic: Traffic) -> str:
    """Callers down, servers across."""
    from meshctl.cli.report import table

    servers = list(dict.fromkeys(each.server for each in traffic.calls))
    rows = []
    for client in dict.fromkeys(each.client for each in traffic.calls):
        made = {each.server: each for each in traffic.calls if each.client == client}
        rows.append((client, *("ok" if made[each].is_well else "FAILED" for each in servers)))
    return table(rows, ("FROM \\ TO", *(each.upper() for each in servers))) if rows else ""
