"""The lock that keeps two operators off one mesh: a Lease that is renewed while it is held."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.errors import ConflictError, MeshctlError, UnreachableError
from meshctl.model.objects import Object, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.ports import Clock, Cluster

_API = "coordination.k8s.io/v1"
LOST = "lock-lost"
_CREATIONS = 5  # tries to make the Lease on a server that answers, but not to that
_LONG_AGO = 4.0  # durations without renewal after which no clock can be that wrong


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, precise enough to tell on its own machine whether it still lives."""

    user: str
    host: str
    pid: int
    world: str
    """Boot and process-number space, in which `pid` and `started` mean something; empty: unknown."""
    started: str
    nonce: str

    def __str__(self) -> str:
        """Form in the Lease's `holderIdentity`."""
        return f"{self.user}@{self.host}/{self.pid}/{self.world}/{self.started}/{self.nonce}"

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """The holder in a `holderIdentity`; None when another tool wrote it."""
        parts = text.split("/")
        user, _, host = parts[0].partition("@")
        if len(parts) != 5 or not parts[1].isdigit():
            return None
        return cls(user, host, int(parts[1]), *parts[2:])

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = str(os.getuid())
        pid = os.getpid()
        host = socket.gethostname().replace("/", "-")
        return cls(user, host, pid, _world(), _started(pid), secrets.token_hex(4))

    @property
    def is_dead(self) -> bool:
        """Whether it certainly lives no more: it ran here, and its process is gone."""
        if not self.world or not self.started or self.world != _world():
            return False
        return self.host == socket.gethostname().replace("/", "-") and _started(self.pid) != self.started


@dataclass(frozen=True)
class Held:
    """A lock that is held, or was until somebody took it away."""

    place: str
    _lost: threading.Event = field(default_factory=threading.Event)

    @property
    def is_lost(self) -> bool:
        """Whether it was taken away."""
        return self._lost.is_set()

    def lose(self) -> None:
        """Remember that it was taken away."""
        self._lost.set()

    def require(self) -> None:
        """Go on only while it is held.

        Raises:
            ConflictError: somebody has taken it away.
        """
        if self.is_lost:
            raise self.error()

    def error(self, *details: str) -> ConflictError:
        """What is told of a lock that was taken away."""
        return ConflictError(
            LOST,
            f"lock {self.place!r} was taken away while we worked",
            hint="see what the other run does, then run the same command again",
            details=details,
        )


@dataclass(frozen=True)
class Lease:
    """A named lock in a cluster.

    Attributes:
        cluster: where the Lease is kept.
        clock: gives the times written into it.
        namespace: the Lease's namespace.
        name: the Lease's name.
        seconds: after how long without renewal others may take it; renewed three times as often.
    """

    cluster: Cluster
    clock: Clock
    namespace: str
    name: str
    seconds: float = 15.0

    @property
    def ref(self) -> Ref:
        """What names the Lease."""
        return Ref(_API, "Lease", self.namespace, self.name)

    @contextmanager
    def held(self) -> Iterator[Held]:
        """Hold the lock until the context closes; nothing is left of it then.

        Whoever holds it asks before each step whether it is held still. At the end it is told all the same,
        in place of what the work failed for meanwhile, as that may come of two who worked at once.

        Raises:
            ConflictError: somebody else holds it, or took it away meanwhile.
        """
        mine = str(Holder.here())
        current = self._acquire(mine)
        done, held = threading.Event(), Held(self.ref.place)
        keeper = threading.Thread(target=self._keep, args=(current, done, held), name=self.name, daemon=True)
        keeper.start()
        try:
            yield held
        except MeshctlError as error:
            if held.is_lost and error.code != LOST:
                raise held.error(str(error), *error.details) from error
            raise
        finally:
            done.set()
            keeper.join()
            if not held.is_lost:
                self._release(mine)
        held.require()

    def _acquire(self, mine: str) -> Object:
        tries = _CREATIONS
        while True:
            there = self.cluster.get(self.ref)
            try:
                if there is None:
                    tries -= 1
                    return self.cluster.create(self._object(mine))
                if there.at("spec.holderIdentity") == mine:
                    return there  # ours already; the answer to our taking it was lost on the way
                self._await_expiry(there)
                return self.cluster.replace(self._object(mine, there))
            except ConflictError as error:
                if error.code not in ("already-exists", "object-changed"):
                    raise
                # Somebody was quicker; see who.
            except UnreachableError:
                if there is not None or not tries:
                    raise
                # The answer may have been lost after our Lease was made; see whether it is there.

    def _await_expiry(self, there: Object) -> None:
        """Return once the holder has lost its right; raises when it shows that it lives."""
        holder = Holder.parse(there.at("spec.holderIdentity", ""))
        if not there.at("spec.holderIdentity") or (holder and holder.is_dead):
            return
        lasts = float(there.at("spec.leaseDurationSeconds", self.seconds))
        renewed = _parsed(there.at("spec.renewTime", ""))
        if renewed is None or self.clock.now() - renewed > timedelta(seconds=_LONG_AGO * lasts):
            return
        # Two machines' clocks need not agree: what counts is whether it is renewed before our eyes.
        version = there.at("metadata.resourceVersion")
        watch = self.cluster.watch(
            _API, "Lease", namespace=self.namespace, name=self.name, seconds=min(lasts, self.seconds) + 1
        )
        try:
            for change, obj in watch:
                if change == "DELETED":
                    return
                if obj.at("metadata.resourceVersion") != version:
                    raise self._taken(obj)
        finally:
            watch.close()

    def _keep(self, current: Object, done: threading.Event, held: Held) -> None:
        """Renew the lock until it is given back, or not ours any more."""
        while not done.wait(self.seconds / 3):
            try:
                renewed = {**current.content["spec"], "renewTime": _written(self.clock.now())}
                current = self.cluster.replace(Object({**current.content, "spec": renewed}))
            except MeshctlError:
                # Our answer was lost, somebody took the lock, or took the Lease away; or nobody answers now.
                # Then it runs out: the first renewal that gets through tells whether it was taken meanwhile.
                with contextlib.suppress(MeshctlError):
                    there = self.cluster.get(self.ref)
                    if there is None or there.at("spec.holderIdentity") != current.at("spec.holderIdentity"):
                        held.lose()
                        return
                    current = there

    def _release(self, mine: str) -> None:
        # A lock that cannot be given back runs out by itself; the work's own error matters more.
        with contextlib.suppress(MeshctlError):
            there = self.cluster.get(self.ref)
            if there is not None and there.at("spec.holderIdentity") == mine:
                self.cluster.delete(self.ref)

    def _object(self, mine: str, before: Object | None = None) -> Object:
        now = _written(self.clock.now())
        meta = {"name": self.name, "namespace": self.namespace}
        turns = 0
        if before is not None:
            meta["resourceVersion"] = before.at("metadata.resourceVersion")
            turns = before.at("spec.leaseTransitions", 0) + 1
        spec = {
            "holderIdentity": mine,
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": turns,
        }
        return Object({"apiVersion": _API, "kind": "Lease", "metadata": meta, "spec": spec})

    def _taken(self, there: Object) -> ConflictError:
        identity = there.at("spec.holderIdentity", "")
        holder = Holder.parse(identity)
        who = f"{holder.user}@{holder.host} (process {holder.pid})" if holder else repr(identity)
        since = there.at("spec.acquireTime", "an unknown time")
        return ConflictError(
            "mesh-locked",
            f"{who} has been at work on this mesh since {since}",
            hint="wait until that run is done, then run the same command again",
        )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _world() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""  # no Linux: locks are then only taken over when they run out


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
