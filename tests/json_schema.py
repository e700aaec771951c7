"""As much of JSON Schema (draft 2020-12) as our schemas use, for tests that hold values against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABOUT = frozenset({"$schema", "$defs", "title", "description", "default", "examples", "writeOnly"})
KEYWORDS = frozenset(
    {
        "$ref", "type", "enum", "const", "anyOf", "pattern", "minLength", "maxLength", "minimum", "maximum",
        "items", "properties", "patternProperties", "additionalProperties", "propertyNames", "required",
    }
)  # fmt: skip
TYPES: dict[str, Any] = {
    "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip


def misfits(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Places of a value that do not fit, with the keyword that says so.

    Raises:
        AssertionError: the schema uses a keyword that is none, or that is not looked at here.
    """
    assert schema.keys() <= ABOUT | KEYWORDS, schema.keys()
    if "$ref" in schema:
        yield from misfits(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root, at)
    tries = [list(misfits(each, value, root, at)) for each in schema.get("anyOf", ())]
    if tries and all(tries):
        yield from tries[0]  # the one that is meant; others are null and empty text
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: enum"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: const"
    kinds = schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{at}: type"
        return
    match value:
        case str():
            yield from _text(schema, value, at)
        case int() | float() if not isinstance(value, bool):
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield f"{at}: limits"
        case list():
            for index, each in enumerate(value):
                yield from misfits(schema.get("items", {}), each, root, f"{at}[{index}]")
        case dict():
            yield from _map(schema, value, root, at)


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _text(schema: Mapping[str, Any], value: str, at: str) -> Iterator[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at}: pattern"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{at}: length"


def _map(
    schema: Mapping[str, Any], value: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    fields, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}.{name}: required"
    for name, below in value.items():
        yield from misfits(schema.get("propertyNames", {}), name, root, f"{at}.{name}")
        patterns = [
            each for pattern, each in schema.get("patternProperties", {}).items() if re.search(pattern, name)
        ]
        known = [fields[name]] if name in fields else patterns
        if not known and rest is False:
            yield f"{at}.{name}: additionalProperties"
        for each in known or ([rest] if rest else []):
            yield from misfits(each, below, root, f"{at}.{name}")
