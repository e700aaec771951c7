"""Does what a plan says: phase after phase, the steps of a phase together."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from meshctl.errors import ConflictError, FailedError, MeshctlError, StoppedError, UnreachableError
from meshctl.model.event import Changed, Done, Failed, Skipped, Started, Unchanged, Waiting
from meshctl.model.objects import Object
from meshctl.model.plan import (
    Apply,
    Await,
    Condition,
    Delete,
    Evict,
    Inherit,
    Provide,
    Record,
    Relabel,
    Restart,
    Restore,
    Save,
    Strip,
)
from meshctl.model.release import Status
from meshctl.ports import RESTORER
from meshctl.stages.applying.awaiting import HEARTBEAT, Interrupted, wait
from meshctl.stages.applying.inheriting import inherit
from meshctl.stages.applying.saving import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.model.event import Event
    from meshctl.model.plan import Phase, Plan, Step
    from meshctl.model.recipe import Recipe
    from meshctl.model.release import Release
    from meshctl.ports import Clock, Cluster, Files, Releases

THREADS = 16
_WEBHOOK_SECONDS = 60.0
HEED_SECONDS = 5.0
"""Seconds between two looks of whoever heeds a plan while it is done."""
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""Annotation of a pod template by which `kubectl rollout restart` makes pods anew."""
_FOREGROUND = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job"})


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
        run = _Run(cluster, releases, files, clock, heed, provide)
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


def _phase(run: _Run, phase: Phase) -> Iterator[Event]:
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
            inbox.put(Failed(step.part, _subject(step), error))
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
    others = [f"{_subject(each)}: {error}" for each, error in errors[1:]]
    return FailedError(
        first.code,
        f"{len(errors)} of {count} steps failed, the first on {_subject(step)}: {first.message}",
        hint=first.hint,
        details=(*first.details, *others),
    )


