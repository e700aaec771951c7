"""The commands of capture: what may change now, and what is taken back unless somebody confirms it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from meshctl.agent.capture import flavours, host, kernel, rules
from meshctl.agent.capture.applied import Applied, Journal, Pending, Placed
from meshctl.agent.capture.deadman import Deadman
from meshctl.agent.capture.options import options
from meshctl.agent.capture.placing import Kernel, Placing, Wanted, named
from meshctl.agent.capture.tools import Tools
from meshctl.errors import ConflictError, FailedError, MeshctlError

if TYPE_CHECKING:
    from meshctl.agent.capture.settings import CaptureSettings
    from meshctl.agent.places import Places

_LATE: Final = 2.0
"""Seconds that the timer may take to fire before others do its work."""


class Timer(Protocol):
    """What takes an unconfirmed change back; see `deadman`."""

    def arm(self, number: str, seconds: float) -> None:
        """Do so in some seconds."""

    def disarm(self, number: str) -> None:
        """Do not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    Attributes:
        changed: it had something to do.
        applied: what is in place now.
        waits: seconds until it is taken back, if it has to be confirmed.
    """

    changed: bool
    applied: Applied | None
    waits: float | None = None


def capture(places: Places) -> Capture:
    """Traffic capture on this very host."""
    tools = Tools()
    return Capture(Journal(places.capture), tools, kernel, Deadman(places.root, tools), os.environ)


class Capture:
    """Traffic capture on a host."""

    def __init__(
        self, journal: Journal, tools: Tools, kernel: Kernel, timer: Timer, environment: Mapping[str, str]
    ) -> None:
        """Take what it works on; nothing is done yet."""
        self._journal = journal
        self._tools = tools
        self._kernel = kernel
        self._placing = Placing(journal, tools, kernel)
        self._timer = timer
        self._environment = environment

    def wanted(self, settings: CaptureSettings) -> Wanted:
        """The rules that settings mean on this host.

        Raises:
            ConfigError: the settings are wrong.
            UnsupportedError: the host has none of the tools.
        """
        checked = options(settings)
        if not checked.redirect:
            return Wanted()
        flavour = flavours.choose(self._tools, checked.flavour)
        seen = host.look(checked, self._tools, self._kernel.addresses(), self._environment)
        tables = tuple(
            Placed(table.family, table.name, flavour.render(table))
            for table in rules.tables(checked, seen.host)
        )
        return Wanted(flavour, tables, seen.notes, checked.ipv6 == "on")

    def apply(self, settings: CaptureSettings, confirm_within: float | None = None) -> Outcome:
        """Have the rules that settings mean; what is in place already is left as it is.

        Args:
            settings: what to capture.
            confirm_within: seconds after which all is as before, unless `confirm` is called.

        Raises:
            ConfigError: the settings are wrong.
            ConflictError: another change waits to be confirmed.
            FailedError: it cannot be done, and all is as before; or the last change was not confirmed.
            UnsupportedError: the host has none of the tools.
        """
        wanted = self.wanted(settings)
        with self._alone():
            pending = self._waiting()
            state = self._placing.state()
            self._may_change(wanted, pending, confirm_within is not None)
            if self._placing.is_in_place(state, wanted):
                return Outcome(False, state, self._left(pending))
            if confirm_within is None:
                return Outcome(True, self._placing.change(state, wanted), self._left(pending))
            return self._change_for_now(state, wanted, confirm_within)

    def remove(self) -> Outcome:
        """Take away all that is ours, also what a crash has left.

        Raises:
            FailedError: something stays.
        """
        with self._alone():
            # What waits goes on waiting, or a service that starts again would bring it back for good.
            if pending := self._waiting():
                self._journal.write_pending(replace(pending, previous=None))
            state = self._journal.applied()
            return Outcome(self._placing.take_away(self._placing.state()) or state is not None, None)

    def confirm(self) -> Outcome:
        """The last change stays.

        Raises:
            FailedError: it was taken back already.
        """
        with self._alone():
            pending = self._waiting()
            if pending is None and self._journal.refused():
                message = "the change was taken back: nobody had confirmed it in time"
                raise FailedError("capture-taken-back", message, hint="apply it again with more time")
            if pending is not None:
                self._journal.write_refused(None)
                self._journal.write_pending(None)
                self._timer.disarm(pending.number)
            return Outcome(pending is not None, self._placing.state())

    def expire(self, number: str) -> None:
        """Take a change back, if it still waits: this is what the timer does.

        Raises:
            FailedError: something stays.
        """
        with self._alone():
            pending = self._journal.pending()
            if pending is not None and pending.number == number:
                self._take_back(pending)

    def check(self, settings: CaptureSettings) -> tuple[str, ...]:
        """What is not as it should be; nothing when all is.

        Raises:
            ConfigError: the settings are wrong.
        """
        with self._alone():
            wanted, state, pending = self.wanted(settings), self._placing.state(), self._journal.pending()
            found = [f"{each}, but ours is there" for each in self._placing.strays(state)]
            if pending is not None:
                found.append("the last change waits to be confirmed")
            if self._journal.refused():
                found.append("the last change was taken back, as nobody confirmed it")
            if state is None:
                return (*found, *(["nothing is captured"] if wanted.tables else []))
            if not state.complete:
                found.append("a change was broken off: apply or remove again")
            if state.digest != wanted.digest:
                found.append("settings, or this host, have changed since the rules were made: apply again")
            found += [f"{named(each)} is not as it was put there" for each in self._placing.changed(state)]
            return (*found, *(note for note in state.notes if note not in wanted.notes))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else changes anything, no program either that one who was killed had begun."""
        with self._journal.locked() as lock:
            self._tools.held.append(lock)
            try:
                yield
            finally:
                self._tools.held.remove(lock)

    def _waiting(self) -> Pending | None:
        """The change that waits to be confirmed; one whose time is over is taken back first."""
        pending = self._journal.pending()
        if pending is None:
            return None
        late = self._kernel.uptime() > pending.until + _LATE
        if late or pending.origin != self._kernel.origin():
            self._take_back(pending)
            return None
        return pending

    def _left(self, pending: Pending | None) -> float | None:
        return max(0.0, pending.until - self._kernel.uptime()) if pending else None

    def _may_change(self, wanted: Wanted, pending: Pending | None, confirmed_later: bool) -> None:
        """Nothing comes in by the back door: not over a change that waits, nor one that was taken back."""
        if pending and (confirmed_later or wanted.digest != pending.digest):
            hint = "confirm it, or wait until it is taken back"
            raise ConflictError("capture-pending", "another change waits to be confirmed", hint=hint)
        refused = self._journal.refused()
        if not refused or pending or confirmed_later or not wanted.tables:
            return
        if refused.previous is None or refused.previous.digest != wanted.digest:
            raise FailedError(
                "capture-refused",
                "the last change was taken back, as nobody confirmed it, and this is not what was before it",
                hint="apply it with --confirm-within, and confirm it over a new connection",
            )

    def _change_for_now(self, state: Applied | None, wanted: Wanted, seconds: float) -> Outcome:
        """Have other rules until they are confirmed; the timer runs before the first of them is there."""
        previous = state if state and state.complete else None
        until = self._kernel.uptime() + seconds
        number = secrets.token_hex(4)
        pending = Pending(number, wanted.digest, until, self._kernel.origin(), previous)
        self._journal.write_pending(pending)
        try:
            self._timer.arm(number, seconds)
            return Outcome(True, self._placing.change(state, wanted), self._left(pending))
        except MeshctlError:
            self._journal.write_pending(None)  # all is as before already
            self._timer.disarm(number)
            raise

    def _take_back(self, pending: Pending) -> None:
        self._journal.write_refused(pending)
        state, previous = self._placing.state(), pending.previous
        try:
            self._placing.restore(state, previous)
        except MeshctlError:
            self._placing.take_away(
                state
            )  # a host without capture can be reached, and its operator sees the error
            raise
        finally:
            self._journal.write_pending(None)
            self._timer.disarm(pending.number)
