"""Envoy's process: started, watched, started again when it ends, drained and ended with the agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.envoy.admin import Admin
from meshctl.agent.envoy.command import command, environment
from meshctl.agent.envoy.launch import NOT_RUN
from meshctl.agent.envoy.output import LogLines, pass_on
from meshctl.agent.envoy.settings import log_levels
from meshctl.errors import ConfigError, FailedError, UnreachableError, UnsupportedError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshctl.agent.settings import Settings

_log = logging.getLogger(__name__)

OLDEST: Final = (1, 30)
"""Release of Envoy that understands what supported releases of istiod send."""
_LOOK: Final = 1.0
"""Seconds between two looks for open connections."""
_LAST_WORDS: Final = 1.0
_LONGEST: Final = 1000
"""Characters of a complaint; Envoy's can hold a whole cluster."""
_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 1.0


@dataclass
class EnvoyState:
    """How Envoy is.

    Attributes:
        pid: of its process; None while none runs.
        version: such as `1.40.0`; empty until it has said it.
        starts: how often it was started.
        started: when it was last, as time.time() has it.
        draining: whether it has been told to send its clients elsewhere.
        error: why it ended last; empty when it never did by itself.
    """

    pid: int | None = None
    version: str = ""
    starts: int = 0
    started: float = 0.0
    draining: bool = False
    error: str = ""

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    def data(self) -> dict[str, Any]:
        """As plain data, for `status`."""
        return {
            "pid": self.pid,
            "version": self.version,
            "restarts": self.restarts,
            "started": self.started,
            "draining": self.draining,
            "error": self.error,
        }


