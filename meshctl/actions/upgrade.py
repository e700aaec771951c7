"""Upgrade a control plane in place: the new version over the old one, and back when it does not come right.

How a command uses it, whichever strategy it follows::

    asked, source = target(world, asked or None, to=..., mesh=...)
    world, asked = opened(app, asked)        # a mesh.yaml may call the cluster otherwise
    wave = in_place(world, asked, source)    # as `install.install`: only reads
    for event in send(world, wave): ...
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.actions.doing import do, recorded_by, stopped
from meshctl.actions.install import drafted, planned, refuse_during_rotation, refuse_during_upgrade
from meshctl.actions.lagging import lagging
from meshctl.actions.rollback import again
from meshctl.errors import (
    ConfigError,
    FailedError,
    MeshctlError,
    StoppedError,
    UnreachableError,
    UnsupportedError,
    Where,
)
from meshctl.model.event import Warned
from meshctl.model.tag import DEFAULT
from meshctl.stages.planning.records import CUT_SHORT, chosen, standing
from meshctl.stages.settings.keeping import said_revision
from meshctl.stages.settings.recorded import named, recorded
from meshctl.stages.settings.versions import number, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.actions.install import Wave
    from meshctl.model.event import Event
    from meshctl.model.release import Release
    from meshctl.ports import Releases, World
    from meshctl.stages.settings.load import Loaded


def target(
    world: World,
    asked: Loaded | None = None,
    *,
    to: str | None = None,
    mesh: str = "mesh",
    sets: Sequence[str] = (),
    revision: str | None = None,
    leaving: str | None = None,
) -> tuple[Loaded, Release]:
    """What an upgrade leads to, and the deployed release that it leaves. Only reads.

    Args:
        world: doors to one cluster.
        asked: what files or a profile ask for, at the version to reach; the whole truth. None: the
            settings that the release was made from.
        to: version to reach; None is the catalogue's default where that is newer, else the release's.
            Counts only without `asked`.
        mesh: name of the mesh.
        sets: `path=value` strings laid on the release's settings; count only without `asked`.
        revision: of the control plane that comes; None: that of the one that is left, for in place.
        leaving: revision of the control plane that is left; None: the only one there is.

    Raises:
        ConfigError: nothing is deployed, `leaving` is not or not clear, a setting does not fit, or
            `asked` names another revision while none is to come.
        UnsupportedError: the version is older than the release's, or not in the catalogue.
    """
    [(name, records)] = world.releases.items()
    source = chosen(records.of(mesh), mesh, leaving)
    if asked is None:
        wanted = recorded(source, version=to or _newest(source), revision=revision, sets=sets)
    else:
        if revision is None:
            _refuse_other_revision(asked, source)
        wanted = named(asked, source.revision if revision is None else revision)
    _refuse_older(source, wanted)
    if not wanted.is_fleet:  # here it is called as the kubeconfig calls it
        clusters = tuple(replace(each, name=name) for each in wanted.mesh.clusters)
        wanted = replace(wanted, mesh=replace(wanted.mesh, clusters=clusters))
    return wanted, source


def reached(
    world: World,
    asked: Loaded | None = None,
    *,
    to: str | None = None,
    mesh: str = "mesh",
    leaving: str | None = None,
) -> str:
    """The version that `target` leads to, as `1.32.0`; for who names the revision after it. Only reads.

    Raises:
        ConfigError: as `target`.
        UnsupportedError: the version is not in the catalogue.
    """
    if asked is not None:
        return asked.version.full
    [records] = world.releases.values()
    return version(to or _newest(chosen(records.of(mesh), mesh, leaving))).full


def _newest(source: Release) -> str:
    return max(source.version, version(None).full, key=number)


def _refuse_other_revision(asked: Loaded, source: Release) -> None:
    said = said_revision(asked)
    if said is not None and said != source.revision:
        raise ConfigError(
            "other-revision",
            f"revision {said or DEFAULT!r} is asked for; in place it stays {source.revision or DEFAULT!r}",
            hint="leave the revision out, or let the new one stand beside the old: --strategy canary",
        )


def _refuse_older(source: Release, wanted: Loaded) -> None:
    if number(wanted.version.full) < number(source.version):
        raise UnsupportedError(
            "older-version",
            f"release {source.generation} of mesh {source.mesh!r} is Istio {source.version}, "
            f"which is newer than {wanted.version.full}",
            where=Where("--to"),
            hint="`meshctl rollback` goes back to an earlier release; `meshctl history` shows them",
        )


def in_place(
    world: World, asked: Loaded, source: Release, *, take_over: bool = False, seconds: float = 300.0
) -> Wave:
    """Plan the new version over the old one. Only reads; `send` does it.

    Args:
        world: doors to the cluster.
        asked: what `target` gave.
        source: the release that it gave.
        take_over: take fields that other managers hold.
        seconds: budget of each wait.

    Returns:
        As `install.install`: what the cluster is to have, and the steps. An empty plan: it is there already.

    Raises:
        UnsupportedError: the cluster's Kubernetes is outside the range of this Istio.
        ConflictError: fields belong to other managers, or an upgrade by a second control plane is under way.
    """
    [cluster] = asked.mesh.clusters
    refuse_during_upgrade(world.releases[cluster.name], asked.mesh.name)
    refuse_during_rotation(world.releases[cluster.name], asked.mesh.name)
    draft = drafted(world, asked, cluster)
    cause = "settings" if asked.version.full == source.version else f"upgrade from {source.version}"
    draft = replace(draft, release=replace(draft.release, cause=cause))
    return planned(world, draft, take_over=take_over, adopt=False, seconds=seconds)


def send(world: World, wave: Wave, *, take_over: bool = False, seconds: float = 300.0) -> Iterator[Event]:
    """Send the new version, prove it, and send the old one again when that fails.

    Args:
        world: doors to the cluster.
        wave: what `in_place` gave; its plan is not empty.
        take_over: as it was planned with.
        seconds: budget of each wait.

    Raises:
        FailedError: the new version did not come right; the message says whether the old one is back.
        StoppedError: the connection was lost part-way; the same command continues.
    """
    intent = recorded_by(wave.plan)
    records = world.releases[wave.cluster]
    with records.lock(intent.mesh):
        try:
            yield from do(world, wave.plan, held=True)
            yield from lagging(world, wave.cluster, intent)
        except StoppedError:
            raise
        except MeshctlError as failure:
            source = _snapshot(records, intent)
            if source is None:
                raise
            yield from _back(
                world, wave.cluster, source, intent, failure, take_over=take_over, seconds=seconds
            )


def _snapshot(records: Releases, intent: Release) -> Release | None:
    """The release to go back to; None where nothing was sent, or nothing stood before."""
    past = records.of(intent.mesh)
    begun = past and past[-1].generation == intent.generation and past[-1].status in CUT_SHORT
    found = [each for each in standing(past, intent.mesh) if each.revision == intent.revision]
    return found[0] if begun and found else None


def _back(
    world: World,
    cluster: str,
    source: Release,
    intent: Release,
    failure: MeshctlError,
    *,
    take_over: bool,
    seconds: float,
) -> Iterator[Event]:
    """The automatic return; raises with both facts."""
    what = f"Istio {intent.version} did not come right: {failure.message}"
    named = f"release {source.generation} (Istio {source.version})"
    cause = f"return from {intent.version}"
    yield Warned("release", f"Istio {intent.version} did not come right", f"{named} is sent again")
    try:
        steps = again(world, cluster, source, cause=cause, take_over=take_over, seconds=seconds)
        if not steps.is_empty:
            yield from do(world, steps, held=True)
    except UnreachableError as error:
        raise stopped(error) from error
    except StoppedError:
        raise
    except MeshctlError as second:
        raise FailedError(
            "return-failed",
            f"{what}; and {named} could not be brought back: {second.message}",
            hint=f"mend the cause, then `meshctl rollback --to {source.generation}`",
            details=(*failure.details, *second.details),
        ) from failure
    raise FailedError(
        "upgrade-returned",
        f"{what}; {named} is back",
        hint=failure.hint or "mend the cause, then run the same command again",
        details=failure.details,
    ) from failure
