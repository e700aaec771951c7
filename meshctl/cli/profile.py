"""`profile`: what installs start from."""

from __future__ import annotations

import click

from meshctl.cli.app import App, command
from meshctl.cli.report import table


@click.command("list")
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
