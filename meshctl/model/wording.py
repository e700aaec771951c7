"""How messages show values from the user's input, and names where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.errors import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 60
"""Characters of a text that a message shows; the rest stands in the file."""


def shown(value: Any) -> str:
    """A value in an error message."""
    if isinstance(value, bool):
        return f"the boolean {literal(value)}"
    if isinstance(value, (int, float)):
        return f"the number {literal(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return literal(value)


def literal(value: Any) -> str:
    """A single value as it stands in the file, texts in quotes; of others, what they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    return quoted(value) if isinstance(value, str) else shown(value)


def quoted(text: str) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def quoting(value: Any, *, wants_text: bool) -> str:
    """What to do about the quotes of a value, where they are what is wrong with it."""
    if wants_text:
        return "" if isinstance(value, (str, dict, list)) or value is None else "put it in quotes"
    plain = isinstance(value, str) and (value.lower() in ("true", "false") or is_number(value))
    return "write it without quotes" if plain else ""


def is_number(text: str) -> bool:
    """Whether a text would be a number without its quotes."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    return whole.isdecimal() and (not fraction or fraction.isdecimal())


def some(names: Sequence[str], most: int = 2) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - most
    return listed(names[:most]) + (f" and {more} more" if more > 0 else "")
