"""Checks: questions to the running world, each with the rules it may find broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from meshctl.model.finding import Finding, Level, Rule

Look: TypeAlias = Callable[[Any], Iterable[Finding]]
"""Looks at a site and gives what is not as it should be; `Any` as the model knows no doors."""


class Moment(StrEnum):
    """When a check makes sense."""

    BEFORE = "before"
    """Before an install: would it work?"""
    AFTER = "after"
    """Once there is a mesh: does it work?"""
    UPGRADE = "upgrade"
    """Before an upgrade: would it work? What must hold before an install must hold then, too."""
    FLEET = "fleet"
    """Once clusters are one fleet: do they work together? Then the site is all of them."""
    ALWAYS = "always"


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes:
        name: of the function; unique.
        look: asks it.
        rules: all that it may find broken.
        after: codes of rules that must hold before it makes sense to ask.
        settles: the state may still arrive, so that `--wait` asks again.
        moment: when it makes sense.
        seconds: how long it may take; then it counts as not answered.
    """

    name: str
    look: Look
    rules: tuple[Rule, ...]
    after: tuple[str, ...] = ()
    settles: bool = False
    moment: Moment = Moment.ALWAYS
    seconds: float = 15.0

    def fits(self, moment: Moment) -> bool:
        """Whether it is asked at a moment."""
        if moment is Moment.FLEET:
            return self.moment is moment
        also = Moment.BEFORE if moment is Moment.UPGRADE else moment
        return self.moment in (moment, also, Moment.ALWAYS)


@dataclass(frozen=True)
class Outcome:
    """What came of a check: it passed, found something, or was skipped and says why.

    `cluster` is where it was asked; of a fleet, the names of its meshes.
    """

    cluster: str
    check: str
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...] = ()
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether all rules hold."""
        return not self.findings and not self.skipped

    @property
    def level(self) -> Level | None:
        """The gravest level found; None when nothing was."""
        return max((each.rule.level for each in self.findings), key=lambda level: level.rank, default=None)

    @property
    def broken(self) -> frozenset[str]:
        """Codes of rules that do not hold, or of all when nobody can tell.

        A finding of level info breaks nothing that another check could stand on.
        """
        if self.skipped:
            return frozenset(rule.code for rule in self.rules)
        return frozenset(each.rule.code for each in self.findings if each.rule.level is not Level.INFO)


def check(
    *,
    rules: tuple[Rule, ...],
    after: tuple[str, ...] = (),
    settles: bool = False,
    moment: Moment = Moment.ALWAYS,
    seconds: float = 15.0,
) -> Callable[[Look], Check]:
    """Make a function of a site a check; see `Check` for the arguments."""

    def made(look: Look) -> Check:
        return Check(look.__name__, look, rules, after, settles, moment, seconds)

    return made
