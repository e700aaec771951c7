"""When a certificate is asked for: plain reckoning, without a clock.

Moments are epoch seconds of this host's clock, spans are seconds. Hosts differ by chance: `chance` is a
number from 0 up to, and without, 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshctl.agent.identity.settings import IdentitySettings

_PARTS: Final = 30
"""A try and the wait after it take up to this part of a life each, so that a short life has tries enough."""
_SHORTEST: Final = 1.0


def life(begins: float, ends: float, since: float) -> tuple[float, float]:
    """From when to when a certificate's life is counted here.

    An authority may date a certificate back, which makes a short life look nearly over. So it is counted from
    when it came (`since`), unless this host's clock says that it came when it was not valid.
    """
    return (since if begins <= since < ends else begins), ends


def wait(settings: IdentitySettings, span: tuple[float, float], now: float, chance: float) -> float:
    """Seconds until a certificate is to be renewed.

    That is after `ratio` of its life, and up to `jitter` of it earlier: never later, so that as much time as
    was asked for is left when the authority is away. When that moment has passed, as the host was off, hosts
    that start together still spread: over `jitter` of what is left.
    """
    begins, ends = span
    due = begins + (ends - begins) * max(0.0, settings.ratio - settings.jitter * chance)
    if now < due:
        return due - max(now, begins)
    return max(0.0, ends - now) * settings.jitter * chance


def pause(settings: IdentitySettings, failures: int, span: float, chance: float) -> float:
    """Seconds until the next try, after so many failures in a row: any up to a limit that doubles with each.

    Args:
        settings: with the first limit and the largest.
        failures: 1 or more.
        span: of the certificate in hand; 0 when none is valid.
        chance: of this host.
    """
    most = min(settings.longest_wait, max(_SHORTEST, span / _PARTS)) if span > 0 else settings.longest_wait
    return min(most, settings.first_wait * 2.0 ** min(failures - 1, 30)) * chance


def patience(settings: IdentitySettings, span: float) -> float:
    """Seconds that one request may take; `span` is the life of the certificate in hand, 0 without one."""
    return min(settings.timeout, max(_SHORTEST, span / _PARTS)) if span > 0 else settings.timeout
