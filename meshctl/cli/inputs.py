"""The options that say what to install, shared by every command of the pipe."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.passphrase import signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.actions.fleet.install import Fleet
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
FILES = click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="mesh.yaml, IstioOperator or Helm-style values file; `-`: standard input; later ones win.",
)
ONLY = click.option("--cluster", "only", metavar="NAME", help="This cluster of a mesh.yaml, and no other.")
_OPTIONS = (
    FILES,
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
    ONLY,
)


def inputs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f`, `--set`, `--profile`, `--istio-version`, `--revision` and `--cluster` to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fleet_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f` and `--cluster` alone, for commands that read a mesh.yaml and settle no values."""
    return FILES(ONLY(function))


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
        place = _reached(wanted, cluster)
        context = app.target.context or cluster.context
        doors = world(place.kubeconfig or app.target.kubeconfig, context, cluster.name)
        return replace(doors, signer=signer(app)), wanted
    here = app.target.world()
    named = tuple(replace(cluster, name=name) for name in here.clusters)
    return here, replace(wanted, mesh=replace(wanted.mesh, clusters=named))


def opened_all(app: App, asked: dict[str, Any]) -> tuple[World, tuple[Loaded, ...]]:
    """The doors to every cluster that is asked for, of every mesh of a mesh.yaml, and these meshes.

    Cluster names are unique over all documents of a mesh.yaml, so one `World` holds them all. Without a
    mesh.yaml it is one mesh of one cluster, as `opened` gives it. Sends nothing yet.

    Args:
        app: tells kubeconfig and context.
        asked: the options, `files` at least: `fleet_options` or `inputs_options`.

    Raises:
        ConfigError: something in the files is wrong, there is no such kubeconfig or context, or --context
            is given for several clusters.
    """
    return _doors(app, loaded_all(app, asked))


def _doors(app: App, meshes: tuple[Loaded, ...]) -> tuple[World, tuple[Loaded, ...]]:
    from dataclasses import replace

    from meshctl.errors import ConfigError, Where

    clusters = [each for mesh in meshes for each in mesh.mesh.clusters]
    if not meshes[0].is_fleet or len(clusters) == 1:
        world, only = opened(app, meshes[0])
        return world, (only,)
    if app.target.context:
        raise ConfigError(
            "context-of-several",
            f"one context cannot lead to {len(clusters)} clusters",
            where=Where("--context"),
            hint="write the context of each into the mesh.yaml, or choose one cluster with --cluster",
        )
    found = _each_door(app, meshes)
    doors = {name: door for each in found for name, door in each.clusters.items()}
    records = {name: records for each in found for name, records in each.releases.items()}
    return replace(found[0], clusters=doors, releases=records, signer=signer(app)), meshes


def _each_door(app: App, meshes: tuple[Loaded, ...]) -> list[World]:
    """The doors to each cluster of several.

    Raises:
        ConfigError: there is no such kubeconfig or context; every problem at once, where the file names it.
    """
    from meshctl.adapters.world import fleet
    from meshctl.errors import ConfigError
    from meshctl.stages.settings.load import end

    found: list[World] = []
    problems: list[ConfigError] = []
    for mesh in meshes:
        for cluster in mesh.mesh.clusters:
            try:
                found.append(fleet([_reached(mesh, cluster)], app.target.kubeconfig))
            except ConfigError as fault:
                fault.details = (
                    *fault.details,
                    f"of cluster {cluster.name!r}, in {fault.where or 'its kubeconfig'}",
                )
                fault.where = mesh.share(cluster).place
                problems.append(fault)
    end(problems)
    return found


def _with_servers(app: App, loads: tuple[Loaded, ...]) -> tuple[World, tuple[Loaded, ...]]:
    """As `_doors`, and to the istiods that serve these clusters, where their addresses have to be seen.

    One to which there is no way is left out: what hangs on its address will tell.
    """
    from dataclasses import replace

    from meshctl.adapters.world import fleet
    from meshctl.errors import MeshctlError

    world, meshes = _doors(app, loads)
    for mesh in meshes:
        for cluster in mesh.mesh.clusters:
            whole = mesh.share(cluster).mesh
            server = whole.cluster(cluster.control_plane)
            if server is None or server.address or server.name in world.clusters:
                continue
            beside = replace(mesh, shares={server.name: mesh.share(cluster)})
            try:
                doors = fleet([_reached(beside, server)], app.target.kubeconfig)
            except MeshctlError:
                continue
            world = replace(
                world,
                clusters={**world.clusters, **doors.clusters},
                releases={**world.releases, **doors.releases},
            )
    return world, meshes


def _reached(mesh: Loaded, cluster: Cluster) -> Cluster:
    """A cluster whose kubeconfig, where the mesh.yaml names one, is found beside that file."""
    from dataclasses import replace
    from pathlib import Path

    place = mesh.share(cluster).place
    if not cluster.kubeconfig or place is None:
        return cluster
    return replace(cluster, kubeconfig=str(Path(place.file).parent / Path(cluster.kubeconfig).expanduser()))


def _recorded(app: App, meshes: tuple[Loaded, ...], folder: str) -> tuple[World, tuple[Loaded, ...]]:
    """As `_doors`, to clusters as `meshctl observe` has recorded them in a folder."""
    from dataclasses import replace
    from pathlib import Path

    from meshctl.adapters.recordings import only
    from meshctl.adapters.world import recorded

    first = meshes[0]
    if first.is_fleet:
        return recorded(Path(folder), [each.name for mesh in meshes for each in mesh.mesh.clusters]), meshes
    world = recorded(Path(folder), [app.target.context or only(Path(folder))])
    named = tuple(replace(each, name=name) for each in first.mesh.clusters for name in world.clusters)
    return world, (replace(first, mesh=replace(first.mesh, clusters=named)),)


def kept_all(
    app: App, asked: dict[str, Any], *, adopt: bool = False, observations: str = ""
) -> tuple[World, Fleet]:
    """As `opened_all`; where the options say no version or revision, each cluster keeps its own.

    A cluster that has none follows the others of its mesh, where these agree. With `observations`, a folder,
    the clusters are as they were recorded there.

    Raises:
        ConfigError: as `opened_all`; or several revisions are installed in a cluster, and none is named.
    """
    from dataclasses import replace

    from meshctl.actions.fleet.install import Fleet, keeping_all
    from meshctl.stages.settings.load import load_all

    inputs, stdin = _given(app, asked)
    loads = load_all(inputs, stdin=stdin)
    world, meshes = _recorded(app, loads, observations) if observations else _with_servers(app, loads)
    found = keeping_all(world, meshes, adopt=adopt)
    again = {("", ""): meshes}
    for version, revision in set(found.values()) - {("", "")}:
        told = replace(inputs, version=version or inputs.version, revision=revision or inputs.revision)
        loads = load_all(told, stdin=stdin)
        again[version, revision] = tuple(  # called as in their kubeconfig where no mesh.yaml names them
            replace(one, mesh=replace(one.mesh, clusters=mesh.mesh.clusters))
            for one, mesh in zip(loads, meshes, strict=True)
        )
    chosen = {
        cluster.name: again[found[cluster.name]][index]
        for index, mesh in enumerate(meshes)
        for cluster in mesh.mesh.clusters
    }
    return world, Fleet(meshes, chosen)
