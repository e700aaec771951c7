"""Clocks of the clusters of a fleet agree, so that certificates and tokens are valid everywhere at once."""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING, Final

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.finding import Finding
    from meshctl.model.verification import FleetSeen

FAR: Final = 60.0
"""Seconds from which on new certificates and tokens may be refused: they are dated back by so much."""
NEAR: Final = 5.0

CLOCKS = Rule(
    code="fleet-clocks-agree",
    level=Level.ERROR,
    summary=f"Clocks of the clusters are less than {FAR:.0f} s apart.",
    hint="see time synchronisation (NTP) on the nodes",
)
CLOSE = Rule(
    code="fleet-clocks-close",
    level=Level.WARNING,
    summary=f"Clocks of the clusters are less than {NEAR:.0f} s apart.",
    hint="see time synchronisation (NTP) on the nodes",
)


@check(rules=(CLOCKS, CLOSE), moment=Moment.FLEET)
def fleet_clocks(site: FleetSeen) -> Iterator[Finding]:
    """Compare each API server with the one in the middle, and each node with its API server."""
    known = {each.name: each for each in site.seen if each.ahead is not None}
    middle = median_low([each.ahead or 0.0 for each in known.values()]) if known else 0.0
    for each in known.values():
        apart = (each.ahead or 0.0) - middle
        certain = max(0.0, abs(apart) - each.blur)
        if rule := _rule(certain):
            yield rule.at(each.subject, f"its API server's clock is {_words(apart)} the others'")
    for each in site.seen:
        for node, seconds in each.nodes_ahead.items():
            if rule := _rule(max(0.0, abs(seconds) - 1.0)):
                yield rule.at(each.subject, f"the clock of node {node} is {_words(seconds)} its API server's")


def _rule(seconds: float) -> Rule | None:
    return CLOCKS if seconds >= FAR else CLOSE if seconds >= NEAR else None


def _words(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
