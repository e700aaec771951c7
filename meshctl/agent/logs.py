"""Logs: a line an event on standard error, as JSON or as text, without secrets.

The rooms of the agent log by the standard library: `logging.getLogger(__name__)`. What belongs to a line
beside its message is given as `extra={"fields": {...}}`. All that a line holds goes through `redacted`, so
that no room has to think of it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = "meshctl.agent"
"""Logger of the whole program; a room's is below it."""
LEVELS: Final = ("debug", "info", "warning", "error")
LONGEST: Final = 8192
"""Characters of a message that are written; Envoy's rejections can hold a whole listener."""

_SECRETS: Final = re.compile(
    r"-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{6,}\.[\w-]{2,}(?:\.[\w-]*)?"  # a JSON Web Token begins with base64 of `{"`
    r"|(?P<before>\bauthorization[\"']?\s*[:=,]\s*[\"']?(?:bearer\s|basic\s|)\s*)[\w.~+/=-]+"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}",
    re.DOTALL | re.IGNORECASE,
)
_HIDDEN: Final = "[hidden]"
_PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""As syslog(3) counts them; the journal takes them off the line's beginning. Source: sd-daemon(3)."""


def redacted(text: str) -> str:
    """The text, without private keys, tokens and credentials of HTTP headers."""
    return _SECRETS.sub(lambda found: (found["before"] or found["scheme"] or "") + _HIDDEN, text)


class Lines(logging.Formatter):
    """Makes one line of a record, whatever is in it."""

    def __init__(self, *, as_json: bool, with_priority: bool) -> None:
        """Choose the shape; `with_priority` begins lines with what the journal reads as their priority."""
        super().__init__()
        self._as_json = as_json
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = self._json(record) if self._as_json else self._text(record)
        return f"<{_PRIORITIES.get(record.levelname, 6)}>{line}" if self._with_priority else line

    def _json(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _instant(record.created),
            "level": record.levelname.lower(),
            "part": _part(record.name),
            "message": self._message(record),
            **_fields(record),
        }
        return json.dumps(_without_secrets(fields))

    def _text(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{record.levelname.lower():<7} {_part(record.name)}: {self._message(record)}{fields}"
        return _one_line(redacted(f"{_instant(record.created)} {line}"))

    def _message(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if record.exc_info:
            said = f"{said}\n{self.formatException(record.exc_info)}"
        said = redacted(said)  # before it is cut, lest half a secret is not known as one
        return said if len(said) <= LONGEST else f"{said[:LONGEST]}… ({len(said)} characters)"


def start(level: str = "info", form: str = "json", stream: TextIO | None = None) -> None:
    """Log the agent's lines, and other libraries' warnings, to `stream` or standard error.

    Args:
        level: from which on, one of `LEVELS`.
        form: of a line: `json`, or `text` for people.
        stream: in place of standard error.

    Raises:
        ConfigError: no such level.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(Lines(as_json=form == "json", with_priority=_is_journal(target)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)
    logging.raiseExceptions = False  # a full disk or a closed pipe is no reason to say more


def set_level(level: str, part: str = "") -> None:
    """Change from which level on the agent, or a part of it such as `ads`, logs.

    Raises:
        ConfigError: no such level.
    """
    if level not in LEVELS:
        raise ConfigError(
            "unknown-level", f"there is no log level {level!r}", hint=f"use one of {', '.join(LEVELS)}"
        )
    logging.getLogger(f"{ROOT}.{part}" if part else ROOT).setLevel(level.upper())


def _without_secrets(value: Any) -> Any:
    """The same as plain data, each text of it redacted."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redacted(str(name)): _without_secrets(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    return redacted(str(value))


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _part(name: str) -> str:
    """A logger as people know it: `ads.upstream`; another library's by its own name."""
    return name[len(ROOT) + 1 :] or "agent" if name == ROOT or name.startswith(f"{ROOT}.") else name


def _instant(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def _one_line(text: str) -> str:
    """Nothing in a text ends a line, or moves a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream leads to the journal, as systemd says. Source: systemd.exec(5), JOURNAL_STREAM."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
