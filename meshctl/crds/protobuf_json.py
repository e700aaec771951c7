"""JSON as protobuf reads it, turned into the one form that our definitions describe.

istiod reads the mesh configuration so: a field may be spelled `accessLogFile` or `access_log_file`, a number
may stand in quotes, and null says nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from meshctl.crds.schema import Array, Map, Number, Object

if TYPE_CHECKING:
    from meshctl.crds.schema import Schema
    from meshctl.crds.structural import Path

_SEPARATED = re.compile(r"_([a-zA-Z0-9])")
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def field_name(spelled: str) -> str:
    """The JSON name of a protobuf field: `access_log_file` is `accessLogFile`."""
    return _SEPARATED.sub(lambda found: found[1].upper(), spelled)


def canonical(schema: Schema, value: Any) -> Any:
    """`value` in the form that `schema` describes; what does not fit stays as it is.

    A field given under both of its names keeps both, so that the second is a field that nobody knows.
    """
    match schema, value:
        case Object(), dict():
            found: dict[str, Any] = {}
            for key, below in value.items():
                if below is None:
                    continue
                name = field_name(key)
                known = schema.fields.get(name)
                spelled = key if known is None or (name != key and value.get(name) is not None) else name
                found[spelled] = below if known is None else canonical(known, below)
            return found
        case Map(), dict():
            return {key: canonical(schema.values, below) for key, below in value.items() if below is not None}
        case Array(), list():
            return [canonical(schema.items, each) for each in value]
        case Number(), str():
            return _number(schema, value)
        case _:
            return value


def _number(schema: Number, text: str) -> Any:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if schema.type == "number" and _NUMBER.fullmatch(text) else text


def as_spelled(value: Any, path: Path) -> Path:
    """The place in `value`, as the user wrote it, of a place in its canonical form."""
    found: list[str | int] = []
    for step in path:
        name = step
        if isinstance(value, dict) and step not in value:
            name = next((key for key in value if field_name(key) == step), step)
        found.append(name)
        inside = isinstance(value, list) and isinstance(name, int) and name < len(value)
        value = value[name] if inside or (isinstance(value, dict) and name in value) else None
    return tuple(found)
