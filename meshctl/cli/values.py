"""`values`: settings, settled, and where each is from."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded


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
