"""Declarations of typed data in one line a type, and what they say.

    PodSpec: volumes:[]Volume@name restartPolicy priority:*int dnsPolicy=DNSPolicy sources!:[]Source

A field is its JSON name, then perhaps `!` (written even where it is empty), `:` and its type (text where
none is given; `*` may be absent apart from being empty, `[]` a list, `{}` a map by name), `@` and the key by
which a strategic merge tells the elements of its list apart (nothing after it: the elements themselves),
`=` and its Go name where that is not the JSON name in upper camel case, `|` and the name of the group of
which only one may be set. A line that begins with blanks goes on with the one before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD = re.compile(
    r"(?P<name>\w+)(?P<required>!?)(?::(?P<shape>\*|\[\]|\{\})?(?P<kind>[\w.]*))?"
    r"(?:@(?P<key>\w*))?(?:=(?P<go>\w+))?(?:\|(?P<group>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a type.

    Attributes:
        name: in JSON.
        go: in Go.
        shape: `*`, `[]`, `{}` or empty.
        kind: type of the value, or of an element: a name in the table, or one of the plain kinds.
        required: written even where it is empty.
        merge_key: what tells elements of a list apart when it is merged; empty where they are themselves;
            None where the list is replaced.
        group: name of the group of which only one may be set, or empty.
    """

    name: str
    go: str
    shape: str
    kind: str
    required: bool
    merge_key: str | None
    group: str


@dataclass(frozen=True)
class Type:
    """A type and its fields, in the order in which Go writes them."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Fields by their JSON names."""
        return {each.name: each for each in self.fields}


def types(table: str) -> dict[str, Type]:
    """The types of a table, by their names."""
    found = {}
    for line in table.replace("\n  ", " ").strip().splitlines():
        name, _, words = line.partition(":")
        found[name] = Type(name, tuple(_field(word) for word in words.split()))
    return found


def _field(word: str) -> Field:
    match = _FIELD.fullmatch(word)
    if match is None:
        raise ValueError(f"no declaration of a field: {word!r}")
    name = match["name"]
    return Field(
        name=name,
        go=match["go"] or name[0].upper() + name[1:],
        shape=match["shape"] or "",
        kind=match["kind"] or "string",
        required=bool(match["required"]),
        merge_key=match["key"],
        group=match["group"] or "",
    )
