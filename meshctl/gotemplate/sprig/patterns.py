"""Go's regular expressions on Python's engine.

Both take the leftmost match and prefer as Perl does. What only Python knows (look-around,
references back, possessive repeats) is refused as Go refuses it. Of Go's `\\p{…}` only the general
categories are known, not the scripts.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby

from meshctl.gotemplate.errors import CallError

_Ranges = list[tuple[int, int]]
_POSIX: dict[str, str] = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "ascii": "\0\x7f",
    "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZaz__",
    "xdigit": "09AFaf",
}
_PERL = {"d": "09", "s": "\t\n\f\r  ", "w": "09AZaz__"}  # \s has no vertical tab, [[:space:]] has
_CONTROL = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ANCHORS = {"A": r"(?:\A)", "z": r"(?:\Z)", "b": r"(?a:\b)", "B": r"(?a:\B)"}
_REPEAT = re.compile(r"([*+?]|\{(\d+)(?:(,)(\d*))?\})(\??)", re.ASCII)
_GROUP = re.compile(r"\(\?(?:P?<(\w+)>|([imsU]*)(?:-([imsU]+))?([:)]))", re.ASCII)
_CODE = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([1-7][0-7]{1,2}|0[0-7]{0,2}))")
_CATEGORY = re.compile(r"\\([pP])(?:\{(\^?)([A-Za-z_]+)\}|([A-Za-z]))")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_MOST_REPEATS = 1000


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's, for Python's engine.

    Raises:
        CallError: Go refuses it too, or it names a script.
    """
    try:
        return re.compile(_Translation(pattern).text())
    except (re.error, OverflowError) as problem:
        raise CallError(f"not a regular expression: {pattern!r}: {problem}") from None


