"""Go's strings, characters and numbers as they are written, and strings quoted as Go quotes them."""

from __future__ import annotations

import re
from functools import cache

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'\"])|(.?))", re.DOTALL
)
_NAMED = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\"}


def to_bytes(text: str) -> bytes:
    """The bytes Go sees; a byte that is not UTF-8 is kept as a lone surrogate in Python."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """The inverse of `to_bytes`."""
    return data.decode("utf-8", "surrogateescape")


def unquote(text: str) -> str:
    """What a string in double or back quotes stands for.

    Raises:
        ValueError: an escape that Go does not know.
    """
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    parts: list[bytes] = []
    position = 0
    for escape in _ESCAPE.finditer(inner):
        parts.append(to_bytes(inner[position : escape.start()]))
        code, is_byte = _escaped(escape, '"')
        parts.append(bytes([code]) if is_byte else chr(code).encode())
        position = escape.end()
    return from_bytes(b"".join(parts) + to_bytes(inner[position:]))


def character(text: str) -> int:
    """The code point of a character in single quotes.

    Raises:
        ValueError: not exactly one character.
    """
    inner = text[1:-1]
    escape = _ESCAPE.fullmatch(inner)
    if escape is not None:
        return _escaped(escape, "'")[0]
    if len(inner) != 1:
        raise ValueError(f"{text} is not one character")
    return ord(inner)


def _escaped(escape: re.Match[str], quote: str) -> tuple[int, bool]:
    """The code of an escape, and whether it is a byte rather than a code point."""
    hexadecimal, octal, short, long, simple, _ = escape.groups()
    if hexadecimal:
        return int(hexadecimal, 16), True
    if octal and int(octal, 8) < 256:
        return int(octal, 8), True
    if short or long:
        code = int(short or long, 16)
        if code <= 0x10FFFF and not 0xD800 <= code < 0xE000:
            return code, False
    elif simple and (simple not in "'\"" or simple == quote):
        return _SIMPLE[simple], False
    raise ValueError(f"unknown escape {escape.group()}")


@cache
def integer(text: str) -> int | None:
    """A whole number in Go's notation (`12`, `0x1f`, `0b1`, `0o17`, `017`, `1_000`), or None."""
    body = text.lstrip("+-")
    if len(text) - len(body) > 1 or not re.fullmatch(r"\w+", body, re.ASCII):
        return None
    try:
        # Go reads a bare leading zero as octal, which Python refuses to do by itself.
        value = int(body, 8) if re.fullmatch(r"0_?[0-7]+(_[0-7]+)*", body) else int(body, 0)
    except ValueError:
        return None
    return -value if text.startswith("-") else value


def number(text: str) -> tuple[int | float, int | None]:
    """A number: its value as it is written, and as an integer if it is whole and fits 64 bits.

    Raises:
        ValueError: not a number, or it does not fit.
    """
    whole = integer(text)
    if whole is not None:
        if not -(1 << 63) <= whole < 1 << 63:
            raise ValueError(f"{text} does not fit 64 bits")
        return whole, whole
    if not re.search(r"[.eEpP]", text):
        raise ValueError(f"{text!r} is not a number")
    hexadecimal = re.match(r"[+-]?0[xX]", text)
    if hexadecimal and not re.search("[pP]", text):
        raise ValueError(f"{text!r} is not a number")
    value = float.fromhex(text) if hexadecimal else float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} does not fit 64 bits")
    fits = value.is_integer() and -(1 << 63) <= value < 1 << 63
    return value, int(value) if fits else None


def quote(text: str, *, quotes: str = '"', ascii_only: bool = False) -> str:
    """`text` quoted as Go's `%q` does."""
    return quotes + "".join(_quoted(character, quotes, ascii_only) for character in text) + quotes


def _quoted(one: str, quotes: str, ascii_only: bool) -> str:
    code = ord(one)
    if one == quotes:
        return "\\" + one
    if code in _NAMED:
        return _NAMED[code]
    if one.isprintable() and (code < 128 or not ascii_only):
        return one
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 32 or code == 127:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
