"""Putting tables in place and taking them away: all of them or none, and what is not ours stays as it was."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Protocol

from meshctl.agent.capture import flavours
from meshctl.agent.capture.applied import Applied, Journal, Placed, digest
from meshctl.agent.capture.tools import Tools
from meshctl.errors import FailedError, MeshctlError, UnsupportedError

if TYPE_CHECKING:
    from meshctl.agent.capture.flavours import Flavour
    from meshctl.agent.capture.kernel import Ruleset
    from meshctl.agent.capture.options import Address

_PASSTHROUGH: Final = "::6"
"""From where Envoy brings IPv6 to the application; of IPv4, all of 127.0.0.0/8 is there already."""


class Kernel(Protocol):
    """What is asked of the kernel; see the module `kernel`."""

    def origin(self) -> str:
        """Which boot and network namespace this is."""

    def uptime(self) -> float:
        """Seconds since the boot."""

    def ruleset(self) -> Ruleset:
        """What nftables has."""

    def delete_idle(self, tables: Collection[str], before: Collection[str]) -> None:
        """Delete what iptables has made and nobody uses."""

    def addresses(self) -> tuple[tuple[int, Address], ...]:
        """The host's addresses."""

    def add_to_loopback(self, address: Address) -> bool:
        """Give `lo` an address."""

    def remove_from_loopback(self, address: Address) -> bool:
        """Take it away."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rules to have.

    Attributes:
        flavour: by which tool; None for no rules.
        tables: in its language.
        notes: what an operator should know.
        needs_ipv6: without IPv6, nothing is to be captured either.
    """

    flavour: Flavour | None = None
    tables: tuple[Placed, ...] = ()
    notes: tuple[str, ...] = ()
    needs_ipv6: bool = False

    @property
    def digest(self) -> str:
        """The same for the same rules; empty for none."""
        return digest(self.flavour.name, self.tables) if self.flavour else ""


