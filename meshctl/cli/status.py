"""`status`, `history` and `proxy-status`: questions that change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, fleet_options

if TYPE_CHECKING:
    from meshctl.actions.fleet.install import Fleet
    from meshctl.ports import World

FINDINGS = 3
"""Exit code when something was found that should not be."""


@click.command()
@click.option(
    "--drift", is_flag=True, help="Only what was changed behind our back since it was installed, and by whom."
)
@fleet_options
@command(cluster=True)
def status(app: App, drift: bool, **asked: Any) -> int:
    """What is installed, by whom, whether it is ready, and for how long its certificates last.

    It works for meshes of istioctl and Helm too, and while istiod does not. With a mesh.yaml it tells of
    all its clusters at once. Exit code 3 when something is wrong, or with --drift when something is not as
    it was installed.

    \b
    Examples:
      meshctl status
      meshctl status -f mesh.yaml
      meshctl status -o json
      meshctl status --drift
    """
    world, fleet = _doors(app, asked)
    if drift:
        return _drift(app, world)
    from meshctl.actions.status import status as ask
    from meshctl.cli.tables import mesh_text
    from meshctl.stages.seeing.status_data import mesh_status_data

    if fleet is not None:
        from meshctl.cli.fleet_status import tell

        return tell(app, world, fleet)
    answer = ask(world, istio_namespace=app.target.istio_namespace)
    app.report.result(mesh_status_data(answer), mesh_text(answer))
    return 0 if answer.is_sound else FINDINGS


def _doors(app: App, asked: dict[str, Any]) -> tuple[World, Fleet | None]:
    """The doors to what is meant, and the fleet where a mesh.yaml names it."""
    if not asked["files"] and asked["only"] is None:
        return app.target.world(), None
    from meshctl.actions.fleet.install import Fleet
    from meshctl.cli.inputs import opened_all

    world, meshes = opened_all(app, asked)
    return world, Fleet.of(meshes) if meshes[0].is_fleet else None


def _drift(app: App, world: World) -> int:
    from meshctl.actions.drift import drifted
    from meshctl.cli.drift import drift_data, drift_text

    answers = drifted(world)
    app.report.result(drift_data(answers), drift_text(answers))
    return FINDINGS if any(each.objects for each in answers) else 0


@click.command()
@click.option("--mesh", default="mesh", show_default=True, metavar="NAME", help="Name of the mesh.")
@command(cluster=True)
def history(app: App, mesh: str) -> None:
    """Every generation of the mesh that this cluster has a record of.

    \b
    Examples:
      meshctl history
    """
    from meshctl.cli.tables import history_text
    from meshctl.stages.seeing.status_data import release_data

    records = tuple(each for one in app.target.world().releases.values() for each in one.of(mesh))
    app.report.result([release_data(each) for each in records], history_text(records))


@click.command("proxy-status")
@click.argument("workload", required=False, default="")
@click.option(
    "-r", "--revision", default="", metavar="NAME", help="Only proxies of this control-plane revision."
)
@click.option(
    "--timeout",
    default="10s",
    show_default=True,
    metavar="DURATION",
    type=DURATION,
    help="How long each istiod may take.",
)
@command(cluster=True)
def proxy_status(app: App, workload: str, revision: str, timeout: float) -> int:
    """What every proxy has acknowledged, of all istiods at once.

    An istiod that is dead or frozen is named, and the others' answers are shown all the same. Pods
    that have a sidecar and are not connected are named too. Exit code 3 when a proxy is behind,
    missing, or the answer is not whole.

    \b
    Examples:
      meshctl proxy-status
      meshctl proxy-status deployment/web.shop
      meshctl proxy-status -n shop -o json
    """
    from meshctl.actions.proxies import proxy_status as ask
    from meshctl.cli.tables import proxies_text
    from meshctl.stages.seeing.status_data import proxy_status_data

    answer = ask(
        app.target.world(),
        istio_namespace=app.target.istio_namespace,
        namespace=app.target.namespace,
        revision=revision,
        workload=workload,
        seconds=timeout,
    )
    app.report.result(proxy_status_data(answer), proxies_text(answer))
    return 0 if answer.is_synced else FINDINGS