class Envoy:
    """Envoy as long as `run` does.

    Attributes:
        admin: its administration.
        state: how it is.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: Path,
        admin: Admin,
        *,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Make one that is not started yet.

        Args:
            settings: of the agent.
            bootstrap: the file that Envoy starts with; has to be there when `run` begins.
            admin: where the bootstrap has Envoy's administration listen.
            spread: random number between two.
        """
        self.admin = admin
        self.state = EnvoyState()
        self._settings = settings
        self._bootstrap = bootstrap
        self._spread = spread
        self._levels = log_levels(settings.envoy.log_level)
        self._process: Process | None = None
        self._stays_down = False

    async def run(self) -> None:
        """Keep Envoy running until this is cancelled, and end it then.

        Raises:
            ConfigError: there is no such program.
            UnsupportedError: the program does not run on this host.
        """
        envoy, pause = self._settings.envoy, 0.0
        self._stays_down = False
        while True:
            began = time.monotonic()
            await self._run_once()
            if self._stays_down:
                await asyncio.Event().wait()  # drained to its end; who drained it cancels this
            steady = time.monotonic() - began > envoy.steady
            pause = envoy.first_wait if steady or not pause else min(pause * 2, envoy.longest_wait)
            wait = pause * self._spread(0.5, 1.0)
            _log.error("Envoy has ended, and starts again in %.1f s: %s", wait, self.state.error)
            await asyncio.sleep(wait)

    async def drain(self, *, stay: bool = False) -> None:
        """Send clients elsewhere, and give what is under way its time.

        Args:
            stay: return at once, and let Envoy go on for what is under way. Else Envoy is not started again
                when it ends, and this returns when connections had their time.
        """
        self.state.draining = True
        self._stays_down = not stay
        try:
            await self.admin.drain()
        except (UnreachableError, FailedError) as error:
            _log.warning("Envoy cannot be drained: %s", error)
            return
        if not stay:
            await self._wait_for_connections()

    async def set_log_level(self, level: str) -> None:
        """Change what Envoy logs, now and when it starts again.

        Args:
            level: as `log_levels` reads it.

        Raises:
            ConfigError: there is no such level.
            UnreachableError: Envoy does not run.
            FailedError: it knows no such component.
        """
        newer = log_levels(level)
        await self.admin.set_levels(newer)
        self._levels = self._levels.then(newer)

    async def _run_once(self) -> None:
        """Start Envoy, and return when it has ended; end it when this is cancelled."""
        self._refuse_missing()
        lines = LogLines()
        with self._stdout() as stdout:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=DEVNULL,
                stdout=stdout,
                stderr=PIPE,
                env=environment(self._settings.variables.values),
                cwd="/",
                start_new_session=True,
            )
        self._process = process
        self.state.pid, self.state.started = process.pid, time.time()
        self.state.starts += 1
        self.state.version = ""
        if process.stderr is None:  # it is piped
            raise AssertionError
        followed = asyncio.ensure_future(lines.follow(process.stderr))
        introduced = asyncio.ensure_future(self._introduce())
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await self._stop(process)
            raise
        finally:
            self._process, self.state.pid = None, None
            introduced.cancel()
            await asyncio.wait([followed], timeout=_LAST_WORDS)
            followed.cancel()
        self.state.error = _cause(status, lines.complaint)
        if status == NOT_RUN and self.state.starts == 1:
            raise UnsupportedError("envoy-not-run", lines.complaint or "Envoy cannot be run on this host")

    def _command(self) -> list[str]:
        return command(
            self._settings.envoy,
            self._bootstrap,
            levels=self._levels,
            only_ipv6=self._settings.workload.only_ipv6,
        )

    def _refuse_missing(self) -> None:
        path = self._settings.envoy.path
        if self.state.starts == 0 and not os.access(path, os.X_OK):
            raise ConfigError(
                "envoy-missing",
                f"there is no program {path}",
                hint="install the bundle, or set agent.envoy.path in proxy.json",
            )

    @contextlib.contextmanager
    def _stdout(self) -> Iterator[int]:
        """A descriptor for Envoy's standard output, closed here when it has been handed over."""
        given = _appended(self._settings.envoy.access_log)
        if given is None:
            source, given = os.pipe()
            pass_on(source)
        try:
            yield given
        finally:
            os.close(given)

    async def _introduce(self) -> None:
        """Learn which Envoy it is, once it answers."""
        pause = _FIRST_LOOK
        while not self.state.version:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_LOOK)
            with contextlib.suppress(UnreachableError, FailedError):
                self.state.version = await self.admin.version() or "unknown"
        _log.info("Envoy %s runs, process %s", self.state.version, self.state.pid)
        if is_too_old(self.state.version):
            oldest = ".".join(map(str, OLDEST))
            _log.error("Envoy %s is too old for istiod; %s is the oldest", self.state.version, oldest)

    async def _wait_for_connections(self) -> None:
        envoy = self._settings.envoy
        process = self._process
        if process is None:
            return
        longest = envoy.drain_time if envoy.wait_for_connections else envoy.termination
        ended = asyncio.ensure_future(self._idle() if envoy.wait_for_connections else asyncio.Event().wait())
        gone = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait([ended, gone], timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            gone.cancel()

    async def _idle(self) -> bool:
        """Return when no client is connected any more, or Envoy cannot say it."""
        envoy = self._settings.envoy
        own = {
            envoy.prometheus_port,
            envoy.ready_port,
            envoy.secure_metrics_port,
            envoy.secure_merged_metrics_port,
        }
        await asyncio.sleep(envoy.minimum_drain)
        try:
            while await self.admin.connections(own):
                await asyncio.sleep(_LOOK)
        except (UnreachableError, FailedError) as error:
            _log.warning("Envoy does not say how many connections it has: %s", error)
        return True

    async def _stop(self, process: Process) -> None:
        """Ask a process to end, and kill it when it does not in time."""
        _signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), self._settings.envoy.stop_timeout)
        except BaseException as error:
            _signal(process, signal.SIGKILL)
            if not isinstance(error, asyncio.TimeoutError):
                raise
            _log.warning("Envoy did not end in %.0f s, and was killed", self._settings.envoy.stop_timeout)
            await process.wait()


def is_too_old(version: str) -> bool:
    """Whether istiod's configuration is more than this Envoy understands; an unknown version is not."""
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        return False
    return (int(parts[0]), int(parts[1])) < OLDEST


def _appended(path: str) -> int | None:
    """A file that is written to at its end; None without a path, and when it cannot be written."""
    if not path:
        return None
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        _log.error("access logs go to standard output: %s cannot be written: %s", path, error.strerror)
        return None


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _cause(status: int, complaint: str) -> str:
    """Why a process ended."""
    if status >= 0:
        said = f"it ended with status {status}"
    else:
        names = {each.value: each.name for each in signal.Signals}
        said = f"it was ended by {names.get(-status, f'signal {-status}')}"
        if status == -signal.SIGKILL:
            said += ", perhaps for want of memory"
    complaint = " ".join(complaint.split())[:_LONGEST]
    return f"{said}: {complaint}" if complaint else said
