"""`upgrade`, and `upgrade status`, `resume`, `promote` and `abort` of one that is under way."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, TIMEOUT, loaded, opened, target_options
from meshctl.cli.install import TAKE_OVER

if TYPE_CHECKING:
    from meshctl.actions.canary.sending import Run
    from meshctl.model.upgrade import Gate, Upgrade
    from meshctl.stages.settings.load import Loaded

CANARY, IN_PLACE = "canary", "in-place"
MESH = click.option("--mesh", default="mesh", show_default=True, metavar="NAME", help="Name of the mesh.")
_GATE = (
    click.option("--gate-query", default="", metavar="PROMQL", help="A comparison that must hold, too."),
    click.option(
        "--prometheus", default="", metavar="URL", help="The server that is asked for --gate-query."
    ),
    click.option(
        "--gate-command",
        default="",
        metavar="CMD",
        help="A command that must end with 0, too. It is recorded: no secrets.",
    ),
    click.option(
        "--gate-timeout",
        default="2m",
        show_default=True,
        type=DURATION,
        metavar="DURATION",
        help="How long moved proxies may take to pass.",
    ),
    click.option(
        "--soak",
        default="0s",
        show_default=True,
        type=DURATION,
        metavar="DURATION",
        help="How long all must hold without a break.",
    ),
)


def _gate_options(function: Any) -> Any:
    for option in reversed(_GATE):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@target_options
@click.option(
    "--strategy",
    type=click.Choice([IN_PLACE, CANARY]),
    default=IN_PLACE,
    show_default=True,
    help="Over the old control plane, or beside it, batch after batch.",
)
@click.option(
    "--batch", "size", default="", metavar="N|N%", help="Workloads in a batch; not given: a namespace's."
)
@click.option(
    "--from", "leaving", metavar="NAME", help="Revision that is left; not given: the only one there is."
)
@click.option("--pause", is_flag=True, help="Stop after each batch, until `resume` or `promote`.")
@_gate_options
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="CODE",
    help="Begin though this is found; `check --pre --to VERSION` tells the codes.",
)
@click.option("--dry-run", is_flag=True, help="Show all that would be done; send nothing.")
@MESH
@TAKE_OVER
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def upgrade(app: App, **options: Any) -> int:
    """Bring the mesh to another version of Istio.

    Without -f and --profile the settings of the installed release are kept, and --set is laid on them.
    In place, the new control plane takes the old one's place, and gives it back when it does not come
    right. As a canary it stands beside the old one, and workloads move batch after batch: each must pass
    the gate, or goes back. A run that was stopped is continued by the same command.

    \b
    Examples:
      meshctl upgrade --to 1.32 --dry-run
      meshctl upgrade --to 1.32 --strategy canary --batch 10% --soak 1m
      meshctl upgrade --to 1.32 --strategy canary --pause
      meshctl upgrade status
    """
    context = click.get_current_context()
    if context.invoked_subcommand:
        given = [
            name
            for name in context.params
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            wanted = f"meshctl upgrade {context.invoked_subcommand} ..."
            raise click.UsageError(f"options stand behind the last word: {wanted}", context)
        return 0
    return _upgraded(app, **options)


def _upgraded(
    app: App,
    *,
    strategy: str,
    mesh: str,
    leaving: str | None,
    size: str,
    pause: bool,
    dry_run: bool,
    ignored: tuple[str, ...],
    take_over: bool,
    timeout: float,
    gate_query: str,
    prometheus: str,
    gate_command: str,
    gate_timeout: float,
    soak: float,
    **asked: Any,
) -> int:
    from meshctl.actions.canary.sending import Run
    from meshctl.actions.preflight import require_codes
    from meshctl.cli.upgrade_strategies import Wish, canary, in_place
    from meshctl.errors import listed

    gate = _gate(gate_query, prometheus, gate_command, gate_timeout, soak)
    require_codes(ignored)
    given = loaded(app, asked) if asked["files"] or asked["profile"] else None
    world = opened(app, given)[0] if given else app.target.world()
    mesh = given.mesh.name if given else mesh
    [name] = world.clusters
    run = Run(world, name, timeout, take_over)
    under_way = run.records.upgrade(mesh)
    if under_way is None:
        wish = Wish(given, asked, mesh, leaving, dry_run, ignored, size, pause, gate)
        return (canary if strategy == CANARY else in_place)(app, run, wish)
    _require_same(under_way, given, asked)
    if dry_run:
        _tell_status(app, run, under_way)
        return 0
    app.report.note(f"an upgrade of mesh {mesh!r} is under way; it is continued as it was begun")
    if left := _left_out(under_way, gate, strategy, asked, size):
        app.report.note(
            f"! {listed(left)}: not applied; `meshctl upgrade abort` first, to begin anew with that"
        )
    return _go_on(app, run, mesh, pause=pause or None)


def _gate(query: str, prometheus: str, program: str, seconds: float, soak: float) -> Gate:
    from meshctl.actions.canary.gate import require
    from meshctl.errors import ConfigError, Where
    from meshctl.model.upgrade import Gate

    try:
        words = tuple(shlex.split(program))
    except ValueError as error:
        raise ConfigError(
            "gate-command-invalid",
            f"cannot be read as a command: {str(error).lower()}",
            where=Where("--gate-command"),
            hint="quote it as a shell would have it; for pipes write: sh -c '...'",
        ) from error
    gate = Gate(seconds, soak, query, prometheus, words)
    require(gate)
    return gate


def _require_same(under_way: Upgrade, given: Loaded | None, asked: dict[str, Any]) -> None:
    """Refuse to begin another upgrade than the one that is under way."""
    from meshctl.errors import ConflictError
    from meshctl.stages.settings.versions import version

    target = under_way.target
    to = asked["version"]
    wanted = given.version.full if given else version(to).full if to else target.version
    if wanted == target.version and asked["revision"] in (None, target.revision):
        return
    raise ConflictError(
        "upgrade-under-way",
        f"an upgrade to {target.version}, revision {target.revision or 'default'}, is under way",
        hint="`meshctl upgrade resume` goes on with it, `promote` to its end, `abort` takes it back",
    )


def _left_out(
    under_way: Upgrade, gate: Gate, strategy: str, asked: dict[str, Any], size: str
) -> tuple[str, ...]:
    """Options on the command line that change nothing any more, but for those that say what is recorded.

    The size of batches and the user's settings are not recorded as they were given, and always named.
    """
    context = click.get_current_context()
    was = under_way.gate
    changed = {
        "--filename": bool(asked["files"]),
        "--profile": bool(asked["profile"]),
        "--set": bool(asked["sets"]),
        "--strategy": strategy != CANARY,
        "--batch": bool(size),
        "--gate-query": gate.query != was.query,
        "--prometheus": gate.prometheus != was.prometheus,
        "--gate-command": gate.command != was.command,
        "--gate-timeout": gate.seconds != was.seconds,
        "--soak": gate.soak != was.soak,
    }
    names = {
        option
        for each in context.command.params
        if context.get_parameter_source(each.name or "") is click.core.ParameterSource.COMMANDLINE
        for option in each.opts
    }
    return tuple(name for name, is_changed in changed.items() if is_changed and name in names)


def _go_on(app: App, run: Run, mesh: str, **choices: Any) -> int:
    from meshctl.actions.canary.upgrade import go_on
    from meshctl.cli.upgrade_strategies import ended

    ended(app, go_on(run, mesh, **choices))
    return 0


def _run(app: App, mesh: str, *, timeout: float = 300.0) -> Run:
    """Where an upgrade is under way; a mesh.yaml may have called the cluster otherwise than kubectl."""
    from meshctl.actions.canary.sending import Run
    from meshctl.adapters.world import world as doors

    world = app.target.world()
    [name] = world.clusters
    under_way = world.releases[name].upgrade(mesh)
    asked = under_way.source.asked if under_way else None
    if under_way and asked and asked.mesh.identifier:
        name = under_way.source.cluster
        world = doors(app.target.kubeconfig, app.target.context, name)
    return Run(world, name, timeout)


@upgrade.command()
@MESH
@command(cluster=True)
def status(app: App, mesh: str) -> int:
    """What is moved, what is next, who is on which revision, and why it stopped.

    \b
    Examples:
      meshctl upgrade status
      meshctl upgrade status -o json
    """
    run = _run(app, mesh)
    _tell_status(app, run, run.records.upgrade(mesh))
    return 0


def _tell_status(app: App, run: Run, under_way: Upgrade | None) -> None:
    from meshctl.actions.canary.upgrade import seen
    from meshctl.cli.upgrading import status_data, status_text

    view = seen(run, under_way) if under_way else None
    app.report.result(status_data(view), status_text(view))


@upgrade.command()
@MESH
@TIMEOUT
@command(cluster=True, works=True)
def resume(app: App, mesh: str, timeout: float) -> int:
    """Go on where the upgrade stopped; a batch that failed is tried again.

    \b
    Examples:
      meshctl upgrade resume
    """
    return _go_on(app, _run(app, mesh, timeout=timeout), mesh, again=True)


@upgrade.command()
@MESH
@TIMEOUT
@command(cluster=True, works=True)
def promote(app: App, mesh: str, timeout: float) -> int:
    """Go on to the end, without further pauses. Gates are passed all the same.

    \b
    Examples:
      meshctl upgrade promote
    """
    return _go_on(app, _run(app, mesh, timeout=timeout), mesh, again=True, pause=False)


@upgrade.command()
@MESH
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def abort(app: App, mesh: str, timeout: float) -> int:
    """Take all back: workloads, gateways, labels and tags, and then the new control plane.

    \b
    Examples:
      meshctl upgrade abort
      meshctl upgrade abort --yes
    """
    from meshctl.actions.canary.upgrade import abort as take_back
    from meshctl.actions.canary.upgrade import under_way
    from meshctl.cli.upgrade_strategies import ended
    from meshctl.cli.upgrading import position

    run = _run(app, mesh, timeout=timeout)
    app.report.note(position(under_way(run, mesh)))
    app.confirm("Take all of it back?")
    ended(app, take_back(run, mesh))
    return 0
