"""What Envoy writes: its log goes into the agent's, its standard output on to the agent's."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_LOG: Final = logging.getLogger("meshctl.agent.envoy.log")
_LOG.setLevel(logging.DEBUG)  # Envoy's own level says what is written
_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_LONGEST: Final = 1 << 16
"""Bytes of a line; what is longer is several lines."""
_CHUNK: Final = 1 << 16
STDOUT: Final = 1


class LogLines:
    """Envoy's log as it comes.

    Attributes:
        complaint: the newest line that says why Envoy cannot go on; empty when none did.
    """

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.complaint = ""
        self._rest = b""

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Log all that comes until the other end is closed."""
        while chunk := await stream.read(_CHUNK):
            self.take(chunk)
        self.take(b"\n" if self._rest else b"")

    def take(self, chunk: bytes) -> None:
        """Log the lines that are whole by now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > _LONGEST:
            lines.append(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]
        for line in lines:
            if line.strip():
                self._log(line.decode(errors="replace"))

    def _log(self, line: str) -> None:
        level, component, message = _parts(line)
        if level >= logging.CRITICAL or (level < 0 and not self.complaint):
            self.complaint = message
        _LOG.log(abs(level), "%s", message, extra={"fields": {"component": component}} if component else None)


def _parts(line: str) -> tuple[int, str, str]:
    """Level, component and message; a line in another form is a warning, marked by a negative level."""
    level, component, message = [*line.split("\t", 2), "", ""][:3]
    if level not in _LEVELS or not component:
        return -logging.WARNING, "", line
    try:
        return _LEVELS[level], component, str(json.loads(f'"{message}"'))
    except ValueError:
        return _LEVELS[level], component, message


def pass_on(source: int, to: int = STDOUT) -> threading.Thread:
    """Copy what comes out of a pipe, which is then closed, to a descriptor of the agent.

    Access logs can be more than an event loop should carry: a thread of its own takes them through, unread.
    When the other end is closed, what comes is thrown away, so that Envoy never waits for it.
    """

    def copy() -> None:
        taken = True
        try:
            while chunk := os.read(source, _CHUNK):
                taken = taken and _written(to, chunk)
        except OSError:
            pass
        finally:
            os.close(source)

    thread = threading.Thread(target=copy, name="envoy-output", daemon=True)
    thread.start()
    return thread


def _written(to: int, chunk: bytes) -> bool:
    try:
        while chunk:
            chunk = chunk[os.write(to, chunk) :]
    except OSError:
        return False
    return True
