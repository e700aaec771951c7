"""`sandbox`: a real world to try meshctl in."""

from __future__ import annotations

from typing import Literal

import click

from meshctl.cli.app import App, command
from meshctl.cli.report import pairs, table


@click.group()
def sandbox() -> None:
    """Real Kubernetes clusters and systemd hosts on this machine.

    Everything comes from package registries, is kept in a cache, and is taken away again by
    `sandbox down` without a trace. As root: real nodes with containerd. As an ordinary user, or
    with --light: a real API server and a real istiod, with nodes played by kwok.
    """


NAME = click.option(
    "--name", default="sandbox", show_default=True, help="Name; several may run side by side."
)


@sandbox.command()
@NAME
@click.option(
    "--clusters",
    default=1,
    show_default=True,
    type=click.IntRange(1, 15),
    help="Kubernetes clusters; more than 7 with --light only.",
)
@click.option(
    "--hosts",
    default=0,
    show_default=True,
    type=click.IntRange(0, 60),
    help="Debian hosts with systemd and sshd.",
)
@click.option(
    "--light/--full",
    default=None,
    help="Choose the mode; decided by what this machine allows when not given.",
)
@click.option(
    "--network",
    type=click.Choice(["flat", "separate"]),
    default="flat",
    show_default=True,
    help="Whether pods of one cluster reach those of another.",
)
@click.option(
    "--nodes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 5000),
    help="Nodes a cluster, in light mode.",
)
@command(works=True)
def up(
    app: App,
    name: str,
    clusters: int,
    hosts: int,
    light: bool | None,
    network: Literal["flat", "separate"],
    nodes: int,
) -> None:
    """Bring up clusters and hosts, or finish what an interrupted run began.

    \b
    Examples:
      meshctl sandbox up
      meshctl sandbox up --clusters 2 --network separate --hosts 3
      export KUBECONFIG=$(meshctl sandbox status -o json | jq -r .kubeconfig)
    """
    from meshctl import sandbox as world

    settings = world.Settings(
        name=name, clusters=clusters, hosts=hosts, light=light, network=network, nodes=nodes
    )
    for event in world.up(settings):
        app.report.event(event)
    _show(app, name)


@sandbox.command()
@NAME
@command(works=True)
def down(app: App, name: str) -> None:
    """Take the sandbox away: processes, mounts, namespaces, links and cgroups.

    \b
    Examples:
      meshctl sandbox down
    """
    from meshctl import sandbox as world

    for event in world.down(name):
        app.report.event(event)


@sandbox.command()
@NAME
@command()
def status(app: App, name: str) -> None:
    """What runs, and how to reach it.

    \b
    Examples:
      meshctl sandbox status
    """
    _show(app, name)


def _show(app: App, name: str) -> None:
    from meshctl import sandbox as world

    now = world.status(name)
    if now.state == "absent":
        app.report.result(now.to_json(), f"no sandbox named {name!r} is up")
        return
    rows = [(one.name, one.context, one.server, one.cause or "ready") for one in now.clusters]
    rows += [(one.name, "-", one.address, one.state) for one in now.hosts]
    mode = "light (nodes are played by kwok)" if now.light else "full"
    facts = [("sandbox", f"{name}, {now.state}"), ("mode", mode), ("kubernetes", now.kubernetes)]
    text = [
        pairs([*facts, ("kubectl", now.kubectl), ("istioctl", now.istioctl)]),
        table(rows, ("NAME", "CONTEXT", "ADDRESS", "STATE")),
        f"export KUBECONFIG={now.kubeconfig}",
    ]
    app.report.result(now.to_json(), "\n\n".join(text))
