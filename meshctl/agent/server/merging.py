"""Envoy's metrics, as they come, with those that are held merged in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meshctl.agent.server.families import Families, series, taken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_LINE: Final = 1024 * 1024

_HEAD: Final = re.compile(rb"^# (TYPE|HELP) ([^ \n]+)(?: ([^\n]*))?\n", re.MULTILINE)


class OddMetricsError(Exception):
    """What comes is no text of metrics."""


class Merged:
    """A stream of families, each of them with those series of the held ones that have its name.

    What is held and what streams may have a family in common: its series stand together, as the format asks,
    and one that both have is the stream's. A held family of another kind, or with names of its series, is
    left out. So nothing that is held ever hides what streams.
    """

    def __init__(self, held: Families) -> None:
        """Begin with what is held."""
        self._held = held
        self._told: set[bytes] = set()
        self._names: set[bytes] = set()  # of series that have streamed
        self._family = b""
        self._kind = ""
        self._seen: set[bytes] | None = None  # series of a family that is held, too
        self._tail = b""

    async def pieces(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream, with what is held of its families.

        Raises:
            OddMetricsError: a line without an end.
        """
        async for piece in stream:
            text = self._tail + piece
            cut = text.rfind(b"\n") + 1
            self._tail = text[cut:]
            if len(self._tail) > LONGEST_LINE:
                raise OddMetricsError("a line of metrics without an end")
            if cut:
                yield self._through(text[:cut])

    def rest(self) -> bytes:
        """What is left after the stream, however it ended: a line that broke off is dropped."""
        return self._end_of_family() + b"".join(self._held.rest(self._told, self._names))

    def _through(self, text: bytes) -> bytes:
        """Whole lines of the stream, with what is held of the families that end in them."""
        out, at = [], 0
        for head in _HEAD.finditer(text):
            out.append(self._lines(text[at : head.start()]))
            at = head.start()
            if head[2] != self._family:
                out.append(self._end_of_family())
                self._begin(head[2])
            if head[1] == b"TYPE":
                self._kind = (head[3] or b"").strip().decode("latin-1")
                self._names.update(taken(self._family, self._kind))
            out.append(head[0])
            at = head.end()
        out.append(self._lines(text[at:]))
        return b"".join(out)

    def _begin(self, family: bytes) -> None:
        self._family, self._kind = family, ""
        self._names.add(family)
        self._seen = set() if self._held.get(family) else None

    def _lines(self, lines: bytes) -> bytes:
        if self._seen is not None:
            found = (series(line) for line in lines.split(b"\n"))
            self._seen.update(key for key in found if key)
        return lines

    def _end_of_family(self) -> bytes:
        """The held series of the family that has streamed."""
        held, seen, self._seen = self._held.get(self._family), self._seen, None
        if held is None or seen is None:
            return b""
        self._told.add(self._family)
        if held.kind != (self._kind or "untyped"):
            self._held.clashes.add(self._family)
            return b""
        return held.lines(but=seen)
