"""Does what a plan says: phase after phase, the steps of a phase together."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.errors import ConflictError, FailedError, MeshctlError, StoppedError, UnreachableError
from meshctl.model.event import Done, Failed
from meshctl.model.objects import Object
from meshctl.model.plan import (
    Await,
    Record,
)
from meshctl.model.release import Status
from meshctl.stages.applying.awaiting import HEARTBEAT, Interrupted
from meshctl.stages.applying.steps import Run, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.model.event import Event
    from meshctl.model.plan import Phase, Plan, Step
    from meshctl.model.recipe import Recipe
    from meshctl.model.release import Release
    from meshctl.ports import Clock, Cluster, Files, Releases

THREADS = 16
HEED_SECONDS = 5.0
"""Seconds between two looks of whoever heeds a plan while it is done."""


def apply(
    cluster: Cluster,
    releases: Releases,
    files: Files,
    clock: Clock,
    plan: Plan,
    *,
    held: bool = False,
    heed: Callable[[], None] | None = None,
    provide: Callable[[Recipe], Object] | None = None,
) -> Iterator[Event]:
    """Do `plan`, telling what happens as it happens.

    The mesh's lock is held meanwhile; where the plan is one of several, the caller holds it already.
    An empty plan sends nothing. Closing the iterator stops cleanly: steps under way end, waits are
    given up, nothing new begins.

    Args:
        cluster: the cluster that the plan is for.
        releases: its records.
        files: where objects are saved before they go.
        clock: measures budgets.
        plan: what to do.
        held: whether the caller holds the mesh's lock.
        heed: called every few seconds while steps are under way; what it raises ends them, as though one
            had failed.
        provide: makes what a recipe says; needed for a plan that has one.

    Raises:
        ConflictError: somebody else is at work on the mesh, or was since the plan was made, or has taken the
            lock away; then no further phase is begun.
        FailedError: steps did not come right; each was told as `Failed`, and later phases were not begun.
        StoppedError: the connection was lost part-way.
    """
    if plan.is_empty:
        return
    record = next((step.release for step in plan.steps if isinstance(step, Record)), None)
    with releases.lock(record.mesh) if record and not held else nullcontext():
        if record:
            _check_current(releases, record)
        run = Run(cluster, releases, files, clock, heed, provide)
        groups = Counter(step.part for step in plan.steps)
        begun: dict[str, float] = {}
        for phase in plan.phases:
            for step in phase.steps:
                begun.setdefault(step.part, clock.monotonic())
            releases.require_locks()
            try:
                yield from _phase(run, phase)
            except StoppedError:
                raise  # it stays pending: the same command continues
            except MeshctlError:
                _mark_failed(releases, plan, phase)
                raise
            groups.subtract(step.part for step in phase.steps)
            for group in dict.fromkeys(step.part for step in phase.steps):
                if not groups[group]:
                    yield Done(group, seconds=clock.monotonic() - begun[group])


def _mark_failed(releases: Releases, plan: Plan, phase: Phase) -> None:
    """Let the record of an intent say that it failed; where it cannot be written, the cause matters more."""
    done = plan.phases[: plan.phases.index(phase)]
    steps = [step for each in done for step in each.steps if isinstance(step, Record)]
    for step in steps:
        if step.release.status is Status.PENDING and not step.forget:
            with suppress(MeshctlError):
                releases.write(replace(step.release, status=Status.FAILED))


def _check_current(releases: Releases, record: Release) -> None:
    """A plan made before somebody else's was done would undo their work."""
    known = releases.of(record.mesh)
    if record.status is Status.UNINSTALLING:  # what is installed beside it meanwhile is not in its way
        known = tuple(each for each in known if each.revision == record.revision)
    newest = max(known, key=lambda each: each.generation, default=None)
    if newest is None or newest.generation < record.generation:
        return
    is_ours = newest.generation == record.generation
    if not is_ours or (record.status is Status.PENDING and newest.status is Status.DEPLOYED):
        raise ConflictError(
            "plan-outdated",
            f"mesh {record.mesh!r} is at generation {newest.generation} ({newest.status}) now; "
            f"this plan was made before",
            hint="run the same command again, so that it plans anew",
        )


def _phase(run: Run, phase: Phase) -> Iterator[Event]:
    """Take all steps of a phase, telling as they come; raises when one failed."""
    if not phase.steps:
        return
    inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    stop = threading.Event()
    errors: list[tuple[Step, Exception]] = []

    def work(step: Step) -> None:
        try:
            if not stop.is_set():
                run.take(step, inbox.put, stop)
        except Interrupted:
            pass
        except MeshctlError as error:
            errors.append((step, error))
            inbox.put(Failed(step.part, named(step), error))
            stop.set()
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, and raised there
            errors.append((step, error))
            stop.set()
        finally:
            inbox.put(None)

    # Waits need a thread each, as one without its turn would tell no cause.
    waits = sum(isinstance(step, Await) for step in phase.steps)
    pool = ThreadPoolExecutor(min(len(phase.steps), THREADS + waits))
    try:
        for step in phase.steps:
            pool.submit(work, step)
        left = len(phase.steps)
        due = run.clock.monotonic() + HEED_SECONDS
        while left:
            if run.heed and run.clock.monotonic() >= due:
                run.heed()
                due = run.clock.monotonic() + HEED_SECONDS
            try:
                event = inbox.get(timeout=HEARTBEAT if run.heed else None)
            except queue.Empty:
                continue
            if event is None:
                left -= 1
            else:
                yield event
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    if errors:
        raise _summary(errors, len(phase.steps))


def _summary(errors: list[tuple[Step, Exception]], count: int) -> Exception:
    """One error for a phase: the first, unless the connection was lost."""
    for _, error in errors:
        if not isinstance(error, MeshctlError):
            return error
        if isinstance(error, UnreachableError):
            return StoppedError(
                "stopped-part-way",
                f"stopped part-way: {error.message}",
                hint="run the same command again; it continues",
                details=error.details,
            )
    step, first = errors[0]
    assert isinstance(first, MeshctlError)
    if len(errors) == 1:
        return first
    others = [f"{named(each)}: {error}" for each, error in errors[1:]]
    return FailedError(
        first.code,
        f"{len(errors)} of {count} steps failed, the first on {named(step)}: {first.message}",
        hint=first.hint,
        details=(*first.details, *others),
    )
