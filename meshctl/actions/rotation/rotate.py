"""A rotation of the authorities of a mesh: a recorded story of plans, proven stage by stage.

What the record says is done is never done twice, and what can be seen is never remembered: a run that was cut
short is continued by looking again.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from meshctl.actions.doing import stopped
from meshctl.actions.rotation.looking import authorities, authority_of, kept_of, witnesses
from meshctl.actions.rotation.preparing import authoritative, roots_of, seat_of
from meshctl.actions.rotation.proving import istiods_on, proxies_on
from meshctl.errors import ConfigError, ConflictError, MeshctlError, UnreachableError, listed
from meshctl.model.event import Done
from meshctl.model.rotation import Scope, Stage
from meshctl.stages.rotating.judging import is_old
from meshctl.stages.rotating.plans import ending, has_new, issuing, returning, trusting
from meshctl.stages.trusting import authority, cacerts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from meshctl.actions.rotation.looking import News, Run
    from meshctl.model.recipe import Recipe
    from meshctl.model.rotation import Rotation, Seat
    from meshctl.stages.rotating.live import Live

_ORDER = tuple(Stage)


@dataclass(frozen=True)
class Summary:
    """How a rotation ended.

    Attributes:
        rotation: as it stood in its last stage.
        seconds: since it began, pauses included.
    """

    rotation: Rotation
    seconds: float


def begin(run: Run, prepared: Rotation) -> Generator[News, None, Summary]:
    """Record a rotation in every cluster, and make it.

    Raises:
        ConflictError: another is under way, or somebody is at work on a cluster.
        FailedError: something did not come right; the same command continues.
        StoppedError: proxies have to renew by themselves first, or the connection was lost.
    """
    with _at_work(run):
        if under_way(run) is not None:
            raise ConflictError(
                "rotation-under-way",
                "another rotation of these clusters was begun meanwhile",
                hint="`meshctl ca rotate --status` shows it",
            )
        return (yield from _story(run, run.kept(prepared)))


def go_on(run: Run, **changes: object) -> Generator[News, None, Summary]:
    """Continue the rotation of a mesh where it stopped; `changes` are fields of `Rotation` asked anew.

    Raises:
        ConfigError: there is none, or a cluster of it is not in the mesh.yaml.
        ConflictError, FailedError, StoppedError: as `begin`.
    """
    with _at_work(run):
        rotation = _overtaken(run, _required(run))
        _unlock(run, rotation)
        return (yield from _story(run, run.kept(rotation, **{**changes, "reason": ""})))


def abort(run: Run) -> Generator[News, None, Summary]:
    """Take a rotation back: every cluster gets its old authority again, and the new root goes.

    Raises:
        ConfigError: there is none, or a cluster of it is not in the mesh.yaml.
        ConflictError: it is too late, or somebody is at work on a cluster.
        FailedError, StoppedError: as `begin`.
    """
    with _at_work(run):
        rotation = _required(run)
        if not rotation.is_back:
            if rotation.stage is Stage.DROP:
                raise ConflictError(
                    "too-late-to-abort",
                    "the old authorities are being dropped already",
                    hint="`meshctl ca rotate` ends it",
                )
            stage = Stage.DROP if rotation.stage is Stage.TRUST else Stage.ISSUE
            rotation = run.kept(rotation, is_back=True, stage=stage, reason="")
        return (yield from _story(run, rotation))


def under_way(run: Run) -> Rotation | None:
    """The rotation under way; None when there is none. Only reads.

    A stage begins once every cluster has it recorded: the furthest record is where it is at.

    Raises:
        ConflictError: records tell of different rotations.
    """
    found = [
        rotation
        for name, records in sorted(run.world.releases.items())
        if (rotation := records.rotation(run.mesh_of(name).name)) is not None
    ]
    if len({each.created for each in found}) > 1:
        raise ConflictError(
            "several-rotations",
            "clusters are in the midst of different rotations",
            hint="end each with the mesh.yaml that it was begun with",
        )
    return max(found, key=lambda each: (each.is_back, _ORDER.index(each.stage)), default=None)


def _required(run: Run) -> Rotation:
    rotation = under_way(run)
    if rotation is None:
        raise ConfigError(
            "no-rotation",
            "no rotation of these clusters is under way",
            hint="`meshctl ca rotate` begins one",
        )
    rotation = replace(rotation, seats=tuple(seat for seat in rotation.seats if not _has_left(run, seat)))
    missing = {*rotation.clusters} - run.world.clusters.keys()
    if missing:
        raise ConfigError(
            "cluster-missing",
            f"the rotation under way is of clusters that are not asked for: {listed(sorted(missing))}",
            hint="give the mesh.yaml that it was begun with, without --cluster",
        )
    return rotation


def _overtaken(run: Run, rotation: Rotation) -> Rotation:
    """The rotation with clusters that came since; from its beginning where anybody has the old root still."""
    if rotation.is_back or rotation.scope is not Scope.ROOT:
        return rotation
    known = {seat.cluster for seat in rotation.seats}
    doors, homes = run.world.clusters, run.namespaces
    others = [each for each in authoritative(run) if each.name not in known]
    lives = authorities(run, [each for each in others if doors[each.name].get(cacerts.ref(homes[each.name]))])
    come = tuple(seat_of(run, name, live, rotation.signer) for name, live in lives.items())
    whole = replace(
        rotation,
        seats=(*rotation.seats, *come),
        leaving=tuple(
            sorted({*rotation.leaving, *(each.root for each in lives.values())} - {rotation.signer})
        ),
        roots=roots_of(lives.values(), rotation.roots),
    )
    late = rotation.stage is Stage.DROP and any(is_old(whole, each) for each in witnesses(run, whole))
    return replace(whole, stage=Stage.TRUST, rounds=whole.rounds + 1) if come or late else whole


def _unlock(run: Run, rotation: Rotation) -> None:
    """Have the key at hand that is still to sign, so that nobody is asked in the middle of the work."""
    assert run.world.signer, "a world in which authorities are made has somebody who signs them"
    if rotation.is_back or rotation.stage not in (Stage.TRUST, Stage.ISSUE):
        return
    for seat in rotation.seats:
        live = authority_of(run, seat)
        if not has_new(rotation, seat, live):
            run.world.signer.unlock(run.mesh_of(seat.cluster).trust.root, rotation.signer or live.root)


def _has_left(run: Run, seat: Seat) -> bool:
    """Whether the mesh was removed from a cluster since, with its record and its authority."""
    if seat.cluster not in run.world.clusters:
        return False
    is_recorded = run.world.releases[seat.cluster].rotation(seat.mesh) is not None
    return not is_recorded and run.world.clusters[seat.cluster].get(cacerts.ref(seat.namespace)) is None


@contextmanager
def _at_work(run: Run) -> Iterator[None]:
    """Hold the lock of every cluster, and record why it stopped where the clusters can be reached."""
    with ExitStack() as locks:
        try:
            for name, records in sorted(run.world.releases.items()):
                locks.enter_context(records.lock(run.mesh_of(name).name))
            yield
        except UnreachableError as error:
            raise stopped(error) from error
        except (ConflictError, ConfigError):
            raise  # it was refused, and did not stop because of it
        except MeshctlError as error:
            with suppress(MeshctlError):  # the cause matters more
                rotation = under_way(run)
                if rotation is not None:
                    run.kept(rotation, reason=error.message)
            raise


def _story(run: Run, rotation: Rotation) -> Generator[News, None, Summary]:
    while True:
        match rotation.stage:
            case Stage.TRUST:
                yield from _trusted(run, rotation)
                yield from proxies_on(run, rotation)
                rotation = run.kept(rotation, stage=Stage.ISSUE)
            case Stage.ISSUE:
                for seat in rotation.seats:
                    yield from _issued(run, rotation, seat)
                yield from istiods_on(run, rotation)
                rotation = run.kept(rotation, stage=Stage.RENEW)
            case Stage.RENEW:
                yield from proxies_on(run, rotation)
                rotation = run.kept(rotation, stage=Stage.DROP)
            case Stage.DROP:
                yield from _trusted(run, rotation)
                yield from proxies_on(run, rotation)
                yield from _forgotten(run, rotation)
                took = run.world.clock.now() - datetime.fromisoformat(rotation.created)
                return Summary(rotation, took.total_seconds())
            case _:
                assert_never(rotation.stage)


def _trusted(run: Run, rotation: Rotation) -> Iterator[News]:
    """Have every istiod hand out the roots of this stage."""
    for seat in rotation.seats:
        yield from run.do(trusting(rotation, seat, authority_of(run, seat)))
    yield from istiods_on(run, rotation)


def _issued(run: Run, rotation: Rotation, seat: Seat) -> Iterator[News]:
    live = authority_of(run, seat)
    if rotation.is_back:
        yield from run.do(returning(rotation, seat, live))
    else:
        recipe = recipe_for(run, rotation, seat, live)
        yield from run.do(issuing(rotation, seat, live, kept_of(run, seat), recipe))


def recipe_for(run: Run, rotation: Rotation, seat: Seat, live: Live) -> Recipe:
    """How the new authority of a cluster is made."""
    mesh = run.mesh_of(seat.cluster)
    cluster = mesh.cluster(seat.cluster)
    assert cluster is not None  # a seat has one
    (root,) = rotation.certificates([rotation.signer or live.root])
    roots = rotation.certificates(rotation.trusted(seat))
    return authority.recipe(mesh, cluster, seat.namespace, root, roots)


def _forgotten(run: Run, rotation: Rotation) -> Iterator[News]:
    """Take the kept authorities away, then the records."""
    for seat in rotation.seats:
        yield from run.do(ending(seat, kept_of(run, seat)))
    for name, records in sorted(run.world.releases.items()):
        records.forget_rotation(run.mesh_of(name).name)
    yield Done("rotation", "all is on the old authorities again" if rotation.is_back else "")
