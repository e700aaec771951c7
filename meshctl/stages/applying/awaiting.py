"""Waits until one object is ready or gone; tells the live cause, and ends early where it is no use."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.plan import Condition
from meshctl.stages.applying.readiness import (
    Trouble,
    come,
    current,
    held_by,
    selects,
    troubles,
    unready,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Await
    from meshctl.ports import Clock, Cluster, Watch

HEARTBEAT = 0.25
"""Seconds between looks at the clock and at the wish to stop; the cluster is not asked."""

_LOOK_AGAIN = 2.0  # seconds without a word about the object itself before it is read once more
_SELDOM = 20.0  # each time without a word the next is twice as far, up to this
_BESIDE = {
    "Deployment": ("ReplicaSet", "Pod", "Event"),
    "DaemonSet": ("Pod", "Event"),
    "StatefulSet": ("Pod", "Event"),
    "ReplicaSet": ("Pod", "Event"),
    "Job": ("Pod", "Event"),
    "Pod": ("Event",),
}
_TEMPLATES_REVISION = r"spec.template.metadata.annotations.istio\.io/rev"
_VERSIONS = {"ReplicaSet": "apps/v1", "Pod": "v1", "Event": "v1"}


class Interrupted(Exception):  # noqa: N818 - a wish, no error
    """The wait was given up because it is no longer wanted."""


@dataclass
class _Scene:
    """What was last seen of the awaited object and of what stands beside it."""

    awaited: Object | None
    beside: dict[str, dict[str, Object]] = field(default_factory=dict)

    def take(self, change: str, obj: Object, ref: Ref) -> None:
        if obj.ref.kind == ref.kind and obj.ref.name == ref.name:
            self.awaited = None if change == "DELETED" else obj
        if obj.ref.kind in _VERSIONS:
            shelf = self.beside.setdefault(obj.ref.kind, {})
            shelf.pop(obj.ref.name, None)
            if change != "DELETED":
                shelf[obj.ref.name] = obj

    def lacks(self, step: Await) -> str:
        """What is missing until the awaited is ready as the step wants it; empty when nothing is."""
        obj = self.awaited
        if obj is None:
            return "" if step.or_gone else "not there yet"
        if obj.is_leaving:
            return "it is being removed"
        named = obj.at(_TEMPLATES_REVISION, "")
        if step.revision not in ("", named):
            return f"its pod template still names revision {named or 'none'}"
        if missing := unready(obj):
            return missing
        return self._lacks_pods(obj, step.pods) if step.pods else ""

    def _lacks_pods(self, obj: Object, pods: int) -> str:
        wanted = obj.at("spec.replicas", obj.at("status.desiredNumberScheduled", pods))
        own = [pod for pod in self.of("Pod") if obj.uid in pod.owners or selects(obj, pod)]
        ready = sum(not pod.is_leaving and not unready(pod) for pod in own)
        return f"{ready} of {wanted} pods are ready" if ready < wanted else ""

    def of(self, kind: str) -> list[Object]:
        return list(self.beside.get(kind, {}).values())

    def events(self) -> list[Object]:
        return sorted(
            self.of("Event"), key=lambda each: each.at("lastTimestamp") or each.at("eventTime") or ""
        )

    def troubles(self) -> tuple[Trouble, ...]:
        if self.awaited is None:
            return ()
        return troubles(self.awaited, self.of("Pod"), self.of("ReplicaSet"), self.events())


def wait(
    cluster: Cluster, clock: Clock, step: Await, tell: Callable[[str], None], stop: threading.Event
) -> bool:
    """Wait until `step` is met.

    Args:
        cluster: where the object is.
        clock: measures the budget and the patience with troubles.
        step: what to wait for.
        tell: is given each new cause of waiting.
        stop: gives the wait up when set.

    Returns:
        Whether there was anything to wait for.

    Raises:
        FailedError: the budget is spent, or what is seen cannot heal; says the cause.
        Interrupted: `stop` was set.
    """
    scene = _Scene(cluster.get(step.ref))
    if step.pods:
        for pod in cluster.list("v1", "Pod", namespace=step.ref.namespace):
            scene.take("ADDED", pod, step.ref)
    if _is_met(step, scene):
        return False
    with _Sources(cluster, step) as sources:
        _Wait(cluster, clock, step, tell, stop, scene, sources.inbox).run()
    return True


def _is_met(step: Await, scene: _Scene) -> bool:
    match step.condition:
        case Condition.GONE:
            return scene.awaited is None or step.uid not in ("", scene.awaited.uid)
        case Condition.READY | Condition.ESTABLISHED:
            return not scene.lacks(step)
        case _:
            assert_never(step.condition)


class _Sources:
    """Watches of the awaited object and of what stands beside it, each read by a thread of its own."""

    def __init__(self, cluster: Cluster, step: Await) -> None:
        self.inbox: queue.SimpleQueue[tuple[str, Object] | MeshctlError] = queue.SimpleQueue()
        ref, seconds = step.ref, step.seconds + 60
        self._watches = [
            cluster.watch(ref.api_version, ref.kind, namespace=ref.namespace, name=ref.name, seconds=seconds)
        ]
        beside = _BESIDE.get(ref.kind, ("Pod",) if step.pods else ())
        for kind in beside if step.condition is not Condition.GONE else ():
            self._watches.append(
                cluster.watch(_VERSIONS[kind], kind, namespace=ref.namespace, seconds=seconds)
            )

    def __enter__(self) -> _Sources:
        for number, watch in enumerate(self._watches):
            threading.Thread(target=self._pump, args=(watch, number == 0), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for watch in self._watches:
            watch.close()

    def _pump(self, watch: Watch, is_awaited: bool) -> None:
        try:
            for change in watch:
                self.inbox.put(change)
        except MeshctlError as error:
            if is_awaited:  # without the others we wait all the same, and know less of the cause
                self.inbox.put(error)


@dataclass
class _Wait:
    """One wait under way."""

    cluster: Cluster
    clock: Clock
    step: Await
    tell: Callable[[str], None]
    stop: threading.Event
    scene: _Scene
    inbox: queue.SimpleQueue[tuple[str, Object] | MeshctlError]
    told: str = ""
    come: int = 0
    since: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        now = self.clock.monotonic()
        patience = _LOOK_AGAIN
        until, look_again = now + self.step.seconds, now + patience
        while not _is_met(self.step, self.scene):
            cause = self._judge()
            if cause != self.told:
                self.told = cause
                self.tell(cause)
            now, new = self.clock.monotonic(), come(self.scene.awaited)
            if new > self.come:  # one that rolls many pods may take its time for each
                self.come, until = new, now + self.step.seconds
            if now >= until:
                raise self._late()
            if self._receive():
                look_again = self.clock.monotonic() + _LOOK_AGAIN
            elif self.clock.monotonic() >= look_again:
                # Changes that came between the first look and the watch's first list are nobody's event.
                self.scene.awaited = self.cluster.get(self.step.ref)
                patience = min(2 * patience, _SELDOM)
                look_again = self.clock.monotonic() + patience
            if self.stop.is_set():
                raise Interrupted

    def _receive(self) -> bool:
        """Take what has come, or wait one heartbeat; whether anything was said of the object itself."""
        heard = False
        try:
            news = self.inbox.get(timeout=HEARTBEAT)
            while True:
                if isinstance(news, MeshctlError):
                    raise news
                change, obj = news
                self.scene.take(change, obj, self.step.ref)
                heard = heard or obj.ref.kind == self.step.ref.kind
                if _is_met(self.step, self.scene):
                    return True
                news = self.inbox.get_nowait()
        except queue.Empty:
            return heard

    def _judge(self) -> str:
        """The cause of waiting; raises when it lasts longer than there is hope."""
        obj = self.scene.awaited
        if self.step.condition is Condition.GONE:
            return held_by(obj) if obj else ""
        if obj is None:
            return self.scene.lacks(self.step)
        seen = self.scene.troubles()
        now = self.clock.monotonic()
        self.since = {each.code: self.since.get(each.code, now) for each in seen}
        for trouble in seen:
            if now - self.since[trouble.code] >= trouble.patience:
                raise self._hopeless(trouble)
        return seen[0].cause if seen else self.scene.lacks(self.step)

    def _hopeless(self, trouble: Trouble) -> FailedError:
        return FailedError(
            trouble.code,
            f"{self.step.ref} will not become ready: {trouble.cause}",
            hint=trouble.hint,
            details=self._last_words(trouble.pod, trouble.container),
        )

    def _late(self) -> FailedError:
        cause = f": {self.told}" if self.told else ""
        if self.step.condition is Condition.GONE:
            return FailedError(
                "not-gone-in-time",
                f"{self.step.ref} is still there after {self.step.seconds:g} s{cause}",
                hint="see what holds it, then run the same command again",
            )
        pod, container = self._unready_container()
        return FailedError(
            "not-ready-in-time",
            f"{self.step.ref} is not ready after {self.step.seconds:g} s{cause}",
            hint="mend the cause, then run the same command again",
            details=self._last_words(pod, container),
        )

    def _unready_container(self) -> tuple[str, str]:
        workload = self.scene.awaited
        if workload is None:
            return "", ""
        for pod in current(workload, self.scene.of("Pod"), self.scene.of("ReplicaSet")):
            for status in pod.at("status.containerStatuses", ()):
                if not status.get("ready"):
                    return pod.ref.name, status.get("name", "")
        return "", ""

    def _last_words(self, pod: str, container: str) -> tuple[str, ...]:
        if not container:
            return ()
        try:
            return tuple(self.cluster.logs(self.step.ref.namespace, pod, container, lines=10).splitlines())
        except MeshctlError:
            return ()  # the cause is known without them
