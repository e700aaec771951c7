"""The agent as a whole: its parts, who needs whom, how they begin and how they end."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent import logs
from meshctl.agent.ads.proxy import Ads
from meshctl.agent.dns.server import Dns
from meshctl.agent.envoy.admin import Admin
from meshctl.agent.envoy.bootstrap import bootstrap, write
from meshctl.agent.envoy.process import Envoy
from meshctl.agent.health.prober import Prober
from meshctl.agent.identity.authority import Istiod
from meshctl.agent.identity.identity import Identity
from meshctl.agent.identity.store import Store
from meshctl.agent.sds import Sds
from meshctl.agent.server.metrics import Metrics
from meshctl.agent.server.ready import Ready
from meshctl.agent.server.server import StatusServer
from meshctl.agent.settings import load
from meshctl.agent.status import Door
from meshctl.agent.supervision import Part, keep_all
from meshctl.agent.version import versions
from meshctl.errors import MeshctlError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from meshctl.agent.identity.apart import Apart
    from meshctl.agent.notify import Notifier
    from meshctl.agent.places import Places
    from meshctl.agent.settings import Settings

_log: Final = logging.getLogger(__name__)

PATIENCE: Final = 60.0
"""Seconds after which the service counts as started though the proxy does not serve: no boot hangs on it."""
_SOONEST: Final = 0.02
_LATEST: Final = 2.0
"""Seconds between two looks at whether the proxy serves."""
_MARGIN: Final = 15.0
"""Seconds that ending takes at most, beside what connections are given."""


class Program:
    """All parts of a running agent.

    They begin at once, and wait for each other by what they share: Envoy asks at sockets until somebody
    answers; certificates and configuration come when istiod is reached. They end in reverse, Envoy before
    those that serve it.
    """

    def __init__(self, settings: Settings, places: Places, notifier: Notifier, keys: Apart) -> None:
        """Put the parts together; nothing runs yet.

        Raises:
            ConfigError: settings that only their part can judge are wrong.
        """
        self._settings = settings
        self._places = places
        self._notifier = notifier
        self._since = time.time()
        self._versions = versions()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._cause = "it has just begun"
        relay = places.running / "probe.sock"
        self._identity = Identity(
            settings.identity, places, Store(places.identity), Istiod(settings.identity), keys
        )
        latest = self._identity.latest
        self._sds = Sds(latest, keys, places.sds)
        self._ads = Ads(settings.ads, latest, socket=places.xds, trust=self._identity.trust)
        self._dns = Dns(settings.dns, self._ads.names)
        self._envoy = Envoy(settings, places.bootstrap, Admin(places.admin))
        self._ready = Ready(
            places.admin, running=lambda: self._envoy.state.pid or 0, synced=lambda: self._dns.synced
        )
        self._prober = Prober(
            settings.health, report=self._ads.report_health, proxy=self._ready.why_not_envoy, relay=relay
        )
        metrics = Metrics(
            settings.server,
            admin=places.admin,
            parts=self._said,
            ready=self._ready,
            version=self._versions["agent"],
        )
        self._server = StatusServer(
            settings.server,
            ready=self._ready,
            metrics=metrics,
            names=self._ads.names,
            drain=self._drain_and_stay,
            end=self._ended.set,
            relay=relay,
        )
        orders = {"log-level": self._set_levels, "drain": self._drained}
        self._door = Door(places.status, self._document, orders)
        self._parts = [
            Part("status", self._door.run),
            Part("identity", self._identity.run),
            Part("sds", self._sds.run),
            Part("ads", self._ads.run),
            Part("envoy", self._envoy.run),
            Part("dns", self._dns.run),
            Part("server", self._server.run),
            Part("health", self._prober.run),
            Part("readiness", self._tell),
            *([Part("watchdog", notifier.stay_alive)] if notifier.watchdog else []),
        ]

    async def run(self) -> None:
        """Run until a signal, or an order, ends it.

        Raises:
            ConfigError, UnsupportedError: a part can never work.
        """
        write(self._places.bootstrap, bootstrap(self._settings, self._places))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload)
        _log.info("the agent begins", extra={"fields": self._versions})
        try:
            await keep_all(self._parts, self._ended)
        finally:
            _log.info("the agent ends")

    # What systemd is told

    async def _tell(self) -> None:
        """Tell systemd whether the proxy serves, and what hinders it; for ever."""
        told, pause = None, _SOONEST
        while True:
            self._cause = await self._ready.why_not()
            if self._cause != told:
                told, pause = self._cause, _SOONEST
                self._notifier.status("ready" if not told else f"not ready: {self._why()}")
                _log.info("the proxy serves" if not told else "not ready: %s", *filter(None, [told]))
            if not told or time.time() - self._since > PATIENCE:
                self._notifier.ready()
            pause = min(pause * 1.2, _LATEST)
            await asyncio.sleep(pause)

    def _why(self) -> str:
        """Why the proxy does not serve, down to the cause as far as it is known."""
        causes = (self._cause, self._identity.error, self._ads.state.error, self._envoy.state.error)
        return "; ".join(dict.fromkeys(filter(None, causes)))

    # Ending

    def _asked_to_end(self) -> None:
        if self._draining:  # asked twice: at once
            self._ended.set()
            return
        self._draining = True
        self._begin(self._end())

    async def _end(self) -> None:
        """Take no new connections, give what is under way its time, and end."""
        envoy = self._settings.envoy
        self._notifier.stopping()
        self._notifier.status("draining")
        self._notifier.more_time(max(envoy.termination, envoy.drain_time) + envoy.stop_timeout + _MARGIN)
        self._ready.drain()
        try:
            if self._envoy.state.pid and not self._cause:
                await self._envoy.drain()
        finally:
            self._ended.set()

    def _drain_and_stay(self) -> None:
        self._ready.drain()
        self._begin(self._envoy.drain(stay=True))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Orders

    async def _drained(self, _: Mapping[str, str]) -> str:
        self._drain_and_stay()
        return "the proxy drains: it takes no new connections, and clients are asked to close theirs"

    async def _set_levels(self, levels: Mapping[str, str]) -> str:
        for part, level in levels.items():
            if part == "envoy" or part.startswith("envoy."):
                component = part.partition(".")[2]
                await self._envoy.set_log_level(f"{component}:{level}" if component else level)
            else:
                logs.set_level(level, part)
        return ", ".join(f"{part or 'the agent'} logs from {level} on" for part, level in levels.items())

    def _asked_to_reload(self) -> None:
        """Read the settings again: the log's level holds at once, all else when the service restarts."""
        try:
            found = load(self._places)
        except MeshctlError as error:
            where = f"{error.where}: " if error.where else ""
            _log.error("settings stay as they are: %s%s", where, error.message)
            return
        logs.set_level(found.log.level)
        changed = [name for name in vars(found) if getattr(found, name) != getattr(self._settings, name)]
        later = [name for name in changed if name not in ("log", "warnings")]
        if later:
            _log.warning("restart the service for changed settings of %s", ", ".join(later))
        else:
            _log.info("settings were read again")

    # What it says of itself

    def _said(self) -> dict[str, dict[str, Any]]:
        """What the parts say of themselves, as plain data."""
        return {
            "identity": self._identity.data(),
            "secrets": self._sds.data(),
            "configuration": self._ads.state.data(),
            "envoy": {**self._envoy.state.data(), "starts": self._envoy.state.starts},
            "dns": {"synced": self._dns.synced, "names": self._dns.names, **asdict(self._dns.counters)},
            "health": self._prober.data(),
        }

    async def _document(self) -> dict[str, Any]:
        self._cause = await self._ready.why_not()
        workload = self._settings.workload
        return {
            "ready": not self._cause,
            "cause": self._why() if self._cause else "",
            "since": self._since,
            "workload": {
                "name": workload.name,
                "namespace": workload.namespace,
                "addresses": list(workload.addresses),
            },
            "versions": {**self._versions, "envoy": self._envoy.state.version},
            **self._said(),
            "parts": [part.data() for part in self._parts],
        }
