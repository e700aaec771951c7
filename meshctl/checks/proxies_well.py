"""Proxies are well before they are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

PROXIES_WELL = Rule(
    code="proxies-well",
    level=Level.WARNING,
    summary="Every pod with a proxy runs, and its proxy takes its configuration.",
    hint="mend it first: its workload would not pass the gate, and be moved back",
)


@check(rules=(PROXIES_WELL,), after=("kube-reachable",), settles=True, moment=Moment.UPGRADE)
def proxies_are_well(site: Site) -> Iterator[Finding]:
    """Read what keeps pods from running, and what their proxies rejected."""
    for seat in site.seats:
        if seat.trouble and not seat.is_leaving:
            yield PROXIES_WELL.at(f"proxy of {seat.namespace}/{seat.name}", seat.trouble)
