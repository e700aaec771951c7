"""Health by how a command ends."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

from meshctl.agent.health.settings import Exec
from meshctl.agent.http import within

_PRIVATE: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY")
"""Variables by which the service talks to systemd, which is not for others."""
_FAREWELL: Final = 1.0
"""Seconds to wait for the end of a command that was killed; one that the kernel holds does not hold us."""


async def failure(check: Exec, timeout: float) -> str:
    """Run a command with no input; why it is not healthy, or empty when the command ends with 0.

    It has a process group of its own, so that in the end it goes with all that it started.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it does not end in time; it has been killed.
    """
    process = await asyncio.create_subprocess_exec(
        *check.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: said for name, said in os.environ.items() if name not in _PRIVATE},
        start_new_session=True,
    )
    try:
        code = await within(asyncio.shield(process.wait()), timeout)
    finally:
        if process.returncode is None:
            await _killed(process)
    return "" if code == 0 else f"the command ended with {_named(code)}"


async def _killed(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        await within(process.wait(), _FAREWELL)


def _named(code: int) -> str:
    if code >= 0:
        return f"status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
