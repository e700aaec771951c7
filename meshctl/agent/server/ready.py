"""Whether the proxy is ready to take traffic."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from meshctl.agent.http import HttpError, Unix, fetch
from meshctl.agent.server.process import age

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATTERN: Final = (
    r"^(server\.state|listener_manager\.workers_started"
    r"|(cluster_manager\.cds|listener_manager\.lds)\.update_(success|rejected))$"
)
_STATS: Final = f"/stats?usedonly&filter={quote(_PATTERN)}"
_STAT: Final = re.compile(r"^([a-z_.]+): ([0-9]{1,20})\s*$", re.MULTILINE | re.ASCII)
_STATES: Final = {0: "LIVE", 1: "DRAINING", 2: "PRE_INITIALIZING", 3: "INITIALIZING"}
"""Of Envoy's `server.state`. Source: envoy/admin/v3/server_info.proto."""
_TIMEOUT: Final = 3.0


class Ready:
    """Asks Envoy, until it has once been ready: later it goes back only when it drains or ends.

    Attributes:
        took: seconds from the start of this process until it was ready for the first time; None before.
    """

    def __init__(self, admin: Path, *, running: Callable[[], int], synced: Callable[[], bool]) -> None:
        """Make it.

        Args:
            admin: socket of Envoy's administration.
            running: which Envoy runs, by a number of its own; 0 while none does. A new one gets ready anew.
            synced: whether DNS has the names of the mesh, or is not asked for them.
        """
        self.took: float | None = None
        self._admin = Unix(admin)
        self._running = running
        self._synced = synced
        self._ready_one = 0
        self._draining = False

    def drain(self) -> None:
        """From now on it is not ready, because it is to end."""
        self._draining = True

    async def why_not(self) -> str:
        """Why the host takes no traffic; empty when it is ready."""
        if self._draining:
            return "the proxy drains"
        reason = await self.why_not_envoy()
        if not reason and not self._synced():
            reason = "DNS has no names of the mesh yet; is istiod there?"
        if not reason and self.took is None:
            self.took = age()
        return reason

    async def why_not_envoy(self) -> str:
        """Why Envoy takes no traffic; empty when it is ready."""
        one = self._running()
        if not one:
            return "Envoy does not run"
        if one == self._ready_one:
            return ""
        reason = await self._asked()
        if not reason:
            self._ready_one = one
        return reason

    async def _asked(self) -> str:
        try:
            answer = await fetch(self._admin, "GET", _STATS, timeout=_TIMEOUT)
        except (OSError, HttpError) as error:
            return f"Envoy does not answer: {error}"
        if answer.status != 200:
            return f"Envoy answers with status {answer.status}"
        stats = {name: int(count) for name, count in _STAT.findall(answer.body.decode("latin-1"))}
        return _configuration(stats) or _state(stats)


def _configuration(stats: dict[str, int]) -> str:
    """Why Envoy has no configuration; empty when it has."""
    kinds = {"clusters": "cluster_manager.cds", "listeners": "listener_manager.lds"}
    missing = [kind for kind, prefix in kinds.items() if not stats.get(f"{prefix}.update_success")]
    if not missing:
        return ""
    if any(stats.get(f"{prefix}.update_rejected") for prefix in kinds.values()):
        return f"Envoy has rejected its configuration, and has no {' and no '.join(missing)}"
    return f"Envoy has no {' and no '.join(missing)} yet; is istiod there?"


def _state(stats: dict[str, int]) -> str:
    """Why Envoy does not work; empty when it does."""
    state = stats.get("server.state")
    if state is None:
        return "Envoy does not say its state yet"
    if state != 0:
        return f"Envoy is {_STATES.get(state, state)}"
    return "" if stats.get("listener_manager.workers_started") == 1 else "Envoy's workers have not started"
