"""`ca rotate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import TIMEOUT, fleet_options, opened_all
from meshctl.cli.passphrase import PASSPHRASE_FILE, signer

if TYPE_CHECKING:
    from collections.abc import Generator

    from meshctl.actions.rotation.looking import News, Run
    from meshctl.actions.rotation.rotate import Summary
    from meshctl.model.rotation import Rotation

_WAYS = ("auto", "restart", "wait")


@click.command("rotate")
@fleet_options
@click.option("--intermediate", is_flag=True, help="The intermediate of each cluster alone; roots stay.")
@click.option(
    "--renew",
    type=click.Choice(_WAYS),
    help="How proxies come by new certificates. auto (unless said): told by istiod, else made anew; "
    "restart: all made anew; wait: by themselves, in their time.",
)
@click.option(
    "--allow-unseen",
    is_flag=True,
    help="Go on without proof from proxies that cannot be asked, as on machines.",
)
@click.option("--status", "is_status", is_flag=True, help="Show the rotation under way; change nothing.")
@click.option("--abort", "is_abort", is_flag=True, help="Take the rotation under way back.")
@click.option("--dry-run", is_flag=True, help="Show what a rotation would do; send nothing.")
@PASSPHRASE_FILE
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def rotate(
    app: App,
    intermediate: bool,
    renew: str | None,
    allow_unseen: bool,
    is_status: bool,
    is_abort: bool,
    dry_run: bool,
    passphrase_file: str | None,
    timeout: float,
    **asked: Any,
) -> None:
    """Replace the root of a mesh by the newest of its folder, or the intermediates, with no failed request.

    First every proxy is seen to trust the new root beside the old one; then every istiod gets a new
    intermediate, and every proxy is seen to have a certificate of it; at last the old root goes. Where it
    was cut short, or proxies have to renew first (exit code 4), the same command goes on. Before the old
    root goes, --abort takes all back.

    \b
    Examples:
      meshctl ca init ca --another              then:
      meshctl ca rotate -f mesh.yaml --dry-run
      meshctl ca rotate -f mesh.yaml
      meshctl ca rotate -f mesh.yaml --intermediate --cluster west
      meshctl ca rotate -f mesh.yaml --renew wait
      meshctl ca rotate -f mesh.yaml --status
      meshctl ca rotate -f mesh.yaml --abort
    """
    from meshctl.actions.rotation.rotate import abort, go_on, under_way
    from meshctl.cli.rotating import position, status_data, status_text

    _require_one("--status" * is_status, "--abort" * is_abort, "--dry-run" * dry_run)
    run = _run(app, asked, passphrase_file, timeout)
    rotation = under_way(run)
    if is_status:
        from meshctl.actions.rotation.looking import witnesses

        seen = witnesses(run, rotation) if rotation else ()
        app.report.result(status_data(rotation, seen), status_text(rotation, seen))
        return
    if is_abort:
        if rotation is not None:
            app.report.note(position(rotation))
            app.confirm("Take all of it back?")
        _tell(app, abort(run))
    elif rotation is None:
        _begin(app, run, asked["only"], intermediate, renew, allow_unseen, dry_run=dry_run)
    else:
        _require_same(rotation, intermediate=intermediate)
        app.report.note(f"goes on: {position(rotation)}")
        if not dry_run:
            _tell(app, go_on(run, **_changes(renew, allow_unseen)))


def _run(app: App, asked: dict[str, Any], passphrase_file: str | None, seconds: float) -> Run:
    from dataclasses import replace

    from meshctl.actions.links.linking import offline
    from meshctl.actions.rotation.looking import Run

    world, meshes = opened_all(app, asked)
    namespaces = {
        cluster.name: offline(mesh, cluster).namespace for mesh in meshes for cluster in mesh.mesh.clusters
    }
    world = replace(world, signer=signer(app, passphrase_file))
    whole = tuple(mesh.share(mesh.mesh.clusters[0]).mesh if mesh.is_fleet else mesh.mesh for mesh in meshes)
    return Run(world, whole, namespaces, seconds)


def _begin(
    app: App,
    run: Run,
    only: str | None,
    intermediate: bool,
    renew: str | None,
    lenient: bool,
    *,
    dry_run: bool,
) -> None:
    from meshctl.actions.rights import require_rotation
    from meshctl.actions.rotation.preparing import prepared
    from meshctl.actions.rotation.rotate import begin
    from meshctl.cli.rotating import preview_data, preview_text
    from meshctl.errors import ConfigError, Where
    from meshctl.model.rotation import Renewal, Scope

    scope = Scope.INTERMEDIATE if intermediate else Scope.ROOT
    if only and scope is Scope.ROOT:
        raise ConfigError(
            "root-of-all",
            f"the root of {only!r} is that of all clusters of its mesh",
            where=Where("--cluster"),
            hint="leave --cluster out, or give --intermediate",
        )
    planned = prepared(run, scope, renewal=Renewal(renew or _WAYS[0]), lenient=lenient)
    if dry_run:
        app.report.result(preview_data(planned), preview_text(planned))
        return
    app.report.note(preview_text(planned))
    for name in planned.rotation.clusters:
        require_rotation(run.world.clusters[name], run.mesh_of(name).name, planned)
    app.confirm("Go on?")
    _tell(app, begin(run, planned.rotation))


def _changes(renew: str | None, lenient: bool) -> dict[str, object]:
    """What of the record is asked for anew."""
    from meshctl.model.rotation import Renewal

    return {**({"renewal": Renewal(renew)} if renew else {}), **({"lenient": True} if lenient else {})}


def _require_one(*flags: str) -> None:
    from meshctl.errors import ConfigError, Where, listed

    given = [each for each in flags if each]
    if len(given) > 1:
        raise ConfigError(
            "flags-exclude",
            f"{listed(given)} do not go together",
            where=Where(given[1]),
            hint=f"give {given[0]} or {given[1]}",
        )


def _require_same(rotation: Rotation, *, intermediate: bool) -> None:
    """Refuse to go on with the rotation of a root where one of intermediates is asked for.

    Raises:
        ConflictError: it is another that is under way.
    """
    from meshctl.errors import ConflictError
    from meshctl.model.rotation import Scope

    if intermediate and rotation.scope is Scope.ROOT:
        raise ConflictError(
            "rotation-under-way",
            "the root is being rotated, and each cluster gets a new intermediate with it",
            hint="`meshctl ca rotate` goes on with that, without --intermediate",
        )


def _tell(app: App, story: Generator[News, None, Summary]) -> None:
    """Tell a story to its end, and then how it ended."""
    from meshctl.cli.rotating import summary_data, summary_text
    from meshctl.model.fleet import Told

    while True:
        try:
            news = next(story)
        except StopIteration as end:
            app.report.result(summary_data(end.value), summary_text(end.value))
            return
        if isinstance(news, Told):
            app.report.event(news.event, news.cluster)
        else:
            app.report.event(news)
