"""`version` and `completion`: what needs no cluster."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.report import pairs


@click.command()
@click.option("--remote", is_flag=True, help="Ask the cluster for the control plane's version too.")
@command(cluster=True)
def version(app: App, remote: bool) -> None:
    """This program's version, the versions of Istio it installs, and with --remote the mesh's.

    \b
    Examples:
      meshctl version
      meshctl version --remote -o json
    """
    from meshctl.stages.settings import versions

    known = [(versions.version(minor), versions.is_default(minor)) for minor in versions.versions()]
    shown = (each.full + (" (default)" if default else "") for each, default in known)
    facts: dict[str, Any] = {
        "client": installed("istio-meshctl"),
        "istio": list(versions.versions()),
        "versions": [
            {
                "minor": each.minor,
                "version": each.full,
                "default": default,
                "kubernetes": each.kubernetes,
                "upgradesFrom": list(each.upgrades_from),
            }
            for each, default in known
        ],
    }
    lines = [("meshctl", facts["client"]), ("istio", ", ".join(shown))]
    if remote:
        from meshctl.actions.status import status
        from meshctl.model.standing import Role

        seen = status(app.target.world(), istio_namespace=app.target.istio_namespace)
        istiods = (
            each for one in seen.clusters for each in one.installations if each.role is Role.CONTROL_PLANE
        )
        found = sorted({each.version for each in istiods})
        facts["controlPlane"] = found
        lines.append(("control plane", ", ".join(found) or "none found"))
    app.report.result(facts, pairs(lines))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(meshctl completion bash)
      meshctl completion fish > ~/.config/fish/completions/meshctl.fish
    """
    from click.shell_completion import get_completion_class

    from meshctl.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "meshctl", "_MESHCTL_COMPLETE").source())
