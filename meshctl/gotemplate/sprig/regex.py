"""sprig's functions on regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Final

from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.sprig.patterns import compiled, group_name, matches
from meshctl.gotemplate.values import List

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def _must_match(pattern: str, text: str) -> bool:
    return compiled(pattern).search(text) is not None


def _match(pattern: str, text: str) -> bool:
    try:
        return _must_match(pattern, text)
    except CallError:
        return False


def _find(pattern: str, text: str) -> str:
    found = compiled(pattern).search(text)
    return found.group() if found else ""


def _find_all(pattern: str, text: str, count: int) -> List:
    found = [each.group() for each in islice(matches(pattern, text), None if count < 0 else count)]
    return List(found, "string", is_nil=not found)


def _replaced(pattern: str, text: str, make: Callable[[re.Match[str]], str]) -> str:
    parts: list[str] = []
    position = 0
    for found in matches(pattern, text):
        parts += (text[position : found.start()], make(found))
        position = found.end()
    return "".join([*parts, text[position:]])


def _replace_all(pattern: str, text: str, replacement: str) -> str:
    return _replaced(
        pattern, text, lambda found: _VARIABLE.sub(lambda name: _value(name, found), replacement)
    )


def _value(name: re.Match[str], found: re.Match[str]) -> str:
    """What `$1`, `${name}` or `$$` stands for; nothing for a group there is not."""
    dollar, braced, plain = name.groups()
    if dollar:
        return "$"
    group = braced or plain
    try:
        return found.group(int(group) if group.isdecimal() else group_name(group)) or ""
    except IndexError:
        return ""


def _replace_all_literal(pattern: str, text: str, replacement: str) -> str:
    return _replaced(pattern, text, lambda _: replacement)


def _split(pattern: str, text: str, count: int) -> List:
    if count == 0:
        return List((), "string", is_nil=True)
    if pattern and not text:
        compiled(pattern)
        return List([""], "string")
    parts: list[str] = []
    begin = end = 0
    for found in matches(pattern, text):
        if 0 < count == len(parts) + 1:
            break
        end = found.start()
        if found.end():
            parts.append(text[begin:end])
        begin = found.end()
    if end != len(text):
        parts.append(text[begin:])
    return List(parts, "string")


def _quote_meta(text: str) -> str:
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in text)


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "mustRegexFind": _find,
    "mustRegexFindAll": _find_all,
    "mustRegexMatch": _must_match,
    "mustRegexReplaceAll": _replace_all,
    "mustRegexReplaceAllLiteral": _replace_all_literal,
    "mustRegexSplit": _split,
    "regexFind": _find,
    "regexFindAll": _find_all,
    "regexMatch": _match,
    "regexQuoteMeta": _quote_meta,
    "regexReplaceAll": _replace_all,
    "regexReplaceAllLiteral": _replace_all_literal,
    "regexSplit": _split,
}
