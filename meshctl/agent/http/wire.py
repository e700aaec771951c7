"""Messages of HTTP/1.1 on the wire: heads and bodies, each with a limit."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

Headers = tuple[tuple[str, str], ...]
"""Names as they came, and values without the space around them; a name may come again."""

Framing = int | Literal["chunked", "close"]
"""How long a body is: so many bytes, in chunks, or until the connection ends."""

PIECE: Final = 64 * 1024
"""Most bytes of a body that are read at once."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")
_LENGTH: Final = re.compile(r"[0-9]{1,15}", re.ASCII)

T = TypeVar("T")


class HttpError(Exception):
    """What came is not HTTP, or is more than is taken."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Say what is wrong, and the status by which a server answers it."""
        super().__init__(message)
        self.status = status


class Source(Protocol):
    """What is read from; an asyncio.StreamReader is one."""

    async def read(self, n: int, /) -> bytes:
        """At least one byte and at most so many, or none at the end."""

    async def readline(self) -> bytes:
        """A line with its end, or what is left at the end; ValueError when it is too long."""


@dataclass(frozen=True)
class Limits:
    """How much is taken of whoever is at the other end.

    Attributes:
        line: bytes of the first line, or of one header.
        headers: how many headers a message may have, and how many trailers.
        body: bytes of a body.
    """

    line: int = 16 * 1024
    headers: int = 128
    body: int = 1024 * 1024


async def within(work: Awaitable[T], seconds: float) -> T:
    """What `work` gives, or TimeoutError when that takes longer; in 3.10 as well."""
    try:
        return await asyncio.wait_for(work, max(seconds, 0))
    except asyncio.TimeoutError as late:
        raise TimeoutError(f"not done within {seconds:g} s") from late


def value(headers: Headers, name: str) -> str:
    """The first value of a header, or an empty string; `name` in lower case."""
    return next((said for known, said in headers if known.lower() == name), "")


def values(headers: Headers, name: str) -> list[str]:
    """All that a header lists, in lower case; `name` in lower case."""
    lists = [said for known, said in headers if known.lower() == name]
    return [part.strip().lower() for said in lists for part in said.split(",") if part.strip()]


def written(start: str, headers: Headers) -> bytes:
    """The head of a message.

    Raises:
        HttpError: something in it cannot be written so that it is read again as the same.
    """
    if _FORBIDDEN.search(start):
        raise HttpError("a control character in the first line")
    for name, said in headers:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(said):
            raise HttpError(f"header {name!r} cannot be sent")
    lines = [start, *(f"{name}: {said}" for name, said in headers), "", ""]
    try:
        return "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError as wide:
        raise HttpError("a character that HTTP has no byte for") from wide


async def read_start(source: Source, *, strict: bool) -> str:
    """The first line of a message.

    Args:
        source: made with a limit of `Limits.line`.
        strict: refuse lines that end without a carriage return.

    Raises:
        HttpError: no such line, or too long.
        EOFError: the other end closed before its first byte.
    """
    start = await read_line(source, strict=strict)
    if not start:  # RFC 9112, section 2.2: an empty line before a request is passed over
        start = await read_line(source, strict=strict)
    if _FORBIDDEN.search(start):
        raise HttpError("a control character in the first line")
    return start


async def read_headers(source: Source, limits: Limits, *, strict: bool) -> Headers:
    """Headers or trailers, up to the empty line that ends them.

    Raises:
        HttpError: not such, or too many; or, where it is `strict`, one that goes on in a second line.
    """
    headers: list[tuple[str, str]] = []
    while line := await read_line(source, strict=strict, begun=True):
        if len(headers) == limits.headers:
            raise HttpError("too many headers", 431)
        if line[0] in " \t" and headers and not strict:
            name, said = headers.pop()
            line = f"{name}:{said} {line}"
        name, colon, said = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or _FORBIDDEN.search(said):
            raise HttpError("a header that is none")
        headers.append((name, said.strip(" \t")))
    return tuple(headers)


async def read_line(source: Source, *, strict: bool, begun: bool = False) -> str:
    """A line without its end; bytes as Latin-1."""
    try:
        line = await source.readline()
    except ValueError as long:
        raise HttpError("a line that is too long", 431) from long
    if not line and not begun:
        raise EOFError("the other end closed")
    if not line.endswith(b"\r\n" if strict else b"\n"):
        raise HttpError("a line that has no end")
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("latin-1")


def length(headers: Headers) -> int | None:
    """How long a body says it is.

    Raises:
        HttpError: no number, or several that differ.
    """
    said = {part for name, text in headers if name.lower() == "content-length" for part in text.split(",")}
    if not said:
        return None
    only = said.pop().strip()
    if said or not _LENGTH.fullmatch(only):
        raise HttpError("a length of the body that is none")
    return int(only)


async def pieces(source: Source, framing: Framing, limits: Limits, *, strict: bool) -> AsyncIterator[bytes]:
    """A body as it comes, in pieces of at most `PIECE` bytes.

    Raises:
        HttpError: it is not framed as it said, ends too early, or is longer than `limits.body`.
    """
    left = limits.body
    if isinstance(framing, int) and framing > left:
        raise HttpError("a body that is too long", 413)
    async for piece in _pieces(source, framing, limits, strict):
        left -= len(piece)
        if left < 0:
            raise HttpError("a body that is too long", 413)
        yield piece


async def _pieces(source: Source, framing: Framing, limits: Limits, strict: bool) -> AsyncIterator[bytes]:
    if framing == "close":
        while piece := await source.read(PIECE):
            yield piece
    elif framing == "chunked":
        while size := await _chunk_size(source, strict):
            async for piece in _exactly(source, size):
                yield piece
            if await read_line(source, strict=strict, begun=True):
                raise HttpError("a chunk that is longer than it said")
        await read_headers(source, limits, strict=strict)
    else:
        async for piece in _exactly(source, framing):
            yield piece


async def _exactly(source: Source, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await source.read(min(size, PIECE))
        if not piece:
            raise HttpError("a body that ends too early")
        size -= len(piece)
        yield piece


async def _chunk_size(source: Source, strict: bool) -> int:
    line = (await read_line(source, strict=strict, begun=True)).encode("latin-1")
    size = line.partition(b";")[0].rstrip(b" \t")
    if not _SIZE.fullmatch(size):
        raise HttpError("a chunk without its size")
    return int(size, 16)
