"""`values`: settings, settled, where each is from, and what may be set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded, one_cluster

if TYPE_CHECKING:
    from meshctl.model.values import Values


@click.command()
@inputs_options
@click.option(
    "--explain", metavar="PATH", help="Say where the value at this path comes from, and what it beat."
)
@click.option(
    "--schema",
    "document",
    type=click.Choice(["values", "operator", "mesh"]),
    help="Print the JSON Schema of such a file, for editors, and nothing else.",
)
@command()
def values(app: App, explain: str | None, document: str | None, **asked: Any) -> None:
    """The settings an install would use, after every file and flag.

    Tokens and keys are not shown.

    \b
    Examples:
      meshctl values --profile demo
      meshctl values --set pilot.traceSampling=5 --explain pilot.traceSampling
      meshctl values -f mesh.yaml --cluster west --explain global.network
      meshctl values --schema operator > operator.schema.json
    """
    from meshctl.stages.rendering.emit import dump
    from meshctl.stages.settings import showing
    from meshctl.stages.settings.resolve import resolve

    if document:
        from meshctl.stages.schema.editor import DOCUMENTS

        told = DOCUMENTS[document]()
        app.report.result(told, json.dumps(told, indent=2, ensure_ascii=False))
        return
    wanted = loaded(app, asked)
    settled = resolve(wanted, one_cluster(wanted))
    if explain:
        _explained(app, settled, explain)
        return
    plain = {key: showing.shown((key,), below) for key, below in settled.plain().items()}
    app.report.result(plain, dump([plain]).rstrip())


def _explained(app: App, settled: Values, path: str) -> None:
    from meshctl.stages.settings import showing

    found = showing.explained(settled, path)
    data = [{"value": value, "file": where.file, "line": where.line} for value, where in found]
    lines = [
        f"{'' if index == 0 else '  over '}{showing.text(value)}  {where}"
        for index, (value, where) in enumerate(found)
    ]
    app.report.result(data, "\n".join(lines) or f"nobody sets {path}")
