"""`uninstall` over all clusters of a mesh.yaml: what is shown, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.fleet import follow, outcomes_data, outcomes_text, tell_failures
from meshctl.cli.plans import left_text, plan_text, removal_data, removal_text
from meshctl.errors import ConfigError, Where, listed, nearest
from meshctl.model.fleet import Ended, Task, Work
from meshctl.model.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meshctl.actions.fleet.install import Fleet
    from meshctl.actions.fleet.uninstall import Departure
    from meshctl.cli.app import App
    from meshctl.model.removal import Scope
    from meshctl.ports import World


def uninstall(
    app: App, files: tuple[str, ...], only: str | None, scope: Scope, *, drain: int, dry_run: bool
) -> int:
    """Show what goes from every cluster, ask once, do it; the exit code.

    Args:
        app: where to report, and whom to ask.
        files: with a mesh.yaml among them.
        only: the one cluster that it goes from; all where None.
        scope: how much is to go.
        drain: seconds that gateways may finish what is under way.
        dry_run: whether to show it only.
    """
    from meshctl.actions.fleet.uninstall import depart, departure, ending

    world, fleet = _opened(app, files, only)
    names = _chosen(fleet, only, scope.mesh)
    gone = departure(world, fleet, scope, names, drain=drain)
    if not gone.leaves:
        raise next(iter(gone.errors.values()))
    unlinked = tuple(ending(world, gone))
    for line in _told(gone, unlinked):
        app.report.note(line)
    if dry_run:
        for refusal in gone.refusals:
            app.report.note(f"! it would be refused: {refusal.code}")
        app.report.result(_data(gone, []), "")
        return tell_failures(app, _unplanned(gone))
    stays = all(each.is_empty for each in gone.leaves.values()) and all(each.is_empty for each in unlinked)
    is_empty = stays and not gone.errors
    if not is_empty:
        _agree(app, world, gone, unlinked)
    ended = follow(app, depart(world, gone, drain=drain))
    app.report.result(_data(gone, ended), _text(gone, ended, is_empty=is_empty))
    return tell_failures(app, ended)


def _opened(app: App, files: tuple[str, ...], only: str | None) -> tuple[World, Fleet]:
    """The doors to all clusters of a mesh.yaml: those that stay may have links to those that do not."""
    from meshctl.actions.fleet.install import Fleet
    from meshctl.cli.inputs import opened_all

    try:
        world, meshes = opened_all(app, {"files": files})
    except ConfigError as error:
        if only is None or "-" in files:  # standard input is read once
            raise
        world, meshes = opened_all(app, {"files": files, "only": only})
        app.report.note(f"! links in other clusters stay, as there is no way to all of them: {error.message}")
    if not meshes[0].is_fleet:
        raise ConfigError(
            "no-mesh-file",
            "settings have no say in what is removed, and this is no mesh.yaml",
            where=Where("-f"),
            hint="leave it out, or give the mesh.yaml whose clusters are meant",
        )
    return world, Fleet.of(meshes)


def _chosen(fleet: Fleet, only: str | None, mesh: str) -> tuple[str, ...]:
    """Names of the clusters that --cluster and --mesh leave."""
    meshes = [each.mesh.name for each in fleet.meshes]
    if mesh and mesh not in meshes:
        raise _unknown("mesh", mesh, meshes)
    if only is not None and only not in fleet.clusters:
        raise _unknown("cluster", only, fleet.clusters)
    names = tuple(
        name for name in fleet.clusters if only in (None, name) and mesh in ("", fleet.inputs[name].mesh.name)
    )
    if not names:
        raise ConfigError(
            "unknown-cluster",
            f"{only!r} is no cluster of mesh {mesh!r}",
            where=Where("--cluster"),
            hint="leave out --mesh: names of clusters are unique over all meshes of a file",
        )
    return names


def _unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    near = nearest(name, known)
    guess = f"; did you mean {near!r}?" if near else ""
    return ConfigError(
        f"unknown-{what}",
        f"no {what} is called {name!r}{guess}",
        where=Where(f"--{what}"),
        hint=f"choose one of {listed(known)}",
    )


# What is shown.


def _told(gone: Departure, unlinked: Iterable[Plan]) -> Iterator[str]:
    for name in dict.fromkeys(each.cluster for each in unlinked if not each.is_empty):
        ends = tuple(phase for each in unlinked if each.cluster == name for phase in each.phases)
        yield f"{name}, first:\n{plan_text(Plan(name, ends))}"
    for name, leave in gone.leaves.items():
        if not leave.is_empty:
            yield f"{name}:"
            yield from filter(None, removal_text(leave))
    for name, error in gone.errors.items():
        yield f"x {name}: {error.message}; nothing is removed there"


def _agree(app: App, world: World, gone: Departure, unlinked: Iterable[Plan]) -> None:
    """Ask, unless something speaks against it.

    Raises:
        FailedError: proxies are attached, or tags lead to what goes.
        AccessError: rights are missing in a cluster.
    """
    from meshctl.actions.install import refuse_during_upgrade
    from meshctl.actions.rights import require_rights

    for leave in gone.leaves.values():
        if leave.scope.revision is not None:
            refuse_during_upgrade(world.releases[leave.cluster], leave.scope.mesh)
        for refusal in leave.refusals:
            refusal.where = refusal.where or Where(f"cluster {leave.cluster}")
            raise refusal
        for plan in (leave.labels, leave.freeing, leave.plan):
            require_rights(world.clusters[leave.cluster], plan)
    for plan in unlinked:
        require_rights(world.clusters[plan.cluster], plan)
    app.confirm(f"Remove all this from {listed(gone.leaves)}?")


def _unplanned(gone: Departure) -> list[Ended]:
    return [Ended(Task(Work.UNINSTALL, name), error=error) for name, error in gone.errors.items()]


# How it ended.


def _text(gone: Departure, ended: list[Ended], *, is_empty: bool) -> str:
    if is_empty:
        return "there is nothing to remove"
    left = [
        f"{name}: {left_text(each, gone.leaves[name].scope.revision)}" for name, each in gone.left.items()
    ]
    return "\n".join([outcomes_text(gone.fleet, ended), "", *left])


def _data(gone: Departure, ended: list[Ended]) -> dict[str, Any]:
    """How a removal ended, for a program; described in docs/reference/json.md."""
    removals = {name: removal_data(leave, gone.left.get(name, ())) for name, leave in gone.leaves.items()}
    return {**outcomes_data(gone.fleet, ended), "removals": removals}
