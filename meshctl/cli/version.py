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
    """This program's version, the Istio minors it knows, and with --remote the mesh's.

    \b
    Examples:
      meshctl version
      meshctl version --remote -o json
    """
    from meshctl.registry import data

    minors = sorted(path.stem for path in (data("profiles") / "versions").glob("*.yaml"))
    facts: dict[str, Any] = {"client": installed("istio-meshctl"), "istio": minors}
    lines = [("meshctl", facts["client"]), ("istio", ", ".join(minors))]
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
