"""Istio's versions may follow each other, and upstream supports the one to come."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.upgrade_path import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.upgrade_path import UpgradePath

PATH_SUPPORTED = Rule(
    code="upgrade-path-supported",
    level=Level.ERROR,
    summary="The Istio to come may follow the one that runs.",
    hint="go by way of a minor between: `meshctl upgrade --to MINOR`",
)
NO_MINOR_SKIPPED = Rule(
    code="upgrade-skips-no-minor",
    level=Level.WARNING,
    summary="No minor of Istio is skipped where the new control plane serves the old one's proxies.",
    hint="go by way of the minor between, or have the new control plane beside the old: --strategy canary",
)
TARGET_SUPPORTED = Rule(
    code="target-supported",
    level=Level.WARNING,
    summary="Upstream supports the Istio to come.",
    hint="choose a newer one with --to",
)
_SOON = timedelta(days=30)


@check(rules=(PATH_SUPPORTED, NO_MINOR_SKIPPED), after=("kube-reachable",), moment=Moment.UPGRADE)
def versions_follow(site: Site) -> Iterator[Finding]:
    """Hold the way against what the version data says of it."""
    path = site.path
    if path is None:
        return
    subject = f"Istio {path.source} to {path.target.full}"
    before, after = numbers(path.source), numbers(path.target.full)
    allowed = {numbers(each) for each in path.target.upgrades_from} | {after}
    if before > after:
        yield PATH_SUPPORTED.at(subject, "the one to come is older than the one that runs")
    elif before not in allowed:
        known = ", ".join(path.target.upgrades_from)
        yield PATH_SUPPORTED.at(subject, f"Istio {path.target.minor} may follow {known}")
    elif _skips(path):
        yield NO_MINOR_SKIPPED.at(subject, "a control plane in place of another serves its proxies too")


@check(rules=(TARGET_SUPPORTED,), after=("kube-reachable",), moment=Moment.UPGRADE)
def target_is_supported(site: Site) -> Iterator[Finding]:
    """Hold the end of support against the day."""
    end = site.path.supported_until.get(site.path.target.minor) if site.path else None
    if site.path is None or end is None:
        return
    subject = f"Istio {site.path.target.minor}"
    if end < site.path.today:
        yield TARGET_SUPPORTED.at(subject, f"its support has ended, on {end}")
    elif end < site.path.today + _SOON:
        yield TARGET_SUPPORTED.at(subject, f"its support ends on {end}")


def _skips(path: UpgradePath) -> bool:
    before, after = numbers(path.source), numbers(path.target.full)
    return not path.is_beside and after[0] == before[0] and after[1] - before[1] > 1
