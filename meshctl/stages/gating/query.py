"""Whether the answer to a PromQL query means that it holds."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_TOKEN: Final = re.compile(
    r"""
    (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<comment>\#[^\n]*)
    | (?P<selector>\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|[^}"'`])*\})
    | (?P<range>\[[^\]]*\])
    | (?P<compare>==|!=|>=|<=|>|<)(?P<bool>\s*bool\b)?
    | (?P<word>[\w:.]+)
    | (?P<open>\() | (?P<close>\))
    | (?P<other>\S)
    """,
    re.VERBOSE,
)
_JOINS: Final = frozenset({"and", "or", "unless"})
"""Operators that are words: a parenthesis after them groups."""


def refusal(query: str, values: Collection[float]) -> str:
    """Why a query does not hold, in a few words; empty when it holds.

    A comparison gives what it lets through, with the value of its left side: `errors < 1` is answered
    by a 0 where there are none. So it holds when it gives anything at all. Everything else, also a
    comparison with `bool`, is a number that must be neither 0 nor NaN.

    Source: prometheus.io, Querying / Operators, "Comparison binary operators".
    """
    if not values:
        return "it gives nothing"
    if any(math.isnan(each) for each in values):
        return "it gives NaN"
    if not is_filter(query) and any(each == 0 for each in values):
        return "it gives 0"
    return ""


def is_filter(query: str) -> bool:
    """Whether a comparison among the outermost operators of a query filters, and none there gives 0 or 1."""
    calls: list[bool] = []  # for each open parenthesis, whether it holds arguments or only groups
    previous = ""
    filters = False
    for token in _TOKEN.finditer(query):
        kind = "compare" if token["compare"] else str(token.lastgroup)
        if kind == "comment":
            continue
        if kind == "open":
            calls.append(previous in ("close", "word"))
        elif kind == "close" and calls:
            calls.pop()
        elif kind == "compare" and not any(calls):
            if token["bool"]:
                return False
            filters = True
        previous = "" if kind == "word" and token["word"].lower() in _JOINS else kind
    return filters
