"""Upgrade by a second control plane: a recorded story of plans, with a gate after each.

What the record says is done before is never done twice, and what can be seen is never remembered: a run
that was cut short is continued by looking again, and by moving only what is not where it should be.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from meshctl.actions.canary.batches import failure, moving, named, returned, riders_of
from meshctl.actions.canary.ending import aborting, promoting, retiring
from meshctl.actions.canary.sending import Run, control_plane, own_gateways, sending
from meshctl.errors import (
    ConfigError,
    ConflictError,
    FailedError,
    MeshctlError,
    StoppedError,
    UnreachableError,
)
from meshctl.model.event import Done, Failed, Waiting
from meshctl.model.release import Status
from meshctl.model.upgrade import Stage, Upgrade

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from meshctl.actions.canary.preview import Preview
    from meshctl.model.event import Event
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Mover, Stayer

CONTROL_PLANE = "control plane"
_LEAVING = frozenset({Status.UNINSTALLING, Status.SUPERSEDED})


@dataclass(frozen=True)
class Summary:
    """How an upgrade ended.

    Attributes:
        source: the release that was left, or that all is on again.
        target: the release that was moved to.
        workloads: how many workloads have new proxies.
        gateways: how many gateways have.
        seconds: since it began, pauses included.
        is_back: whether all was taken back.
    """

    source: Release
    target: Release
    workloads: int
    gateways: int
    seconds: float
    is_back: bool = False


@dataclass(frozen=True)
class View:
    """An upgrade under way, and who is on which revision as it is seen now."""

    upgrade: Upgrade
    on_source: tuple[Mover, ...]
    on_target: tuple[Mover, ...]
    stayers: tuple[Stayer, ...]


def begin(run: Run, planned: Preview) -> Generator[Event, None, Summary]:
    """Record an upgrade, and make it.

    Raises:
        ConflictError: another upgrade is under way, or somebody is at work on the mesh.
        FailedError: the new control plane or a batch did not come right; it was taken back.
        StoppedError: it stopped part-way: paused, attached proxies, connection lost.
    """
    mesh = planned.upgrade.source.mesh
    with _at_work(run, mesh):
        if run.records.upgrade(mesh) is not None:
            raise ConflictError(
                "upgrade-under-way",
                f"another upgrade of mesh {mesh!r} was begun meanwhile",
                hint="`meshctl upgrade status` shows it",
            )
        if planned.upgrade.source not in run.records.of(mesh):
            raise ConflictError(
                "plan-outdated",
                f"somebody has changed mesh {mesh!r} since this upgrade was planned",
                hint="run the same command again, so that it plans anew",
            )
        upgrade = run.kept(planned.upgrade)
        return (yield from _story(run, upgrade))


def go_on(
    run: Run, mesh: str, *, again: bool = False, pause: bool | None = None
) -> Generator[Event, None, Summary]:
    """Continue the upgrade of a mesh where it stopped.

    Args:
        run: where.
        mesh: its name.
        again: whether a batch that failed is tried once more; else its way back is finished, and told.
        pause: whether to stop after each batch from now on; None: as it was asked for.

    Raises:
        ConfigError: there is none.
        ConflictError: somebody is at work on the mesh.
        FailedError: as `begin`.
        StoppedError: as `begin`.
    """
    with _at_work(run, mesh):
        upgrade = under_way(run, mesh)
        if upgrade.returning and upgrade.stage is not Stage.ABORT:
            upgrade = yield from returned(run, upgrade, resumed=True)
            if not again:
                raise failure(upgrade)
        if not upgrade.returning:
            pause = upgrade.pause if pause is None else pause
            upgrade = run.kept(upgrade, pause=pause, reason="")
        return (yield from _story(run, upgrade))


def abort(run: Run, mesh: str) -> Generator[Event, None, Summary]:
    """Take back all that the upgrade of a mesh has done so far.

    Raises:
        ConfigError: there is none.
        ConflictError: somebody is at work on the mesh, or the old revision is being removed already.
        FailedError: something does not come right on the old revision.
        StoppedError: proxies stay attached to the new one, or the connection was lost.
    """
    with _at_work(run, mesh):
        upgrade = under_way(run, mesh)
        if _is_leaving(run, upgrade):
            raise ConflictError(
                "too-late-to-abort",
                f"revision {named(upgrade.source)} is being removed already",
                hint="`meshctl upgrade resume` ends it; `meshctl rollback` leads back afterwards",
            )
        # What a cut batch has made anew for the way there is made anew once more for the way back.
        attempt = upgrade.attempt + (upgrade.stage not in (Stage.CONTROL_PLANE, Stage.ABORT))
        upgrade = run.kept(upgrade, stage=Stage.ABORT, attempt=attempt, returning=False, reason="")
        yield from aborting(run, upgrade)
        return _summary(run, upgrade, is_back=True)


def under_way(run: Run, mesh: str) -> Upgrade:
    """The upgrade of a mesh.

    Raises:
        ConfigError: there is none.
    """
    upgrade = run.records.upgrade(mesh)
    if upgrade is None:
        raise ConfigError(
            "no-upgrade",
            f"no upgrade of mesh {mesh!r} is under way",
            hint="`meshctl upgrade --to VERSION --strategy canary` begins one",
        )
    return upgrade


def seen(run: Run, upgrade: Upgrade) -> View:
    """Who is on which revision now. Only reads."""
    source, target = upgrade.source, upgrade.target
    before, after = riders_of(run, source, to=target), riders_of(run, target, to=source)
    return View(upgrade, (*before.moving, *before.late), (*after.moving, *after.late), before.stayers)


@contextmanager
def _at_work(run: Run, mesh: str) -> Iterator[None]:
    """Hold the mesh's lock, and record why it stopped where nobody has.

    Where the API server does not answer, the same command continues later.
    """
    try:
        with run.records.lock(mesh):
            try:
                yield
            except (StoppedError, UnreachableError, ConflictError, ConfigError):
                raise  # to be continued, or refused: the upgrade did not stop because of it
            except MeshctlError as error:
                with suppress(MeshctlError):  # the cause matters more
                    upgrade = run.records.upgrade(mesh)
                    if upgrade and not upgrade.reason:
                        run.kept(upgrade, reason=error.message)
                raise
    except UnreachableError as error:
        raise StoppedError(
            "stopped-part-way",
            f"stopped part-way: {error.message}",
            hint="run the same command again; it continues",
            details=error.details,
        ) from error


def _story(run: Run, upgrade: Upgrade) -> Generator[Event, None, Summary]:
    while True:
        match upgrade.stage:
            case Stage.CONTROL_PLANE:
                upgrade = yield from _beside(run, upgrade)
            case Stage.WORKLOADS | Stage.GATEWAYS:
                upgrade = yield from moving(run, upgrade)
            case Stage.PROMOTION:
                upgrade = yield from promoting(run, upgrade)
            case Stage.RETIREMENT:
                yield from retiring(run, upgrade)
                return _summary(run, upgrade)
            case Stage.ABORT:
                if not upgrade.returning:
                    raise ConflictError(
                        "abort-under-way",
                        f"the upgrade to {named(upgrade.target)} is being taken back",
                        hint="`meshctl upgrade abort` goes on with that",
                    )
                yield from aborting(run, upgrade)
                raise _not_begun(upgrade)
            case _:
                assert_never(upgrade.stage)


def _beside(run: Run, upgrade: Upgrade) -> Generator[Event, None, Upgrade]:
    """Put the new control plane beside the old one; where it does not come right, take it away again."""
    target = upgrade.target
    causes: dict[str, str] = {}
    try:
        for event in run.do(sending(run, control_plane(target), target)):
            if isinstance(event, Waiting):
                causes[event.subject] = event.cause
            yield event
    except (StoppedError, UnreachableError):
        raise
    except MeshctlError as error:
        reason = f"the new control plane {named(target)} did not come right: {error.message}"
        upgrade = run.kept(upgrade, stage=Stage.ABORT, returning=True, reason=reason)
        yield Failed(CONTROL_PLANE, named(target), error)
        yield from aborting(run, upgrade)
        waits = tuple(f"{subject}: {cause}" for subject, cause in causes.items())
        raise _not_begun(upgrade, (*error.details, *waits)) from error
    yield Done(CONTROL_PLANE, f"{named(target)} stands beside {named(upgrade.source)}")
    return run.kept(upgrade, stage=Stage.WORKLOADS, attempt=upgrade.attempt + 1)


def _not_begun(upgrade: Upgrade, details: tuple[str, ...] = ()) -> FailedError:
    return FailedError(
        "control-plane-failed",
        f"{upgrade.reason}; it was taken away again",
        hint="mend the cause, then run the same command again",
        details=details,
    )


def _is_leaving(run: Run, upgrade: Upgrade) -> bool:
    """Whether the removal of the old revision has begun."""
    source = upgrade.source
    own = [each for each in run.records.of(source.mesh) if each.revision == source.revision]
    return upgrade.stage is Stage.RETIREMENT and (not own or own[-1].status in _LEAVING)


def _summary(run: Run, upgrade: Upgrade, *, is_back: bool = False) -> Summary:
    took = run.world.clock.now() - datetime.fromisoformat(upgrade.created)
    own = own_gateways(upgrade.target.manifest)
    moved = [each for batch in upgrade.batches for each in batch.workloads]
    return Summary(
        source=upgrade.source,
        target=upgrade.target,
        workloads=sum(each.ref not in own for each in moved),
        gateways=sum(each.ref in own for each in moved),
        seconds=took.total_seconds(),
        is_back=is_back,
    )
