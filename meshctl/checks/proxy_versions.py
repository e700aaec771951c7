"""Proxies are not too old for the control plane to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.upgrade_path import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.proxy import Seat

PROXIES_SERVED = Rule(
    code="proxies-served",
    level=Level.ERROR,
    summary="No proxy is older than all that the Istio to come was tested with.",
    hint="restart these workloads first, so that they get proxies of the Istio that runs",
)
PROXIES_NEAR = Rule(
    code="proxies-near",
    level=Level.WARNING,
    summary="No proxy is newer than the control plane that serves it, or older by more than a minor.",
    hint="restart these workloads right after the upgrade, or move them by --strategy canary",
)
_SHOWN = 3


@check(rules=(PROXIES_SERVED, PROXIES_NEAR), after=("kube-reachable",), moment=Moment.UPGRADE)
def proxy_versions(site: Site) -> Iterator[Finding]:
    """Compare the tags of proxies' images, where those are versions."""
    if site.path is None:
        return
    target = site.path.target
    tested = min((numbers(each) for each in target.upgrades_from), default=(0, 0))
    oldest = numbers(target.oldest_proxy) if target.oldest_proxy else (0, 0)
    for minor, seats in sorted(_by_minor(site.seats).items()):
        name = f"Istio {minor[0]}.{minor[1]}"
        if minor < tested:
            yield PROXIES_SERVED.at(
                _few(seats), f"of {name}, and Istio {target.minor} is tested with newer ones"
            )
        elif site.path.is_beside:
            continue  # the old control plane goes on serving them until they are moved
        elif minor < oldest:
            least = target.oldest_proxy
            yield PROXIES_NEAR.at(_few(seats), f"of {name}, and Istio {target.minor} serves {least} or newer")
        elif minor > numbers(target.full):
            yield PROXIES_NEAR.at(_few(seats), f"of {name}, which is newer than Istio {target.minor}")


def _by_minor(seats: Sequence[Seat]) -> dict[tuple[int, int], list[Seat]]:
    found: dict[tuple[int, int], list[Seat]] = {}
    for seat in seats:
        try:
            found.setdefault(numbers(seat.version), []).append(seat)
        except ValueError:
            continue  # an image of the user's own, or one named by its digest
    return found


def _few(seats: Sequence[Seat]) -> str:
    names = [f"{each.namespace}/{each.name}" for each in seats]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"proxies of {', '.join(names[:_SHOWN])}{more}"
