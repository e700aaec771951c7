"""The options that say what to install, shared by every command of the pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.cli.app import App
    from meshctl.ports import World
    from meshctl.stages.load import Loaded

_OPTIONS = (
    click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="FILE",
        help="IstioOperator or Helm-style values file; `-`: standard input; later ones win.",
    ),
    click.option(
        "-s",
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        help="One setting, as istioctl spells it; wins over files.",
    ),
    click.option(
        "--profile", metavar="NAME", help="Profile to start from; `default` when nothing names one."
    ),
    click.option(
        "--istio-version",
        "version",
        metavar="VERSION",
        help="Istio minor or version; not given: the default one.",
    ),
    click.option("-r", "--revision", metavar="NAME", help="Control-plane revision."),
)


def inputs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f`, `--set`, `--profile`, `--istio-version` and `--revision` to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def loaded(app: App, asked: dict[str, Any]) -> Loaded:
    """What these options ask for, read and checked.

    Raises:
        ConfigError: something in it is wrong; nothing was sent.
    """
    from meshctl.model.mesh import Inputs
    from meshctl.stages.load import load

    stdin = sys.stdin.read() if "-" in asked["files"] else ""
    namespace = app.target.istio_namespace
    chosen = None if namespace == "istio-system" else namespace
    return load(Inputs(**asked, namespace=chosen), stdin=stdin)


def placed(asked: Loaded, world: World) -> Loaded:
    """The mesh of one cluster, under the name which that cluster has in `world`."""
    from dataclasses import replace

    clusters = zip(asked.mesh.clusters, world.clusters, strict=True)
    named = tuple(replace(cluster, name=name) for cluster, name in clusters)
    return replace(asked, mesh=replace(asked.mesh, clusters=named))