class Placing:
    """The tables of a host; whoever calls it holds the journal's lock."""

    def __init__(self, journal: Journal, tools: Tools, kernel: Kernel) -> None:
        """Take what it works on; nothing is done yet."""
        self._journal = journal
        self._tools = tools
        self._kernel = kernel

    def state(self) -> Applied | None:
        """What is applied, if it is of this boot."""
        state = self._journal.applied()
        return state if state and state.origin == self._kernel.origin() else None

    def is_in_place(self, state: Applied | None, wanted: Wanted) -> bool:
        """Whether there is nothing to do."""
        if state is None:
            return not wanted.tables and not flavours.with_ours(self._tools, self._kernel.ruleset())
        whole = len(state.tables) == len(wanted.tables)
        if not (state.complete and whole and state.digest == wanted.digest):
            return False
        return not self.changed(state) and not self.strays(state)

    def changed(self, state: Applied) -> list[Placed]:
        """Tables that are no longer as they were put there."""
        flavour = flavours.flavours(self._tools)[state.flavour]
        there = flavour.listed()
        return [each for each in state.tables if there.get(each.place) != each.listed]

    def strays(self, state: Applied | None) -> list[str]:
        """Tools by which something of ours is there that is none of what is applied."""
        mine = state.flavour if state else ""
        there = flavours.with_ours(self._tools, self._kernel.ruleset())
        return [f"{each.name} is not in use" for each in there if each.name != mine]

    def change(self, state: Applied | None, wanted: Wanted, known: str = "") -> Applied | None:
        """Have other rules; what fails half-way is undone."""
        if wanted.flavour is None:
            self.take_away(state)
            return None
        original = state
        if state and state.flavour != wanted.flavour.name:
            self.take_away(state)
            state = None
        applied = Applied(
            wanted.flavour.name,
            known or wanted.digest,
            wanted.tables,
            before=state.before if state else self._kernel.ruleset().names(),
            loopback=self._loopback(state, wanted),
            origin=self._kernel.origin(),
            notes=wanted.notes,
        )
        self._journal.write_applied(applied)
        try:
            done = self._put(wanted, applied)
        except BaseException as error:
            self._undo(original, error)
            raise
        self._journal.write_applied(done)
        return done

    def restore(self, state: Applied | None, previous: Applied | None) -> None:
        """Have what was there once, or nothing, also when the host has started again since."""
        if previous is None or previous.origin != self._kernel.origin():
            self.take_away(state)
            return
        flavour = flavours.flavours(self._tools)[previous.flavour]
        self.change(state, Wanted(flavour, previous.tables, previous.notes, True), previous.digest)

    def take_away(self, state: Applied | None) -> bool:
        """Take away all that is ours, whoever has put it there; whether there was any."""
        there = flavours.with_ours(self._tools, self._kernel.ruleset())
        for each in there:
            _sweep(each)
        if state and state.flavour == "iptables-nft":
            self._kernel.delete_idle(flavours.KERNEL_TABLES, state.before)
        for text in state.loopback if state else ():
            self._kernel.remove_from_loopback(ip_address(text))
        if left := flavours.with_ours(self._tools, self._kernel.ruleset()):
            names = ", ".join(each.name for each in left)
            raise FailedError("capture-stays", f"rules of ours stay in {names}", hint="see what names them")
        self._journal.write_applied(None)
        return bool(there)

    def _loopback(self, state: Applied | None, wanted: Wanted) -> tuple[str, ...]:
        """Addresses of `lo` that are ours to take away: not those that were there before us."""
        if state and state.loopback:
            return state.loopback
        there = ip_address(_PASSTHROUGH) in (address for _, address in self._kernel.addresses())
        needed = any(each.family == 6 for each in wanted.tables)
        return (_PASSTHROUGH,) if needed and not there else ()

    def _put(self, wanted: Wanted, applied: Applied) -> Applied:
        """Put tables in place, those apart that this host cannot have and that are not essential."""
        assert wanted.flavour
        flavour, notes, lacking = wanted.flavour, list(applied.notes), set()
        placed: list[Placed] = []
        for each in flavours.with_ours(self._tools, self._kernel.ruleset()):
            if each.name != flavour.name:
                _sweep(each)
        there = flavour.listed()
        for table in wanted.tables:
            if table.family in lacking:
                continue
            try:
                if table.family == 6:
                    self._kernel.add_to_loopback(ip_address(_PASSTHROUGH))
                flavour.replace(table.family, table.table, table.lines, there.get(table.place, ()))
            except (FailedError, UnsupportedError) as error:
                essential = table.table == "nat" or isinstance(error, UnsupportedError)
                if essential and (table.family == 4 or wanted.needs_ipv6):
                    raise
                if essential:
                    lacking.add(6)
                notes.append(_lack(table, error, "nat" if essential else table.table))
                continue
            placed.append(table)
        placed = [each for each in placed if each.family not in lacking]
        there = _sweep(flavour, except_for={each.place for each in placed})
        placed = [replace(each, listed=there.get(each.place, ())) for each in placed]
        if applied.loopback and not any(each.family == 6 for each in placed):
            self._kernel.remove_from_loopback(ip_address(_PASSTHROUGH))
            applied = replace(applied, loopback=())
        return replace(applied, tables=tuple(placed), notes=tuple(notes), complete=True)

    def _undo(self, original: Applied | None, cause: BaseException) -> None:
        """Have what was there before a change that failed.

        Raises:
            FailedError: that fails, too.
        """
        try:
            if original and original.complete:
                self._put_back(original)
            else:
                self.take_away(self.state())
        except MeshctlError as error:
            said = [str(cause), *getattr(cause, "details", ()), error.message, *error.details]
            message = "a change failed and could not be undone: capture remove cleans up"
            raise FailedError("capture-half-done", message, details=said) from cause

    def _put_back(self, original: Applied) -> None:
        flavour = flavours.flavours(self._tools)[original.flavour]
        for each in flavours.with_ours(self._tools, self._kernel.ruleset()):
            if each.name != flavour.name:
                _sweep(each)
        for text in original.loopback:
            self._kernel.add_to_loopback(ip_address(text))
        there = flavour.listed()
        for table in self.changed(original):
            flavour.replace(table.family, table.table, table.lines, there.get(table.place, ()))
        _sweep(flavour, except_for={each.place for each in original.tables})
        self._journal.write_applied(original)


def _sweep(
    flavour: Flavour, except_for: Collection[tuple[int, str]] = ()
) -> dict[tuple[int, str], tuple[str, ...]]:
    """Take away what a tool has put there, what redirects first; what there was."""
    there = flavour.listed()
    for table in flavours.KERNEL_TABLES:
        for place in [each for each in there if each[1] == table and each not in except_for]:
            flavour.replace(*place, (), there[place])
    return there


def named(table: Placed) -> str:
    """A table as people call it."""
    return f"the table {table.table} of IPv{table.family}"


def _lack(table: Placed, error: MeshctlError, lacking: str) -> str:
    """What an operator should know when a host cannot have a table."""
    consequence = {
        "nat": "IPv6 is not captured",
        "raw": "questions to DNS are captured without tracking them apart, and now and then one is lost",
        "mangle": "packets that fit no connection are not dropped",
    }
    why = "; ".join((error.message, *error.details[:2]))
    return f"{consequence[lacking]}: this host cannot have {named(table)} ({why})"
