"""`manifest generate`: the pure half of the pipe."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded


@click.command()
@inputs_options
@click.option(
    "-i",
    "--istio-namespace",
    "--istioNamespace",
    default="istio-system",
    show_default=True,
    metavar="NAME",
    help="Namespace of the control plane.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write here instead of standard output.",
)
@command()
def generate(app: App, istio_namespace: str, out: str | None, **asked: Any) -> None:
    """Render the objects that an install would send, as YAML, or JSON with -o json.

    \b
    Examples:
      meshctl manifest generate > mesh.yaml
      meshctl manifest generate --profile demo --set hub=registry.example.com/istio
    """
    from pathlib import Path

    from meshctl.cli.app import Target
    from meshctl.stages.rendering.emit import dump
    from meshctl.stages.rendering.render import render
    from meshctl.stages.settings.resolve import resolve

    app = App(app.report, Target(istio_namespace=istio_namespace))
    wanted = loaded(app, asked)
    objects = [
        obj.content for cluster in wanted.mesh.clusters for obj in render(resolve(wanted, cluster)).objects
    ]
    if app.report.form == "json":
        app.report.result(objects, "")
    elif out:
        Path(out).write_text(dump(objects), "utf-8")
    else:
        click.echo(dump(objects), nl=False)
