"""`backup` and `restore`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.plans import plan_text
from meshctl.stages.planning.plan_data import plan_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.actions.restore import PutBack
    from meshctl.stages.restoring.reading import Backup

FILE = "istio-resources.yaml"


@click.command()
@click.argument("file", default=FILE, metavar="[FILE]")
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Also the Secrets with certificates that gateways name, keys and all.",
)
@click.option("--mesh", default="", metavar="NAME", help="Name of the mesh; the only one when not given.")
@command(cluster=True)
def backup(app: App, file: str, with_secrets: bool, mesh: str) -> None:
    """Save what you made for the mesh to one file, `istio-resources.yaml` when none is named.

    In it are all resources of Istio's kinds, the Gateway API's objects that use Istio, the labels by which
    namespaces ask for a proxy, and the settings that the mesh was installed with. Only its owner may read
    the file. A file of that name with other content is kept beside it. `-` prints it.

    \b
    Examples:
      meshctl backup
      meshctl backup before-upgrade.yaml --with-secrets
      meshctl backup - | grep '^kind:'
    """
    from meshctl.actions.backup import backup as actions_backup
    from meshctl.actions.uninstall import only_mesh

    world = app.target.world()
    for name in world.clusters:
        copy = actions_backup(world, name, mesh or only_mesh(world.releases[name]), with_secrets=with_secrets)
        data = {
            "cluster": name,
            "file": file,
            "resources": [{"apiVersion": ref.api_version, "object": str(ref)} for ref in copy.resources],
            "secrets": [ref.place for ref in copy.secrets],
            "secretsSaved": with_secrets,
        }
        if file == "-":
            app.report.result({**data, "text": copy.text}, copy.text.rstrip("\n"))
            continue
        world.files.write(file, copy.text)
        count = len(copy.resources)
        text = f"{count} Istio resource{'s' * (count != 1)} saved to {file}"
        if copy.secrets and not with_secrets:
            text += f"; {len(copy.secrets)} Secrets that they name are not in it (--with-secrets)"
        app.report.result(data, text)


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Show what would be put back, judged by the API server.")
@click.option("--overwrite", is_flag=True, help="Make what is there and differs as it was saved.")
@click.option("--only", default="", metavar="NAMESPACE", help="Only what is in this namespace.")
@click.option("--create-namespaces", "create", is_flag=True, help="Make namespaces that are missing.")
@click.option(
    "--settings", is_flag=True, help="Print the settings that the mesh was installed with; ask no cluster."
)
@click.option(
    "--revision", metavar="NAME", help="With --settings: of this control plane; `default` is the unnamed one."
)
@command(cluster=True, yes=True, works=True)
def restore(app: App, file: str, dry_run: bool, settings: bool, revision: str | None, **choices: Any) -> None:
    """Put back what `backup` or `uninstall --purge` has saved; `-` reads standard input.

    The definitions must be there: install the mesh first. What is there already and equal is left alone;
    what differs is refused, unless --overwrite. Run twice, the second run changes nothing. What is put
    back belongs to you: no install claims it.

    \b
    Examples:
      meshctl restore istio-resources.yaml
      meshctl restore istio-resources.yaml --dry-run --overwrite
      meshctl restore istio-resources.yaml --only shop --create-namespaces
      meshctl restore istio-resources.yaml --settings | meshctl install -f -
    """
    from meshctl.actions.doing import do
    from meshctl.actions.restore import restore as actions_restore
    from meshctl.actions.rights import require_rights
    from meshctl.stages.restoring.reading import read
    from meshctl.stages.validating.sources import sources

    (source,) = sources([file], sys.stdin.read() if file == "-" else "")
    saved = read(source)
    if settings:
        _settings(app, saved, file, revision)
        return
    world = app.target.world()
    for name in world.clusters:
        turn = actions_restore(world, name, saved, dry_run=dry_run, **choices)
        if turn.plan.is_empty:
            count = len(turn.found.same)
            app.report.result(_data(turn), f"nothing to do: {count} objects are there as they were saved")
            continue
        if dry_run:
            app.report.result(_data(turn), _text(turn, overwrite=choices["overwrite"]))
            continue
        app.report.note(plan_text(turn.plan))
        require_rights(world.clusters[name], turn.plan)
        app.confirm(f"Put all this back into {name}?")
        for event in do(world, turn.plan):
            app.report.event(event)
        app.report.result(_data(turn), f"{len(turn.plan.steps)} put back, {len(turn.found.same)} were there")


def _settings(app: App, saved: Backup, file: str, revision: str | None) -> None:
    """Print what `install -f` takes."""
    from meshctl.errors import ConfigError, Where, listed
    from meshctl.stages.rendering import emit
    from meshctl.stages.restoring.backup import revision_of_settings, version_of_settings

    wanted = None if revision is None else ("" if revision == "default" else revision)
    known = [revision_of_settings(each) for each in saved.settings]
    found = [each for each in saved.settings if wanted in (None, revision_of_settings(each))]
    if len(found) != 1:
        what = "has no settings of a mesh" if not known else "has settings of several control planes"
        names = listed(each or "default" for each in known)
        raise ConfigError(
            "no-such-settings" if not found else "several-revisions",
            f"the file {what if wanted is None or not known else f'has none of revision {revision!r}'}",
            where=Where(file),
            hint=f"choose with --revision: {names}" if known else "meshctl saves them where it installed it",
        )
    version = version_of_settings(found[0])
    if version:
        app.report.note(f"installed as Istio {version}: `meshctl install -f - --istio-version {version}`")
    app.report.result(found[0], emit.dump(found).rstrip("\n"))


def _text(turn: PutBack, *, overwrite: bool) -> str:
    text = plan_text(turn.plan)
    if turn.found.conflicting and not overwrite:
        text += f"\n! {len(turn.found.conflicting)} differ: it would be refused without --overwrite"
    return text


def _data(turn: PutBack) -> Mapping[str, Any]:
    """What is put back, for a program; described in docs/reference/json.md."""
    conflicting: Sequence[Any] = turn.found.conflicting
    return {
        "plan": plan_data(turn.plan),
        "same": [str(ref) for ref in turn.found.same],
        "differing": [str(live.ref) for _, live, _ in conflicting],
        "changed": not turn.plan.is_empty,
    }
