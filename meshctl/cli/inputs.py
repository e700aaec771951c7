"""The options that say what to install, shared by every command of the pipe."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.cli.app import App
    from meshctl.model.mesh import Cluster, Inputs
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

_VERSION = click.option(
    "--istio-version",
    "version",
    metavar="VERSION",
    help="Istio minor or version; not given: the default one.",
)
_TO = click.option(
    "--to", "version", metavar="VERSION", help="Istio minor or version to reach; not given: the default one."
)
_OPTIONS = (
    click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="FILE",
        help="mesh.yaml, IstioOperator or Helm-style values file; `-`: standard input; later ones win.",
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
    _VERSION,
    click.option("-r", "--revision", metavar="NAME", help="Control-plane revision."),
    click.option("--cluster", "only", metavar="NAME", help="This cluster of a mesh.yaml, and no other."),
)


def inputs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f`, `--set`, `--profile`, `--istio-version`, `--revision` and `--cluster` to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same options, with `--to` in place of `--istio-version`."""
    for option in reversed(_OPTIONS):
        function = (_TO if option is _VERSION else option)(function)
    return function


def loaded(app: App, asked: dict[str, Any], *, stdin: str | None = None) -> Loaded:
    """What these options ask for of one mesh, read and checked; `stdin` where it was read before.

    Raises:
        ConfigError: something in it is wrong, or several meshes are asked for; nothing was sent.
    """
    from meshctl.stages.settings.load import load

    inputs, stdin = _given(app, asked, stdin)
    return load(inputs, stdin=stdin)


def loaded_all(app: App, asked: dict[str, Any]) -> tuple[Loaded, ...]:
    """What these options ask for of every mesh of a mesh.yaml, read and checked.

    Raises:
        ConfigError: something in it is wrong; nothing was sent.
    """
    from meshctl.stages.settings.load import load_all

    inputs, stdin = _given(app, asked)
    return load_all(inputs, stdin=stdin)


def _given(app: App, asked: dict[str, Any], stdin: str | None = None) -> tuple[Inputs, str]:
    """The command line, and standard input where a file is called `-`."""
    from meshctl.model.mesh import Inputs

    if stdin is None:
        stdin = sys.stdin.read() if "-" in asked["files"] else ""
    namespace = app.target.istio_namespace
    chosen = None if namespace == "istio-system" else namespace
    return Inputs(**asked, namespace=chosen), stdin


def one_cluster(wanted: Loaded) -> Cluster:
    """The only cluster that is asked for.

    Raises:
        ConfigError: there are several.
    """
    from meshctl.errors import ConfigError, Where, listed

    first, *others = wanted.mesh.clusters
    if others:
        raise ConfigError(
            "several-clusters",
            f"this is for one cluster, and the mesh {wanted.mesh.name!r} has {len(others) + 1}",
            where=Where("--cluster"),
            hint=f"choose one of {listed(each.name for each in wanted.mesh.clusters)}",
        )
    return first


def opened(app: App, wanted: Loaded) -> tuple[World, Loaded]:
    """The doors to the one cluster that is asked for, under its name in the mesh, and that mesh.

    Without a mesh.yaml the cluster is called as its kubeconfig calls it. A mesh.yaml that names the
    cluster's context wins over kubectl's current one, and loses to --context.

    Raises:
        ConfigError: several clusters are asked for, or there is no such kubeconfig or context.
    """
    from dataclasses import replace

    from meshctl.adapters.world import world

    cluster = one_cluster(wanted)
    if wanted.is_fleet:
        context = app.target.context or cluster.context
        return world(app.target.kubeconfig, context, cluster.name), wanted
    here = app.target.world()
    named = tuple(replace(cluster, name=name) for name in here.clusters)
    return here, replace(wanted, mesh=replace(wanted.mesh, clusters=named))


def kept(app: App, asked: dict[str, Any], *, adopt: bool = False) -> tuple[World, Loaded]:
    """As `opened`; where the options say no version or revision, those that are installed there.

    With `adopt` those count, too, that other tools have installed.

    Bad input is told before any cluster is asked.

    Raises:
        ConfigError: as `loaded` and `opened`; or several revisions are installed, and none is named.
    """
    from dataclasses import replace

    from meshctl.actions.install import keeping
    from meshctl.stages.settings.load import load

    inputs, stdin = _given(app, asked)
    world, wanted = opened(app, load(inputs, stdin=stdin))
    version, revision = keeping(world, wanted, adopt=adopt)
    if not (version or revision):
        return world, wanted
    inputs = replace(inputs, version=version or inputs.version, revision=revision or inputs.revision)
    again = load(inputs, stdin=stdin)
    return world, replace(again, mesh=replace(again.mesh, clusters=wanted.mesh.clusters))
