"""Values held against OpenAPI v3 schemas, as the API server holds objects against structural ones.

It says what the API server says with `fieldValidation=Strict`: unknown fields are problems, and null in a
field that does not accept it counts as absent. CEL rules are looked at by `meshctl.crds.cel`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.crds.formats import WIDTHS, example, fits
from meshctl.crds.patterns import compiled
from meshctl.errors import listed, nearest
from meshctl.model.wording import literal, quoted, quoting, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple[str | int, ...]

_SPOKEN = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
}
_EMBEDDED = frozenset({"apiVersion", "kind", "metadata"})
_SAFE = 2**53
"""Beyond it, a JSON number written with a fraction is no whole number any more."""
_SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a value that its schema does not allow.

    Attributes:
        path: from the value's root; of a field that is missing, the path it would have.
        code: kebab-case, such as `unknown-field`.
        message: one lower-case sentence that names the field.
        hint: what to do; may be empty.
    """

    path: Path
    code: str
    message: str
    hint: str = ""


def problems(schema: Mapping[str, Any], value: Any, path: Path = ()) -> Iterator[Problem]:
    """What is wrong with `value`, in the order of the value.

    Args:
        schema: OpenAPI v3 as in a CustomResourceDefinition, with its `x-kubernetes-` extensions; must not
            have references.
        value: JSON: None, bool, int, float, str, list, dict with text keys.
        path: where `value` stands; put before each problem's path.
    """
    yield from _node(schema, value, path, structural=True)


def named(path: Path) -> str:
    """What a message calls the place: its last name, with the numbers of list items after it."""
    numbers = ""
    for step in reversed(path):
        if isinstance(step, str):
            return f"{step}{numbers}"
        numbers = f"[{step}]{numbers}"
    return numbers or "the value"


