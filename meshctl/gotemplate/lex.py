"""The tokens of a template: text, and what stands between `{{` and `}}`."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from enum import Enum
from typing import NamedTuple

from meshctl.gotemplate.errors import TemplateError

_SPACE = " \t\r\n"


class Kind(Enum):
    """What a token is."""

    TEXT = "text"
    OPEN = "{{"
    CLOSE = "}}"
    SPACE = "space"
    DECLARE = ":="
    ASSIGN = "="
    PIPE = "|"
    COMMA = ","
    LEFT = "("
    RIGHT = ")"
    STRING = "string"
    RAW = "raw string"
    CHAR = "character"
    NUMBER = "number"
    VARIABLE = "variable"
    FIELD = "field"
    DOT = "."
    NAME = "name"
    KEYWORD = "keyword"
    BOOL = "bool"
    NIL = "nil"
    END = "end of template"


class Token(NamedTuple):
    """A piece of a template; `line` is where it starts, counted from 1."""

    kind: Kind
    text: str
    line: int

    def __str__(self) -> str:
        return self.kind.value if self.kind is Kind.END else repr(self.text)


_KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with")
)
_SYMBOLS = {
    ":=": Kind.DECLARE,
    "=": Kind.ASSIGN,
    "|": Kind.PIPE,
    ",": Kind.COMMA,
    "(": Kind.LEFT,
    ")": Kind.RIGHT,
}
_COMMENT = re.compile(r"\{\{(?:-[ \t\r\n])?/\*")
_COMMENT_END = re.compile(r"\*/(?:[ \t\r\n]-)?\}\}")
_AFTER_WORD = r"(?=[ \t\r\n.,|:)(]|\}\}|\Z)"
_NUMBER = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)(?!\w)"
)
_ACTION = re.compile(
    "|".join(
        (
            r"(?P<CLOSE>[ \t\r\n]-\}\}|\}\})",
            r"(?P<SPACE>[ \t\r\n]+(?=[ \t\r\n]-\}\})|[ \t\r\n]+)",
            r"(?P<symbol>:=|[=|,()])",
            r'(?P<STRING>"(?:\\[^\n]|[^"\\\n])*")',
            r"(?P<RAW>`[^`]*`)",
            r"(?P<CHAR>'(?:\\[^\n]|[^'\\\n])*')",
            rf"(?P<VARIABLE>\$\w*{_AFTER_WORD})",
            rf"(?P<FIELD>\.[^\W0-9]\w*{_AFTER_WORD})",
            rf"(?P<DOT>\.{_AFTER_WORD})",
            rf"(?P<NUMBER>(?=[+\-.0-9]){_NUMBER})",
            rf"(?P<word>\w+{_AFTER_WORD})",
        )
    )
)
_GROUPS = {kind.name: kind for kind in Kind}


def tokens(source: str, name: str) -> Iterator[Token]:
    """The tokens of `source`, comments left out and trim markers applied.

    Raises:
        TemplateError: something between the delimiters is no token, or they do not close.
    """
    position, line = 0, 1
    trim_next = False
    while True:
        opening = source.find("{{", position)
        text = source[position:] if opening < 0 else source[position:opening]
        start = line
        line += text.count("\n")
        if trim_next:
            kept = text.lstrip(_SPACE)
            start += text[: len(text) - len(kept)].count("\n")
            text = kept
        marked = opening >= 0 and source[opening + 2 : opening + 3] == "-"
        trim = marked and source[opening + 3 : opening + 4] in tuple(_SPACE)
        if trim:
            text = text.rstrip(_SPACE)
        if text:
            yield Token(Kind.TEXT, text, start)
        if opening < 0:
            yield Token(Kind.END, "", line)
            return
        if _COMMENT.match(source, opening):
            closing = _comment_end(source, opening, name, line)
            line += source.count("\n", opening, closing)
            position = closing
        else:
            yield Token(Kind.OPEN, "{{", line)
            position, line = yield from _action(source, opening + (3 if trim else 2), name, line)
        trim_next = source.startswith("-}}", position - 3) and source[position - 4] in _SPACE


def _comment_end(source: str, opening: int, name: str, line: int) -> int:
    text = source.find("*/", source.index("/*", opening) + 2)
    if text < 0:
        raise TemplateError("unclosed comment", name, line, "end it with */}}")
    closing = _COMMENT_END.match(source, text)
    if closing is None:
        raise TemplateError("a comment must be alone between {{ and }}", name, line, "end it with */}}")
    return closing.end()


def _action(source: str, position: int, name: str, line: int) -> Generator[Token, None, tuple[int, int]]:
    """The tokens up to and with `}}`; returns the position and the line after it."""
    begun, depth = line, 0
    while True:
        found = _ACTION.match(source, position)
        if found is None or not found.group():
            raise _no_token(source, position, name, line, begun)
        text = found.group()
        match found.lastgroup:
            case "symbol":
                kind = _SYMBOLS[text]
                depth += (kind is Kind.LEFT) - (kind is Kind.RIGHT)
                if depth < 0:
                    raise TemplateError("unexpected ')'", name, line)
            case "word":
                kind = _word(text)
            case group:
                kind = _GROUPS[str(group)]
        if kind is Kind.CLOSE and depth:
            raise TemplateError("unclosed '('", name, line, "write ')' before }}")
        yield Token(kind, text, line)
        line += text.count("\n")
        position = found.end()
        if kind is Kind.CLOSE:
            return position, line


def _word(text: str) -> Kind:
    if text in _KEYWORDS:
        return Kind.KEYWORD
    if text in ("true", "false"):
        return Kind.BOOL
    return Kind.NIL if text == "nil" else Kind.NAME


def _no_token(source: str, position: int, name: str, line: int, begun: int) -> TemplateError:
    if position >= len(source):
        return TemplateError("unclosed action", name, begun, "close it with }}")
    character = source[position]
    if character in "\"`'":
        return TemplateError("unterminated string", name, line, f"close it with {character}")
    near = source[position : position + 20].splitlines()[0]
    return TemplateError(f"unexpected {near!r} in an action", name, line)