@dataclass(frozen=True)
class _Run:
    """What the steps of one run need."""

    cluster: Cluster
    releases: Releases
    files: Files
    clock: Clock
    heed: Callable[[], None] | None
    provide: Callable[[Recipe], Object] | None

    def take(self, step: Step, tell: Callable[[Event], None], stop: threading.Event) -> None:
        group, subject = step.part, _subject(step)
        tell(Started(group, subject))
        match step:
            case Apply():
                tell(self._apply(step, tell, stop))
            case Provide():
                tell(self._provide(step))
            case Delete():
                foreground = step.ref.kind in _FOREGROUND
                there = self.cluster.delete(step.ref, foreground=foreground, grace=step.grace)
                tell(Changed(group, subject, "removed") if there else Unchanged(group, subject))
            case Inherit():
                tell(inherit(self.cluster, step))
            case Relabel():
                patch = {"metadata": {"labels": dict(step.labels)}}
                there = self.cluster.patch(step.ref, patch) is not None
                tell(Changed(group, subject, "labels set") if there else Unchanged(group, subject))
            case Restart():
                tell(self._restart(step))
            case Evict():
                tell(self._evict(step, tell, stop))
            case Strip():
                there = self.cluster.patch(step.ref, {"metadata": {"finalizers": None}}) is not None
                tell(Changed(group, subject, "finalizers stripped") if there else Unchanged(group, subject))
            case Save():
                tell(self._save(step))
            case Restore():
                tell(self._restore(step, tell, stop))
            case Await():
                waited = wait(
                    self.cluster, self.clock, step, lambda cause: tell(Waiting(group, subject, cause)), stop
                )
                tell(Changed(group, subject, _reached(step)) if waited else Unchanged(group, subject))
            case Record():
                self._record(step)
                tell(Changed(group, subject, "forgotten" if step.forget else str(step.release.status)))
            case _:
                assert_never(step)

    def _judged(
        self,
        send: Callable[[], Object],
        step: Apply | Restore,
        tell: Callable[[Event], None],
        stop: threading.Event,
    ) -> Object:
        """Send what webhooks judge: their pod is ready a moment before its address is known everywhere."""
        give_up = self.clock.monotonic() + _WEBHOOK_SECONDS
        pause = 0.25
        while True:
            try:
                return send()
            except FailedError as error:
                if error.code != "webhook-unavailable" or self.clock.monotonic() >= give_up:
                    raise
                tell(Waiting(step.part, _subject(step), " ".join((error.message, *error.details))))
            if stop.is_set():
                raise Interrupted
            self.clock.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _apply(self, step: Apply, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        group, subject = step.part, _subject(step)

        def send() -> Object:
            return self.cluster.apply(step.object, take_over=step.take_over)

        after = self._judged(send, step, tell, stop)
        if step.live is None:
            return Changed(group, subject, "created")
        if after.at("metadata.resourceVersion") == step.live.at("metadata.resourceVersion", ""):
            return Unchanged(group, subject)
        count = len(step.changes)
        return Changed(group, subject, f"{count} field{'s' * (count != 1)} changed" if count else "changed")

    def _provide(self, step: Provide) -> Event:
        assert self.provide, "a plan with recipes is done with somebody who makes them"
        self.cluster.apply(self.provide(step.recipe), take_over=True)
        return Changed(step.part, _subject(step), "replaced" if step.live else "created")

    def _restart(self, step: Restart) -> Event:
        group, subject = step.part, _subject(step)
        template = {"metadata": {"annotations": {RESTARTED: step.moment}}}
        there = self.cluster.patch(step.ref, {"spec": {"template": template}}) is not None
        return Changed(group, subject, "restarted") if there else Skipped(group, subject, "it is gone")

    def _evict(self, step: Evict, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        group, subject = step.part, _subject(step)
        give_up = self.clock.monotonic() + step.seconds
        pause = 0.5
        while True:
            try:
                there = self.cluster.evict(step.ref, uid=step.uid)
                return Changed(group, subject, "evicted") if there else Unchanged(group, subject)
            except FailedError as error:
                if error.code != "budget-exhausted":
                    raise
                cause = " ".join(error.details) or error.message
                if self.clock.monotonic() >= give_up:
                    raise _never_allowed(step, error, cause) from error
                tell(Waiting(group, subject, cause))
            if stop.is_set():
                raise Interrupted
            self.clock.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _save(self, step: Save) -> Event:
        group, subject = step.part, _subject(step)
        objects = [obj for ref in step.refs if (obj := self.cluster.get(ref)) is not None]
        if not objects:
            return Skipped(group, subject, "nothing of it is there any more")
        self.files.write(step.file, step.head + dump(objects))
        return Changed(group, subject, f"{len(objects)} object{'s' * (len(objects) > 1)} saved")

    def _restore(self, step: Restore, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        def send() -> Object:
            if step.live is None:
                return self.cluster.create(step.object, manager=RESTORER)
            # With the version that was compared: what changed since is not overwritten unseen.
            version = step.live.at("metadata.resourceVersion")
            meta = {**step.object.content["metadata"], "resourceVersion": version}
            return self.cluster.replace(Object({**step.object.content, "metadata": meta}), manager=RESTORER)

        self._judged(send, step, tell, stop)
        return Changed(step.part, _subject(step), "put back" if step.live is None else "overwritten")

    def _record(self, step: Record) -> None:
        if step.forget:
            self.releases.forget(step.release)
        else:
            self.releases.write(step.release)


def _never_allowed(step: Evict, error: FailedError, cause: str) -> FailedError:
    return FailedError(
        error.code,
        f"{step.ref} was not allowed to end within {step.seconds:g} s: {cause}",
        hint="give its PodDisruptionBudget room, then run the same command again",
    )


def _subject(step: Step) -> str:
    match step:
        case Save():
            return step.file
        case Record():
            return f"{step.release.mesh} generation {step.release.generation}"
        case (
            Apply()
            | Provide()
            | Delete()
            | Inherit()
            | Relabel()
            | Restart()
            | Evict()
            | Strip()
            | Restore()
            | Await()
        ):
            return str(step.ref)
        case _:
            assert_never(step)


def _reached(step: Await) -> str:
    match step.condition:
        case Condition.READY:
            return "ready"
        case Condition.ESTABLISHED:
            return "established"
        case Condition.GONE:
            return "gone"
        case _:
            assert_never(step.condition)