def field_schema(schema: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The schema of a field of a map; None where the schema says nothing about it."""
    found = schema.get("properties", {}).get(name)
    if found is None:
        found = schema.get("additionalProperties")
    return None if found is None or isinstance(found, bool) else found


def kept(schema: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """A map as the API server takes it: with defaults, and without null where that is not accepted."""
    fields = schema.get("properties", {})
    given = {
        name: below
        for name, below in value.items()
        if below is not None or (field_schema(schema, name) or _OPEN).get("nullable")
    }
    return {name: field["default"] for name, field in fields.items() if "default" in field} | given


_OPEN: Mapping[str, Any] = {"nullable": True}
"""What a schema says about a field that it does not name: nothing."""


def _node(schema: Mapping[str, Any], value: Any, path: Path, *, structural: bool) -> Iterator[Problem]:
    """Problems of a value; `structural` is False within `anyOf` and its like, which name no fields."""
    if value is None and (schema.get("nullable") or schema.get("x-kubernetes-preserve-unknown-fields")):
        return
    wrong = list(_wrong_type(schema, value, path))
    if wrong:
        yield from wrong
        return
    yield from _choices(schema, value, path)
    if structural and isinstance(value, dict):
        value = kept(schema, value)
    match value:
        case str():
            yield from _text(schema, value, path)
        case bool():
            pass
        case int() | float():
            yield from _number(schema, value, path)
        case list():
            yield from _list(schema, value, path, structural=structural)
        case dict():
            yield from _map(schema, value, path, structural=structural)
        case _:
            pass
    yield from _combined(schema, value, path)


def _wrong_type(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:
    if schema.get("x-kubernetes-int-or-string"):
        if not (isinstance(value, str) or _is_type(value, "integer")):
            yield _typed(path, "a whole number or text", value)
        return
    wanted = schema.get("type")
    if wanted and not _is_type(value, wanted):
        hint = quoting(value, wants_text=wanted == "string")
        yield _typed(path, _SPOKEN.get(wanted, wanted), value, hint or _shape(schema, value))


def _typed(path: Path, wanted: str, value: Any, hint: str = "") -> Problem:
    return Problem(path, "wrong-type", f"{named(path)} is {wanted}, not {shown(value)}", hint)


def _shape(schema: Mapping[str, Any], value: Any) -> str:
    """How to write a list or a map, for who wrote something else."""
    if schema["type"] == "array" and not isinstance(value, list):
        return (
            "put `- ` before each item"
            if isinstance(value, dict)
            else "write a list, one item a line after `- `"
        )
    if schema["type"] == "object" and schema.get("properties"):
        return f"its fields are {_some(sorted(schema['properties']))}"
    return ""


def _is_type(value: Any, wanted: str) -> bool:
    match wanted:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_whole(value)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return True


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= _SAFE
    smallest, largest = WIDTHS["int64"]  # what JSON readers of other languages keep exactly
    return isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest


def _is_finite(value: float) -> bool:
    return value not in (float("inf"), float("-inf")) and value == value


def _choices(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:
    choices = schema.get("enum")
    if choices is None or value in choices:
        return
    near = _near(value, choices)
    yield Problem(
        path,
        "wrong-value",
        f"{named(path)} cannot be {literal(value)}{_guess(near)}",
        f"choose one of {listed(str(each) for each in choices)}",
    )


def _near(value: Any, choices: Sequence[Any]) -> str:
    """The choice that was probably meant: the same in other case, or one that looks like it."""
    texts = [each for each in choices if isinstance(each, str)]
    if not isinstance(value, str):
        return ""
    same = [each for each in texts if each.casefold() == value.casefold()]
    return same[0] if same else nearest(value, texts) or nearest(value.upper(), texts)


def _guess(near: str) -> str:
    return f"; did you mean {near!r}?" if near else ""


def _text(schema: Mapping[str, Any], text: str, path: Path) -> Iterator[Problem]:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None and len(text) < least:
        what = "is empty" if not text else f"has {len(text)} characters"
        yield _wrong(path, what, f"it has at least {_count(least, 'character')}")
    if most is not None and len(text) > most:
        yield _wrong(path, f"has {len(text)} characters", f"it has at most {_count(most, 'character')}")
    pattern = schema.get("pattern")
    if pattern and not compiled(pattern).search(text):
        yield _wrong(path, f"cannot be {quoted(text)}", f"it has to match {pattern}")
    format = schema.get("format", "")
    if not fits(text, format):
        yield _wrong(path, f"is no {format}: {quoted(text)}", f"write it as in {example(format)}")


def _number(schema: Mapping[str, Any], number: float, path: Path) -> Iterator[Problem]:
    least, most = schema.get("minimum"), schema.get("maximum")
    bounds = (
        [f"more than {least:g}" if schema.get("exclusiveMinimum") else f"at least {least}"]
        if least is not None
        else []
    )
    bounds += (
        [f"less than {most:g}" if schema.get("exclusiveMaximum") else f"at most {most}"]
        if most is not None
        else []
    )
    too_small = least is not None and (number <= least if schema.get("exclusiveMinimum") else number < least)
    too_large = most is not None and (number >= most if schema.get("exclusiveMaximum") else number > most)
    if too_small or too_large:
        yield _wrong(path, f"cannot be {number}", f"it is {' and '.join(bounds)}")
        return
    factor = schema.get("multipleOf")
    if factor and number % factor:
        yield _wrong(path, f"cannot be {number}", f"it is a multiple of {factor}")
    width = WIDTHS.get(schema.get("format", ""))
    if width and not width[0] <= number <= width[1]:
        yield _wrong(path, f"cannot be {number}", f"it is {width[0]} to {width[1]}")


def _wrong(path: Path, what: str, hint: str) -> Problem:
    return Problem(path, "wrong-value", f"{named(path)} {what}", hint)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list(
    schema: Mapping[str, Any], items: Sequence[Any], path: Path, *, structural: bool
) -> Iterator[Problem]:
    yield from _sizes(schema.get("minItems"), schema.get("maxItems"), len(items), "item", path)
    below = schema.get("items")
    if below is not None:
        for index, each in enumerate(items):
            yield from _node(below, each, (*path, index), structural=structural)
    yield from _twice(schema, items, path)


def _sizes(least: int | None, most: int | None, have: int, noun: str, path: Path) -> Iterator[Problem]:
    if least is not None and have < least:
        yield _wrong(
            path,
            f"has {_count(have, noun)}" if have else "is empty",
            f"it has at least {_count(least, noun)}",
        )
    if most is not None and have > most:
        yield _wrong(path, f"has {_count(have, noun)}", f"it has at most {_count(most, noun)}")


def _twice(schema: Mapping[str, Any], items: Sequence[Any], path: Path) -> Iterator[Problem]:
    """Items that a list may hold only once, and that come again."""
    keys: list[str] = []
    if schema.get("x-kubernetes-list-type") == "map":
        keys = schema["x-kubernetes-list-map-keys"]
    elif not (schema.get("uniqueItems") or schema.get("x-kubernetes-list-type") == "set"):
        return
    first: dict[str, int] = {}
    for index, each in enumerate(items):
        told = {key: each[key] for key in keys if key in each} if keys and isinstance(each, dict) else each
        mark = json.dumps(told, sort_keys=True)
        if mark in first:
            what = (
                " ".join(f"{key} {literal(found)}" for key, found in told.items())
                if keys and told
                else "the same"
            )
            yield Problem(
                (*path, index),
                "duplicate-item",
                f"{named((*path, index))} has {what} again, after {named((*path, first[mark]))}",
                "keep one of them",
            )
        first.setdefault(mark, index)


def _map(
    schema: Mapping[str, Any], value: Mapping[str, Any], path: Path, *, structural: bool
) -> Iterator[Problem]:
    yield from _sizes(schema.get("minProperties"), schema.get("maxProperties"), len(value), "field", path)
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem((*path, name), "missing-field", f"{named(path)} has no {name!r}", f"set {name}")
    for name, below in value.items():
        known = field_schema(schema, name)
        if known is not None:
            yield from _node(known, below, (*path, name), structural=structural)
        elif structural and _is_closed(schema, name):
            yield _unknown(schema, (*path, name))


def _is_closed(schema: Mapping[str, Any], name: str) -> bool:
    """Whether a map takes no field of this name."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties") is True:
        return False
    if schema.get("x-kubernetes-embedded-resource") and name in _EMBEDDED:
        return False
    return "type" in schema or "properties" in schema


