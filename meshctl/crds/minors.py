"""Istio's API as one minor has it.

Definitions say `.since("1.31")` where something came after the oldest minor we know; nothing else in
this package asks for a version. A minor newer than all marks has everything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from meshctl.crds.schema import Array, Boolean, Choice, IntOrString, Map, Number, Object, Text
from meshctl.errors import UnsupportedError

if TYPE_CHECKING:
    from meshctl.crds.schema import Kind, Schema

OLDEST = "1.30"

Minor = tuple[int, int]
"""Major and minor number, in a form that sorts."""


def known(minor: str) -> Minor:
    """A minor such as `1.31`, for which there are definitions.

    Raises:
        UnsupportedError: not a minor, or older than the definitions reach back.
    """
    major, _, rest = minor.partition(".")
    if not (major.isdigit() and rest.isdigit()):
        hint = "write it as in 1.31"
        raise UnsupportedError("unknown-istio-minor", f"{minor!r} is not a minor of Istio", hint=hint)
    if (int(major), int(rest)) < parsed(OLDEST):
        hint = f"use Istio {OLDEST} or newer"
        raise UnsupportedError("istio-too-old", f"the API of Istio {minor} is not known", hint=hint)
    return int(major), int(rest)


def parsed(mark: str) -> Minor:
    """A minor written in a definition."""
    major, rest = mark.split(".")
    return int(major), int(rest)


def kind_as_of(kind: Kind, minor: Minor) -> Kind:
    """`kind` with the spec that `minor` has."""
    return replace(kind, spec=object_as_of(kind.spec, minor))


def has(item: Schema | Choice, minor: Minor) -> bool:
    """Whether `minor` has a field or a value of an enumeration."""
    return not item.first_minor or parsed(item.first_minor) <= minor


def schema_as_of(schema: Schema, minor: Minor) -> Schema:
    """A node without what came after `minor`."""
    match schema:
        case Text():
            if all(has(choice, minor) for choice in schema.choices):
                return schema
            return replace(schema, choices=tuple(choice for choice in schema.choices if has(choice, minor)))
        case Array():
            return replace(schema, items=schema_as_of(schema.items, minor))
        case Map():
            return replace(schema, values=schema_as_of(schema.values, minor))
        case Object():
            return object_as_of(schema, minor)
        case Number() | Boolean() | IntOrString():
            return schema
        case _:
            assert_never(schema)


def object_as_of(record: Object, minor: Minor) -> Object:
    """An object without the fields that came after `minor`."""
    there = {name: field for name, field in record.fields.items() if has(field, minor)}
    return replace(
        record,
        fields={name: schema_as_of(field, minor) for name, field in there.items()},
        oneofs=tuple(tuple(name for name in names if name in there) for names in record.oneofs),
        exclusive=tuple(tuple(name for name in names if name in there) for names in record.exclusive),
    )