def matches(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """All matches that do not overlap; an empty one right behind another does not count."""
    expression, position, last = compiled(pattern), 0, -1
    while position <= len(text):
        found = expression.search(text, position)
        if found is None:
            return
        if found.end() > position or found.start() != last:
            yield found
        position = found.end() + 1 if found.end() == position else found.end()
        last = found.end()


def group_name(name: str) -> str:
    """A group's name for Python, where none begins with a digit."""
    return f"g{name}"


class _Translation:
    """One pattern on its way to Python's syntax."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []
        self._flags: list[frozenset[str]] = [frozenset()]  # those of each group that is open
        self._names: set[str] = set()
        self._before = ""  # what a repeat would repeat: "atom", "repeat" or nothing

    def text(self) -> str:
        while self._at < len(self._pattern):
            self._piece(self._pattern[self._at])
        if len(self._flags) > 1:
            raise self._refused("missing )")
        return "".join(self._out)

    def _refused(self, why: str) -> CallError:
        return CallError(f"not a regular expression: {self._pattern!r}: {why}")

    def _emit(self, text: str, taken: int, before: str = "atom") -> None:
        self._out.append(text)
        self._at += taken
        self._before = before

    def _piece(self, one: str) -> None:
        flags = self._flags[-1]
        match one:
            case "(":
                self._open()
            case ")":
                if len(self._flags) == 1:
                    raise self._refused("unexpected )")
                self._flags.pop()
                self._emit(")", 1)
            case "|":
                self._emit("|", 1, "")
            case "^":
                self._emit("(?m:^)" if "m" in flags else _ANCHORS["A"], 1)
            case "$":
                self._emit("(?m:$)" if "m" in flags else _ANCHORS["z"], 1)
            case ".":
                self._emit("(?s:.)" if "s" in flags else r"[^\n]", 1)
            case "[":
                self._class()
            case "\\":
                self._escape()
            case "*" | "+" | "?" | "{":
                self._repeat()
            case _:
                self._emit(self._cased(re.escape(one)), 1)

    def _cased(self, atom: str) -> str:
        return f"(?i:{atom})" if "i" in self._flags[-1] else atom

    def _open(self) -> None:
        group = _GROUP.match(self._pattern, self._at)
        if group is None:
            if self._pattern.startswith("(?", self._at):
                raise self._refused("unknown kind of group")
            self._flags.append(self._flags[-1])
            self._emit("(", 1, "")
            return
        name, added, removed, end = group.groups()
        flags = (self._flags[-1] | frozenset(added or "")) - frozenset(removed or "")
        if end == ")":
            self._flags[-1] = flags
            self._at += len(group.group())
        else:
            self._flags.append(flags)
            # Go lets two groups share a name; the first one has it.
            opening = "(?:" if name is None else "(" if name in self._names else f"(?P<{group_name(name)}>"
            self._names.add(name)
            self._emit(opening, len(group.group()), "")

    def _repeat(self) -> None:
        repeat = _REPEAT.match(self._pattern, self._at)
        if repeat is None:  # a brace that is none
            self._emit(self._cased(r"\{"), 1)
            return
        sign, least, comma, most, lazy = repeat.groups()
        if self._before != "atom":
            raise self._refused("nothing to repeat" if not self._before else "a repeat of a repeat")
        if least is not None:
            bounds = [int(each) for each in (least, most) if each]
            if max(bounds) > _MOST_REPEATS or bounds != sorted(bounds):
                raise self._refused(f"bad repeat {sign}")
            sign = f"{{{least}{comma or ''}{most or ''}}}"
        greedy = bool(lazy) == ("U" in self._flags[-1])
        self._emit(sign + ("" if greedy else "?"), len(repeat.group()), "repeat")

    def _escape(self) -> None:
        rest = self._pattern[self._at + 1 : self._at + 2]
        if rest in _ANCHORS and rest:
            self._emit(_ANCHORS[rest], 2)
        elif rest == "Q":
            end = self._pattern.find(r"\E", self._at)
            literal = self._pattern[self._at + 2 : end if end >= 0 else None]
            for one in literal:
                self._emit(self._cased(re.escape(one)), 0)
            self._at += len(literal) + (4 if end >= 0 else 2)
        elif rest == "E":
            self._at += 2
        else:
            ranges, taken = self._escaped()
            self._emit(self._cased(_bracket(ranges)), taken)

    def _escaped(self) -> tuple[_Ranges, int]:
        """The characters an escape stands for, and its length."""
        category = _CATEGORY.match(self._pattern, self._at)
        if category:
            kind, caret, long, short = category.groups()
            name = long or short
            if not (name == "Any" or name in _categories()):
                raise self._refused(f"unknown category {name}")
            ranges = [(0, sys.maxunicode)] if name == "Any" else _categories()[name]
            negated = (kind == "P") != bool(caret)
            return (_complement(ranges) if negated else ranges), len(category.group())
        code = _CODE.match(self._pattern, self._at)
        if code:
            long, short, octal = code.groups()
            number = int(octal, 8) if octal else int(long or short, 16)
            if number > sys.maxunicode:
                raise self._refused("no such character")
            return [(number, number)], len(code.group())
        one = self._pattern[self._at + 1 : self._at + 2]
        if one.lower() in _PERL and one:
            ranges = _pairs(_PERL[one.lower()])
            return (_complement(ranges) if one.isupper() else ranges), 2
        number = _CONTROL.get(one, ord(one) if one and one.isascii() and not one.isalnum() else -1)
        if number < 0:
            raise self._refused(f"unknown escape \\{one}")
        return [(number, number)], 2

    def _class(self) -> None:
        start = self._at
        self._at += 1
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        ranges: _Ranges = []
        first = True
        while first or not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                self._at = start
                raise self._refused("missing ]")
            ranges += self._class_item()
            first = False
        self._emit("", 1)
        # Case is folded before the class is turned round, which Python does not do by itself.
        self._out.append(self._cased(_bracket(ranges, negated=negated)))

    def _class_item(self) -> _Ranges:
        posix = _POSIX_CLASS.match(self._pattern, self._at)
        if posix:
            if posix[2] not in _POSIX:
                raise self._refused(f"unknown class {posix.group()}")
            self._at += len(posix.group())
            ranges = _pairs(_POSIX[posix[2]])
            return _complement(ranges) if posix[1] else ranges
        low = self._class_character()
        dash = self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at)
        if not dash or len(low) > 1 or low[0][0] != low[0][1]:
            return low
        self._at += 1
        high = self._class_character()
        if len(high) > 1 or high[0][1] < low[0][0]:
            raise self._refused("bad range")
        return [(low[0][0], high[0][1])]

    def _class_character(self) -> _Ranges:
        if self._at >= len(self._pattern):
            raise self._refused("missing ]")
        if self._pattern[self._at] == "\\":
            ranges, taken = self._escaped()
            self._at += taken
            return ranges
        code = ord(self._pattern[self._at])
        self._at += 1
        return [(code, code)]


def _pairs(ends: str) -> _Ranges:
    return [(ord(ends[place]), ord(ends[place + 1])) for place in range(0, len(ends), 2)]


def _complement(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    found: _Ranges = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= sys.maxunicode:
        found.append((start, sys.maxunicode))
    return found


def _bracket(ranges: _Ranges, *, negated: bool = False) -> str:
    if not ranges:
        return "(?s:.)" if negated else r"(?!)"
    inner = "".join(_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)
    return f"[{'^' if negated else ''}{inner}]"


def _code(code: int) -> str:
    return f"\\U{code:08x}"


@cache
def _categories() -> dict[str, _Ranges]:
    """The characters of each general category of Unicode, such as `L` and `Lu`."""
    found: dict[str, _Ranges] = {}
    every = map(chr, range(sys.maxunicode + 1))
    for category, run in groupby(every, key=unicodedata.category):
        codes = [ord(one) for one in run]
        for name in (category, category[0]):
            found.setdefault(name, []).append((codes[0], codes[-1]))
    return found
