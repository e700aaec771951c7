"""Metrics of this host in one text: Envoy's, the agent's own, and those of applications."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.health.settings import SOURCES
from meshctl.agent.http import HttpError, Limits, Tcp, Unix, exchange, fetch, value
from meshctl.agent.server import own
from meshctl.agent.server.families import Families
from meshctl.agent.server.merging import Merged, OddMetricsError
from meshctl.agent.server.process import usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

    from meshctl.agent.http import Headers, Request
    from meshctl.agent.server.ready import Ready
    from meshctl.agent.server.settings import Scrape, ServerSettings

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT: Final = "x-prometheus-scrape-timeout-seconds"
_LONGEST: Final = 300.0
_APPLICATIONS: Final = 0.5
_ENVOY: Final = 0.9
"""Parts of the scraper's time that applications, and Envoy, may take: who hangs keeps nobody else back."""
_MOST_OF_ENVOY: Final = 1 << 30
"""Bytes; they pass through, and are not kept."""
_TEXT: Final = "text/plain;version=0.0.4"
_OPEN_METRICS: Final = "application/openmetrics-text"


class Metrics:
    """Asks everybody for their metrics, and merges them.

    Attributes:
        scrapes: what came of it so far.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        admin: Path,
        parts: Callable[[], Mapping[str, Mapping[str, Any]]],
        ready: Ready,
        version: str,
    ) -> None:
        """Make it.

        Args:
            settings: whom to ask.
            admin: socket of Envoy's administration.
            parts: what the parts of the agent say of themselves; see `own.Moment`.
            ready: when it was.
            version: of meshctl.
        """
        self.scrapes = own.Scrapes()
        self._settings = settings
        self._applications = settings.scrapes()
        self._admin = Unix(admin)
        self._parts = parts
        self._ready = ready
        self._version = version
        self._troubles: dict[str, str] = {}  # what was wrong last time, by whose metrics they are

    async def pieces(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The text, as it comes; what cannot be had is left out, counted and logged."""
        self.scrapes.total += 1
        timeout = self._timeout(request)
        ends = time.monotonic() + timeout * _ENVOY
        held = await self._held(request, timeout)
        merged = Merged(held)
        if self._settings.envoy_metrics:
            try:
                async with exchange(
                    self._admin,
                    "GET",
                    f"/stats/prometheus{f'?{request.query}' if request.query else ''}",
                    timeout=ends - time.monotonic(),
                    headers=(("Accept", _TEXT),),
                    limits=Limits(body=_MOST_OF_ENVOY),
                ) as reply:
                    _check(reply.status, "")
                    async for piece in merged.pieces(reply.pieces()):
                        yield piece
                self._fine("Envoy")
            except (OSError, HttpError, OddMetricsError) as error:
                self._failed("envoy", "Envoy", error)
        yield merged.rest()
        if held.clashes:
            self._tell(
                "applications",
                f"left out, as others have the names: {b', '.join(sorted(held.clashes)).decode()}",
            )

    async def _held(self, request: Request, timeout: float) -> Families:
        """The agent's own metrics, and those of applications."""
        said = _forwarded(request.headers)
        calls = (self._application(scrape, said, timeout * _APPLICATIONS) for scrape in self._applications)
        texts = await asyncio.gather(*calls)
        held = Families()
        await held.read(own.text(self._moment()))
        for scrape, text, open_metrics in filter(None, texts):
            if odd := await held.read(text, open_metrics=open_metrics):
                self._tell(f"lines of {scrape}", f"{odd} are no metrics")
        return held

    def _moment(self) -> own.Moment:
        return own.Moment(time.time(), self._parts(), usage(), self.scrapes, self._version, self._ready.took)

    async def _application(
        self, scrape: Scrape, headers: Headers, timeout: float
    ) -> tuple[Scrape, bytes, bool] | None:
        """The text of an application's metrics, and whether it is OpenMetrics; None when it cannot be had."""
        try:
            answer = await fetch(
                Tcp(scrape.host, scrape.port, sources=SOURCES),
                "GET",
                scrape.path,
                timeout=timeout,
                headers=headers,
                limits=Limits(body=self._settings.application_bytes),
            )
            kind = value(answer.headers, "content-type").partition(";")[0].strip().lower()
            _check(answer.status, kind)
        except (OSError, HttpError, OddMetricsError) as error:
            self._failed("application", str(scrape), error)
            return None
        self._fine(str(scrape))
        return scrape, answer.body, kind == _OPEN_METRICS

    def _failed(self, whose: str, name: str, error: Exception) -> None:
        self.scrapes.failures[whose] += 1
        self._tell(name, f"no metrics: {str(error) or type(error).__name__}")

    def _tell(self, name: str, trouble: str) -> None:
        """Log what is wrong with one source, when it is not what was wrong with it last time."""
        if self._troubles.get(name) != trouble:
            _LOG.warning("%s: %s", name, trouble)
        self._troubles[name] = trouble

    def _fine(self, name: str) -> None:
        if self._troubles.pop(name, ""):
            _LOG.info("%s has metrics again", name)

    def _timeout(self, request: Request) -> float:
        """Seconds that the scraper waits."""
        try:
            said = float(value(request.headers, _TIMEOUT) or self._settings.scrape_timeout)
        except ValueError:
            said = math.nan
        return said if 0 < said <= _LONGEST else min(self._settings.scrape_timeout, _LONGEST)


def _check(status: int, kind: str) -> None:
    if status != 200:
        raise OddMetricsError(f"the status is {status}")
    if kind and not kind.startswith("text/") and kind != _OPEN_METRICS:
        raise OddMetricsError(f"{kind} is no text of metrics")


def _forwarded(headers: Headers) -> Headers:
    """Headers for an application, as though the scraper had asked it."""
    told = tuple((name, said) for name, said in headers if name.lower() in ("user-agent", _TIMEOUT))
    return (("Accept", _TEXT), *told)
