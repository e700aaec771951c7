"""Patterns as the API server reads them: Go's syntax (RE2), turned into Python's."""

from __future__ import annotations

import re
from functools import cache

_TOKEN = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|\Z)|\\.|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<group>\(\?<(?=[A-Za-z_]))|.",
    re.DOTALL,
)
_BRACKET = re.compile(r"\\.|(?P<open>\[)", re.DOTALL)
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_NAMED = re.compile(r"\[:(" + "|".join(_CLASSES) + r"):\]")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""A pattern in Go's syntax; it is searched for, so `^` and `$` say where it must stand.

    Where the two languages differ: `$` is the end of the text and not before a last newline, `\z` is
    that end too, `\d` and `\w` are ASCII, `[[:alpha:]]` are named classes, and `\Q…\E` quotes.

    Raises:
        ValueError: it uses what Python cannot say, such as `\pL`.
    """
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except re.error as fault:
        raise ValueError(f"the pattern {pattern!r} cannot be read: {fault}") from fault


def _translated(pattern: str) -> str:
    multiline = bool(re.match(r"\(\?[is]*m", pattern))
    text = _NAMED.sub(lambda found: _CLASSES[found[1]], pattern)
    return "".join(_said(token, multiline=multiline) for token in _TOKEN.finditer(text))


def _said(token: re.Match[str], *, multiline: bool) -> str:
    """One token in Python's syntax."""
    text = token[0]
    if token["literal"] is not None:
        return re.escape(token["literal"])
    if token["set"]:
        return "[" + _BRACKET.sub(lambda found: "\\[" if found["open"] else found[0], text[1:])
    if token["group"]:
        return "(?P<"
    return r"\Z" if text == r"\z" or (text == "$" and not multiline) else text
