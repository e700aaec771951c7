"""The options that say what to install, shared by every command of the pipe."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.cli.app import App
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


class Duration(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """`90s`, `5m`, `1h30m`, or a bare number of seconds; gives seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, or a usage error."""
        units = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s|$)", str(value))
        if not parts or "".join(number + unit for number, unit in parts) != str(value):
            self.fail(f"{value!r} is no duration; write 90s, 5m or 1h", param, ctx)
        return sum(float(number) * units[unit] for number, unit in parts)


DURATION = Duration()
TIMEOUT = click.option(
    "--timeout",
    "--readiness-timeout",
    "timeout",
    type=DURATION,
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="Budget of each wait: 90s, 5m, 1h.",
)

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
    from meshctl.stages.settings.load import load

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
