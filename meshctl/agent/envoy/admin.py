"""Envoy's administration, at its Unix socket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.http.client import Unix, fetch
from meshctl.agent.http.wire import HttpError, Limits
from meshctl.errors import FailedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from meshctl.agent.envoy.settings import LogLevels

_LIMITS: Final = Limits(body=64 << 20)
"""A big mesh has statistics of many MiB."""
_PATIENCE: Final = 5.0
_SAFE: Final = re.compile(r"[\w.,:=&?/$^|*+()\\-]*", re.ASCII)
_VERSION: Final = re.compile(r"[0-9a-f]+/(?P<version>[0-9][\w.+-]*)/.*")


class Admin:
    """Asks Envoy how it is, and tells it what to do."""

    def __init__(self, path: Path) -> None:
        """Ask at the socket `path`, where Envoy need not listen yet."""
        self._at = Unix(path)

    async def ask(self, path: str, method: str = "GET", *, timeout: float = _PATIENCE) -> bytes:
        """Envoy's answer to a path with its query.

        Raises:
            UnreachableError: Envoy does not listen, or does not answer in time.
            FailedError: it refuses.
            ValueError: the path has characters that no path of Envoy's has.
        """
        if not _SAFE.fullmatch(path):
            raise ValueError(f"{path!r} is no path of Envoy's administration")
        try:
            answer = await fetch(self._at, method, path, timeout=timeout, limits=_LIMITS)
        except (OSError, HttpError) as error:
            said = str(error) or type(error).__name__
            raise UnreachableError("envoy-silent", f"Envoy does not answer: {said}") from error
        if answer.status != 200:
            said = answer.body[:500].decode(errors="replace").strip()
            raise FailedError("envoy-refuses", f"Envoy answers {path} with {answer.status}: {said}")
        return answer.body

    async def is_live(self) -> bool:
        """Whether Envoy has its configuration, and takes connections."""
        try:
            await self.ask("/ready", timeout=1.0)
        except (UnreachableError, FailedError):
            return False
        return True

    async def version(self) -> str:
        """Which Envoy runs, such as `1.40.0`; empty when it says it in another way.

        Raises:
            UnreachableError, FailedError: as `ask`.
        """
        said = _json(await self.ask("/server_info"))
        found = _VERSION.fullmatch(str(said.get("version", ""))) if isinstance(said, dict) else None
        return found["version"] if found else ""

    async def statistics(self, regex: str) -> dict[str, int]:
        """Counters and gauges whose names have a part that a regular expression matches.

        Raises:
            UnreachableError, FailedError: as `ask`.
        """
        found = {}
        for line in (await self.ask(f"/stats?usedonly&filter={regex}")).decode(errors="replace").splitlines():
            name, _, value = line.rpartition(": ")
            if name and value.isascii() and value.isdigit():
                found[name] = int(value)
        return found

    async def connections(self, own: Collection[int]) -> int | None:
        """How many connections clients have to the listeners of the mesh.

        Args:
            own: ports of listeners that do not count: metrics and readiness.

        Returns:
            Their number; None when Envoy keeps no such statistics, or had no connection yet.

        Raises:
            UnreachableError, FailedError: as `ask`.
        """
        name = "downstream_cx_active"
        found = {
            listener: count
            for listener, count in (await self.statistics(f"{name}$")).items()
            if listener.startswith("listener.") and ".worker_" not in listener
        }
        others = ("listener.admin.", "listener.envoy_internal_")
        ports = tuple(f"_{port}.{name}" for port in own)
        of_mesh = [
            count
            for listener, count in found.items()
            if not listener.startswith(others) and not listener.endswith(ports)
        ]
        return sum(of_mesh) if found else None

    async def drain(self) -> None:
        """Send inbound clients elsewhere, each when its call is done; Envoy goes on until it is ended.

        Raises:
            UnreachableError, FailedError: as `ask`.
        """
        await self.ask("/drain_listeners?graceful&inboundonly&skip_exit", "POST")

    async def set_levels(self, levels: LogLevels) -> None:
        """Change what Envoy logs, from now on.

        Raises:
            UnreachableError, FailedError: as `ask`; there may be no such component.
        """
        if levels.general:
            await self.ask(f"/logging?level={levels.general}", "POST")
        if levels.components:
            paths = ",".join(f"{name}:{level}" for name, level in levels.components)
            await self.ask(f"/logging?paths={paths}", "POST")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
