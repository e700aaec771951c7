"""`cluster.env`: variables as a POSIX shell sets them, without anything that a shell would expand or run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshctl.errors import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.agent.reading.problems import Problems

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|\\\r?\n|#[^\n]*)*")
_NAME: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_PIECE: Final = re.compile(
    r"'(?P<single>[^']*)'"
    r'|"(?P<double>(?:[^"\\$`]|\\.)*)"'
    r"|\\(?P<escaped>.)"
    r"|(?P<bare>[^\s'\"\\$`;&|<>()~]+)",
    re.DOTALL,
)
_IN_DOUBLE: Final = re.compile(r'\\(["\\$`\n])', re.DOTALL)
_END: Final = re.compile(r"[ \t\r]*(?:[ \t]#[^\n]*)?(?:\n|\Z)")
_LINE: Final = re.compile(r"[^\n]*\n?")


@dataclass(frozen=True)
class Variables:
    """Variables with the lines that set them.

    Attributes:
        file: that they are from.
        values: by name.
        lines: by name, from 1.
    """

    file: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """The value, or the default where it is not set, or empty."""
        return self.values.get(name) or default

    def where(self, name: str) -> Where:
        """The place that sets it."""
        return Where(self.file, self.lines.get(name), name)

    def starting(self, prefix: str) -> dict[str, str]:
        """Those that begin with `prefix`, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.values.items() if name.startswith(prefix)}


def variables(file: str, text: str, problems: Problems) -> Variables:
    """What `text` sets; a line that is no setting is a problem, and reading goes on after it."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    at, line, seen = _end(_BLANK, text, 0), 1, 0
    while at < len(text):
        line, seen = line + text.count("\n", seen, at), at
        named = _NAME.match(text, at)
        value, end = _value(text, named.end()) if named else (None, at)
        if named is None:
            problems.add(f"{_shown(text, at)} sets no variable", Where(file, line), hint="write NAME='value'")
        elif value is None:
            problems.add(
                f"the value is not plain text: a shell would do something at {text[end : end + 1]!r}",
                Where(file, line, named[1]),
                hint="write the value in single quotes; a single quote in it is '\"'\"'",
            )
        elif named[1] in values:
            problems.add(
                f"the variable is set twice, first in line {lines[named[1]]}", Where(file, line, named[1])
            )
        else:
            values[named[1]], lines[named[1]] = value, line
        if named is None or value is None:
            end = _end(_LINE, text, end)
        at = _end(_BLANK, text, end)
    return Variables(file, values, lines)


def _value(text: str, at: int) -> tuple[str | None, int]:
    """The value at `at`, and where its line ends; None, and where it goes wrong, when it has none."""
    pieces = []
    while found := _PIECE.match(text, at):
        pieces.append(_plain(found))
        at = found.end()
    ended = _END.match(text, at)
    return ("".join(pieces), ended.end()) if ended else (None, at)


def _plain(found: re.Match[str]) -> str:
    if (double := found["double"]) is not None:
        return _IN_DOUBLE.sub(lambda each: "" if each[1] == "\n" else each[1], double)
    if (escaped := found["escaped"]) is not None:
        return "" if escaped == "\n" else escaped
    return found["single"] if found["single"] is not None else found["bare"]


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _shown(text: str, at: int) -> str:
    """The beginning of a line: enough to find it, too little for a secret."""
    rest = text[at : at + 200].split("\n", 1)[0]
    return repr(rest if len(rest) <= 16 else rest[:15] + "…")
