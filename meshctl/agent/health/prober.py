"""Probes the workload again and again, and tells when its health has changed."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.health.probes import failure
from meshctl.agent.latest import Latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from meshctl.agent.health.settings import HealthSettings

_LOG: Final = logging.getLogger(__name__)
_LONGEST: Final = 500
"""Characters of a message; it ends up in the status of a WorkloadEntry."""


@dataclass(frozen=True)
class Health:
    """What is known of the workload's health.

    Attributes:
        healthy: None until it is known.
        message: why it is not healthy.
        successes: probes in a row that found it healthy, up to the last one.
        failures: probes in a row that did not, up to the last one.
    """

    healthy: bool | None = None
    message: str = ""
    successes: int = 0
    failures: int = 0


def judged(health: Health, reason: str, settings: HealthSettings) -> Health:
    """What is known after another probe, which failed for a `reason`, or did not when that is empty."""
    if reason:
        failures = health.failures + 1
        if health.healthy is not False and failures >= settings.failures:
            return Health(healthy=False, message=reason, failures=failures)
        return replace(health, successes=0, failures=failures)
    successes = health.successes + 1
    if health.healthy is not True and successes >= settings.successes:
        return Health(healthy=True, successes=successes)
    return replace(health, successes=successes, failures=0)


class Prober:
    """Watches the workload's health."""

    def __init__(
        self,
        settings: HealthSettings,
        *,
        report: Callable[[bool, str], Awaitable[None]],
        proxy: Callable[[], Awaitable[str]],
        relay: Path,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it; nothing is probed yet.

        Args:
            settings: what, and how often.
            report: tells istiod whether the workload is healthy, and why not.
            proxy: why Envoy takes no traffic, which makes the workload unhealthy as well; empty when it does.
            relay: path that names of Unix sockets may begin with, for gRPC.
            sleep: waits for seconds.
            clock: seconds that only grow.
        """
        self.latest: Latest[Health] = Latest(Health())
        self._settings = settings
        self._report = report
        self._proxy = proxy
        self._relay = relay
        self._sleep = sleep
        self._clock = clock

    async def run(self) -> None:
        """Probe until cancelled; without a probe there is nothing to do, and nothing is reported."""
        if self._settings.check is None:
            await asyncio.Event().wait()
        await self._sleep(self._settings.delay)
        due = self._clock()
        while True:
            await self._once()
            due = max(due + self._settings.period, self._clock())
            await self._sleep(due - self._clock())

    def data(self) -> dict[str, Any]:
        """As plain data, for `status`."""
        known = self.latest.value
        return {
            "probe": type(self._settings.check).__name__ if self._settings.check else "",
            "healthy": known.healthy,
            "message": known.message,
        }

    async def _once(self) -> None:
        before = self.latest.value
        reason = (await self._reason())[:_LONGEST]
        after = judged(before, reason, self._settings)
        self.latest.set(after)
        if reason:
            _LOG.debug("the probe failed: %s", reason)
        if after.healthy is None or after.healthy == before.healthy:
            return
        if after.healthy:
            _LOG.info("the workload is healthy")
        else:
            _LOG.warning("the workload is not healthy: %s", reason)
        await self._report(after.healthy, after.message)

    async def _reason(self) -> str:
        assert self._settings.check is not None
        reason = await self._proxy()
        if reason:
            return reason
        return await failure(self._settings.check, self._settings.host, self._settings.timeout, self._relay)
