"""What systemd is told of this service: that it is ready, how it is, that it lives. Source: sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from meshctl.agent.logs import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_STATUS: Final = 1000


class Notifier:
    """The way to systemd; where there is none, what is said goes nowhere.

    Attributes:
        watchdog: seconds within which systemd wants a sign of life; 0 where it wants none.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Find the way as systemd has said it.

        Args:
            environment: of this process: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
        """
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environment)

    def ready(self) -> None:
        """The service does what it is there for."""
        self._say("READY=1")

    def stopping(self) -> None:
        """The service has begun to end."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """A sentence that `systemctl status` shows."""
        self._say("STATUS=" + " ".join(redacted(text).split())[:_LONGEST_STATUS])

    def more_time(self, seconds: float) -> None:
        """Starting or stopping goes on, and takes no longer than this from now on."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    async def stay_alive(self) -> None:
        """Give signs of life from the event loop, which has to be free for that; for ever."""
        while self.watchdog:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 3)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
                door.setblocking(False)
                door.sendto(text.encode(errors="replace"), self._address)
        except OSError:
            pass  # systemd restarts, or is busy; the next sign will do


def _address(said: str) -> str:
    """`@` stands for the byte 0 of an abstract name; other families are of no use on a host."""
    if said.startswith("@"):
        return "\0" + said[1:]
    return said if said.startswith("/") else ""


def _watchdog(environment: Mapping[str, str]) -> float:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    said = environment.get("WATCHDOG_USEC", "")
    return int(said) / 1e6 if said.isascii() and said.isdigit() else 0.0
