"""Takes one step of a plan, whatever it is."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from meshctl.errors import AccessError, ConflictError, FailedError
from meshctl.model.event import Changed, Skipped, Started, Unchanged, Waiting, Warned
from meshctl.model.objects import Object
from meshctl.model.plan import (
    Apply,
    Await,
    Condition,
    Delete,
    Evict,
    Inherit,
    Probe,
    Provide,
    Record,
    Relabel,
    Restart,
    Restore,
    Save,
    Strip,
)
from meshctl.model.tag import DEFAULT
from meshctl.ports import RESTORER
from meshctl.stages.applying.awaiting import Interrupted, wait
from meshctl.stages.applying.inheriting import inherit
from meshctl.stages.applying.saving import dump
from meshctl.stages.gating.probe import webhook_answers
from meshctl.stages.planning.difference import adjusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.model.event import Event
    from meshctl.model.plan import Step
    from meshctl.model.recipe import Recipe
    from meshctl.ports import Clock, Cluster, Files, Releases

_WEBHOOK_SECONDS = 60.0
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""Annotation of a pod template by which `kubectl rollout restart` makes pods anew."""
_FOREGROUND = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job"})


@dataclass(frozen=True)
class Run:
    """What the steps of one run need; `apply` tells what each is for."""

    cluster: Cluster
    releases: Releases
    files: Files
    clock: Clock
    heed: Callable[[], None] | None
    provide: Callable[[Recipe], Object] | None

    def take(self, step: Step, tell: Callable[[Event], None], stop: threading.Event) -> None:
        """Take one step, telling as it goes; once `stop` is set, a wait is given up."""
        group, subject = step.part, named(step)
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
            case Probe():
                tell(self._probe(step, tell, stop))
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
                tell(Waiting(step.part, named(step), " ".join((error.message, *error.details))))
            if stop.is_set():
                raise Interrupted
            self.clock.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _apply(self, step: Apply, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        group, subject = step.part, named(step)

        def send() -> Object:
            try:
                return self.cluster.apply(step.object, take_over=step.take_over)
            except ConflictError as error:
                return self._yielding(step, error)

        after = self._judged(send, step, tell, stop)
        if step.live is None:
            return Changed(group, subject, "created")
        if after.at("metadata.resourceVersion") == step.live.at("metadata.resourceVersion", ""):
            return Unchanged(group, subject)
        count = len(step.changes)
        return Changed(group, subject, f"{count} field{'s' * (count != 1)} changed" if count else "changed")

    def _yielding(self, step: Apply, error: ConflictError) -> Object:
        """Send without the fields that a controller has taken since the plan was made, where we yield them.

        It may be since we sent them ourselves: an answer that is lost on its way is asked for again.
        """
        live = self.cluster.get(step.ref)
        wanted = adjusted(step.object, live, step.yields)
        if wanted is step.object:
            raise error
        return self.cluster.apply(wanted)

    def _provide(self, step: Provide) -> Event:
        assert self.provide, "a plan with recipes is done with somebody who makes them"
        self.cluster.apply(self.provide(step.recipe), take_over=True)
        return Changed(step.part, named(step), "replaced" if step.live else "created")

    def _restart(self, step: Restart) -> Event:
        group, subject = step.part, named(step)
        template = {"metadata": {"annotations": {RESTARTED: step.moment}}}
        there = self.cluster.patch(step.ref, {"spec": {"template": template}}) is not None
        return Changed(group, subject, "restarted") if there else Skipped(group, subject, "it is gone")

    def _evict(self, step: Evict, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        group, subject = step.part, named(step)
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
        group, subject = step.part, named(step)
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
        return Changed(step.part, named(step), "put back" if step.live is None else "overwritten")

    def _probe(self, step: Probe, tell: Callable[[Event], None], stop: threading.Event) -> Event:
        """Ask until they answer: the API server reaches a new pod a moment after it is ready."""
        group, subject, revision = step.part, named(step), step.revision or DEFAULT
        give_up = self.clock.monotonic() + min(step.seconds, _WEBHOOK_SECONDS)
        while True:
            try:
                fault = webhook_answers(self.cluster, revision=step.revision, istio_namespace=step.namespace)
            except AccessError as error:
                return Warned(group, subject, f"could not be asked whether it answers: {error.message}")
            if not fault:
                return Changed(group, subject, "answered")
            if self.clock.monotonic() >= give_up:
                raise FailedError(
                    "webhooks-silent",
                    f"the webhooks of revision {revision!r} do not answer as they should: {fault}",
                    hint="see istiod's log, and whether the API server reaches it on port 15017; "
                    "`meshctl check` tells more",
                )
            tell(Waiting(group, subject, fault))
            if stop.is_set():
                raise Interrupted
            self.clock.sleep(1.0)

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


def named(step: Step) -> str:
    """What a step is about, as events call it."""
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
            | Probe()
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
