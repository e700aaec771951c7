"""`tag set`, `tag list` and `tag remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import TIMEOUT

if TYPE_CHECKING:
    from meshctl.actions.tags import Listed, Retag

_MESH = click.option(
    "--mesh",
    default="mesh",
    show_default=True,
    metavar="NAME",
    help="Name of the mesh, where no record tells it.",
)


@click.command("set")
@click.argument("name")
@click.option(
    "-r", "--revision", required=True, metavar="NAME", help="Control plane that it leads to; it must run."
)
@click.option(
    "--overwrite", is_flag=True, help="Move a tag that leads elsewhere, or take over another tool's."
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@_MESH
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def set_tag(
    app: App, name: str, revision: str, overwrite: bool, dry_run: bool, mesh: str, timeout: float
) -> None:
    """Make a tag lead to a revision; a tag that is there is moved without a gap.

    Before anything is sent it shows the namespaces and workloads whose next proxies come from another
    control plane. Pods that run keep theirs until they are made anew. The tag `default` stands for
    whatever names no revision: istio-injection=enabled, and Istio objects without a revision.

    \b
    Examples:
      meshctl tag set stable --revision 1-31-0
      meshctl tag set stable --revision 1-32-0 --overwrite --dry-run
      meshctl tag set default --revision 1-32-0 --overwrite --yes
    """
    from meshctl.actions.tags import set_tag as ask

    world = app.target.world()
    turns = ask(
        world,
        name,
        revision,
        overwrite=overwrite,
        istio_namespace=app.target.istio_namespace,
        mesh=mesh,
        seconds=timeout,
    )
    for turn in turns:
        _do(app, turn, dry_run=dry_run)


@click.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even while namespaces or workloads get their proxies by it.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@_MESH
@command(cluster=True, yes=True, works=True)
def remove_tag(app: App, name: str, force: bool, dry_run: bool, mesh: str) -> None:
    """Remove a tag, its webhooks first; whoever made it.

    Refused while namespaces or workloads get their proxies by it.

    \b
    Examples:
      meshctl tag remove stable
      meshctl tag remove stable --force --dry-run
    """
    from meshctl.actions.tags import remove_tag as ask

    for turn in ask(app.target.world(), name, force=force, mesh=mesh):
        _do(app, turn, dry_run=dry_run)


@click.command("list")
@command(cluster=True)
def list_tags(app: App) -> None:
    """The tags of the cluster, whoever made them: where they lead, and who gets proxies by them.

    \b
    Examples:
      meshctl tag list
      meshctl tag list -o json
    """
    from meshctl.actions.tags import list_tags as ask

    found = ask(app.target.world())
    app.report.result([listed_data(each) for each in found], listed_text(found))


def _do(app: App, turn: Retag, *, dry_run: bool) -> None:
    from meshctl.actions.rights import require_rights
    from meshctl.actions.tags import retag

    if turn.plan.is_empty:
        app.report.result(retag_data(turn), f"tag {turn.tag!r} is as asked")
        return
    app.report.note(retag_text(turn))
    if dry_run:
        app.report.result(retag_data(turn), "")
        return
    world = app.target.world()
    require_rights(world.clusters[turn.cluster], turn.plan)
    app.confirm(f"{'Remove' if turn.revision is None else 'Set'} tag {turn.tag!r} in {turn.cluster}?")
    for event in retag(world, turn):
        app.report.event(event)
    app.report.result(retag_data(turn), _done(turn))


def _done(turn: Retag) -> str:
    from meshctl.model.tag import DEFAULT

    if turn.revision is None:
        return f"tag {turn.tag!r} is gone"
    return f"tag {turn.tag!r} leads to {turn.revision or DEFAULT!r}"


def retag_text(turn: Retag) -> str:
    """The plan, then whose injector changes."""
    from meshctl.cli.plans import plan_text

    lines = [plan_text(turn.plan)]
    if turn.moved:
        lines.append("\nnew pods get their proxies from another control plane:")
        lines += [
            f"  {_place(each.namespace, each.workload)}: {each.source or 'none'} → {each.target or 'none'}"
            for each in turn.moved
        ]
    else:
        lines.append("\nno namespace changes its control plane")
    return "\n".join(lines)


def _place(namespace: str, workload: str) -> str:
    return f"{namespace}/{workload}" if workload else f"namespace {namespace}"


def retag_data(turn: Retag) -> dict[str, Any]:
    """A change of a tag for a program; described in docs/reference/json.md."""
    from meshctl.stages.planning.plan_data import plan_data

    return {
        "cluster": turn.cluster,
        "tag": turn.tag,
        "from": _named(turn.source),
        "to": _named(turn.revision),
        "moved": [
            {
                "namespace": each.namespace,
                "workload": each.workload or None,
                "from": each.source or None,
                "to": each.target or None,
            }
            for each in turn.moved
        ],
        "users": list(turn.users),
        "plan": plan_data(turn.plan),
    }


def _named(revision: str | None) -> str | None:
    from meshctl.model.tag import DEFAULT

    return None if revision is None else revision or DEFAULT


def listed_text(found: tuple[Listed, ...]) -> str:
    """One line a tag."""
    from meshctl.cli.report import table

    rows = [
        (
            each.tag.name,
            str(_named(each.tag.revision)),
            each.tag.by or "unknown",
            each.cluster,
            ", ".join(each.users) or "nobody",
        )
        for each in found
    ]
    return table(rows, ("TAG", "REVISION", "BY", "CLUSTER", "USED BY")) if rows else "there are no tags"


def listed_data(each: Listed) -> dict[str, Any]:
    """A tag for a program; described in docs/reference/json.md."""
    return {
        "cluster": each.cluster,
        "tag": each.tag.name,
        "revision": _named(each.tag.revision),
        "by": each.tag.by,
        "users": list(each.users),
        "objects": [str(ref) for ref in each.tag.refs],
    }
