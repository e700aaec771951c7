"""`manifest`, `profile`, `values`: the pure half of the pipe."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded
from meshctl.cli.report import table


@click.group()
def manifest() -> None:
    """Render Kubernetes objects; nothing is sent anywhere."""


@manifest.command()
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


@click.group()
def profile() -> None:
    """The profiles that installs start from."""


@profile.command("list")
@command()
def list_profiles(app: App) -> None:
    """Names and summaries.

    \b
    Examples:
      meshctl profile list
    """
    from meshctl.stages.settings import catalogue

    found = [(name, catalogue.profile(name)[-1].summary) for name in catalogue.profiles()]
    app.report.result(
        [{"name": name, "summary": summary} for name, summary in found], table(found, ("NAME", "SUMMARY"))
    )


@click.command()
@inputs_options
@click.option(
    "--explain", metavar="PATH", help="Say where the value at this path comes from, and what it beat."
)
@command()
def values(app: App, explain: str | None, **asked: Any) -> None:
    """The settings an install would use, after every file and flag.

    \b
    Examples:
      meshctl values --profile demo
      meshctl values --set pilot.traceSampling=5 --explain pilot.traceSampling
    """
    from meshctl.stages.rendering.emit import dump
    from meshctl.stages.settings.resolve import resolve

    wanted = loaded(app, asked)
    settled = resolve(wanted, wanted.mesh.clusters[0])
    if not explain:
        plain = settled.plain()
        app.report.result(plain, dump([plain]).rstrip())
        return
    found = settled.explain(explain)
    data = [{"value": value, "file": where.file, "line": where.line} for value, where in found]
    lines = [
        f"{'' if index == 0 else '  over '}{value}  {where}" for index, (value, where) in enumerate(found)
    ]
    app.report.result(data, "\n".join(lines) or f"nobody sets {explain}")