def _unknown(schema: Mapping[str, Any], path: Path) -> Problem:
    known = sorted(schema.get("properties", {}))
    name = str(path[-1])
    near = _near(name, known)
    hint = f"known here are {_some(known)}" if known else "nothing can be set here"
    return Problem(path, "unknown-field", f"unknown field {name!r}{_guess(near)}", hint)


def _some(names: Sequence[str]) -> str:
    return f"{listed(names[:_SHOWN_NAMES])}{', …' if len(names) > _SHOWN_NAMES else ''}"


def _combined(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:
    """`allOf`, `anyOf`, `oneOf` and `not`."""
    for each in schema.get("allOf", ()):
        yield from _node(each, value, path, structural=False)
    any_of = schema.get("anyOf")
    if any_of:
        tries = [list(_node(each, value, path, structural=False)) for each in any_of]
        if all(tries):
            yield from min(tries, key=len)
    one_of = schema.get("oneOf")
    if one_of:
        yield from _one_of(one_of, value, path)
    excluded = schema.get("not")
    if excluded is not None and not any(_node(excluded, value, path, structural=False)):
        names = _required_names([excluded])
        what = f"has {' and '.join(names)}" if names else "has a form that is not allowed"
        yield Problem(path, "wrong-value", f"{named(path)} {what}, which it may not", "")


def _one_of(branches: Sequence[Mapping[str, Any]], value: Any, path: Path) -> Iterator[Problem]:
    tries = [list(_node(each, value, path, structural=False)) for each in branches]
    fitting = [branch for branch, wrong in zip(branches, tries, strict=True) if not wrong]
    if len(fitting) == 1:
        return
    names = _required_names(branches)
    both = [name for name in names if isinstance(value, dict) and name in value]
    if len(both) > 1:
        hint = f"keep one of {listed(both)}"
        yield Problem(
            path, "too-many-set", f"{named(path)} has {' and '.join(both)}, which exclude each other", hint
        )
    elif names and not both:
        yield Problem(
            path, "missing-field", f"{named(path)} has none of {listed(names)}", f"set one of {listed(names)}"
        )
    elif not fitting:
        yield from min(tries, key=len)
    else:
        what = f"fits {len(fitting)} forms where it may fit one"
        yield Problem(
            path, "wrong-value", f"{named(path)} {what}", "leave out the fields of all forms but one"
        )


def _required_names(branches: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields that tell branches apart, as protobuf's oneofs are written in OpenAPI."""
    return [name for branch in branches for name in branch.get("required", ())]
