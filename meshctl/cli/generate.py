"""`manifest generate`: the pure half of the pipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import ISTIO_NAMESPACE, App, Target, command
from meshctl.cli.exporting import Export, export_options
from meshctl.cli.inputs import inputs_options, loaded_all
from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values
    from meshctl.stages.settings.load import Loaded


@click.command()
@inputs_options
@ISTIO_NAMESPACE
@click.option(
    "--out",
    type=click.Path(writable=True),
    metavar="PATH",
    help="Write to this file; of a mesh.yaml's clusters, to a folder each below this one.",
)
@export_options
@command(folder=True)
def generate(
    app: App, istio_namespace: str, out: str | None, folder: str | None, export: Export, **asked: Any
) -> None:
    """Render the objects that an install would send, as YAML, JSON, or files for GitOps.

    \b
    Examples:
      meshctl manifest generate > istio.yaml
      meshctl manifest generate --profile demo --set hub=registry.example.com/istio
      meshctl manifest generate -o istio/                 a file an object, and a kustomization
      meshctl manifest generate --as helm -o charts/istio
      meshctl manifest generate --as flux --repository https://git.example.com/fleet.git -o fleet/
      meshctl manifest generate -f mesh.yaml --out clusters
      meshctl manifest generate -f mesh.yaml --cluster west
    """
    app = App(app.report, Target(istio_namespace=istio_namespace))
    export.check(folder, out)
    wanted = loaded_all(app, asked)
    by_folder = wanted[0].is_fleet and asked["only"] is None
    found = _rendered(app, wanted, install=bool(export.form))
    if folder:
        export.write(found, folder, by_folder=by_folder)
        return
    count = sum(len(each.mesh.clusters) for each in wanted)
    if app.report.form == "json":
        lists = [(values.cluster.name, [each.content for each in made.objects]) for values, made in found]
        named = [{"cluster": name, "objects": objects} for name, objects in lists]
        app.report.result(named if count > 1 else lists[0][1], "")
    elif count > 1 and not out:
        raise _many(count)
    else:
        _write(found, out, by_folder=by_folder)


def _rendered(app: App, wanted: Sequence[Loaded], *, install: bool) -> Iterator[tuple[Values, Manifest]]:
    """Every cluster; a warning is told once, however many clusters it concerns."""
    from meshctl.stages.rendering.fleet import rendered

    known: set[str] = set()
    for values, manifest in rendered(wanted, install=install):
        for warning in manifest.warnings:
            if warning not in known:
                app.report.note(f"! {warning}")
        known.update(manifest.warnings)
        yield values, manifest


def _write(found: Iterator[tuple[Values, Manifest]], out: str | None, *, by_folder: bool) -> None:
    """Each cluster as one stream, to where it was asked for."""
    from meshctl.adapters.folder import write_file
    from meshctl.stages.rendering.emit import dump

    for values, manifest in found:
        text = dump(each.content for each in manifest.objects)
        if not out:
            click.echo(text, nl=False)
        else:
            place = Path(out) / values.cluster.name / "manifest.yaml" if by_folder else Path(out)
            write_file(place, text, "--out")


def _many(count: int) -> ConfigError:
    """Objects of several clusters in one stream would all be sent to one."""
    return ConfigError(
        "several-clusters",
        f"the manifests of {count} clusters cannot go to one stream",
        where=Where("--out"),
        hint="name a folder with -o or --out, or one cluster with --cluster",
    )
