"""The functions every template has; `and` and `or` are in `evaluate`, for they stop early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote_plus

from meshctl.gotemplate import literals, printing, values
from meshctl.gotemplate.calling import Value, conform, signature
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.values import ANY, MISSING, Struct, Uint8

_BASIC = {"bool": "bool", "string": "string", "float64": "float"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def is_whole(value: object) -> bool:
    """Whether a value is of one of Go's integer types."""
    return isinstance(value, int) and not isinstance(value, bool)


def _basic(value: object) -> str:
    """`bool`, `string`, `float`, `int` or `uint`; empty for what is none of them."""
    found = values.kind(value)
    if found.startswith(("int", "uint")):
        return found.rstrip("0123456789")
    return _BASIC.get(found, "")


def _eq(first: Value, *others: Value) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _equal(left: Value, right: Value) -> bool:
    left_kind, right_kind = _basic(left), _basic(right)
    if left_kind.removeprefix("u") != right_kind.removeprefix("u"):
        if values.kind(left) != "invalid" and values.kind(right) != "invalid":
            raise CallError(f"cannot compare a {values.go_type(left)} with a {values.go_type(right)}")
        return False
    if left_kind:
        return left == right
    kinds = {values.kind(left), values.kind(right)}
    if len(kinds) > 1 and "invalid" not in kinds:
        raise CallError(f"cannot compare a {values.go_type(left)} with a {values.go_type(right)}")
    if values.is_nil(left) or values.is_nil(right):
        return values.is_nil(left) == values.is_nil(right)
    if not isinstance(right, Struct):
        raise CallError(f"a {values.go_type(right)} cannot be compared")
    return left is right


def _ne(left: Value, right: Value) -> bool:
    return not _equal(left, right)


def _lt(left: Value, right: Value) -> bool:
    left_kind, right_kind = _basic(left), _basic(right)
    if left_kind.removeprefix("u") != right_kind.removeprefix("u"):
        raise CallError(f"cannot compare a {values.go_type(left)} with a {values.go_type(right)}")
    if left_kind in ("", "bool"):
        raise CallError(f"a {values.go_type(left)} has no order")
    if isinstance(left, str) and isinstance(right, str):
        return literals.to_bytes(left) < literals.to_bytes(right)
    return bool(left < right)  # type: ignore[operator]  # both are numbers


def _le(left: Value, right: Value) -> bool:
    return _lt(left, right) or _equal(left, right)


def _gt(left: Value, right: Value) -> bool:
    return not _le(left, right)


def _ge(left: Value, right: Value) -> bool:
    return not _lt(left, right)


def _not(value: Value) -> bool:
    return not values.truth(value)


def _len(value: Value) -> int:
    if isinstance(value, str):
        return len(literals.to_bytes(value))
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise CallError(f"a {values.go_type(value)} has no length")


def _position(index: Value, limit: int) -> int:
    if not is_whole(index):
        raise CallError(f"cannot index with a {values.go_type(index)}")
    assert isinstance(index, int)
    if not 0 <= index <= limit:
        raise CallError(f"index {index} is out of range")
    return index


def _index(item: Value, *indexes: Value) -> Value:
    if values.kind(item) == "invalid":
        raise CallError("index of nil", "guard it with {{if}}")
    for index in indexes:
        match item:
            case str():
                item = Uint8(literals.to_bytes(item)[_position(index, len(literals.to_bytes(item)))])
            case list() | tuple():
                item = item[_position(index, len(item))]
            case dict():
                element = getattr(item, "element", ANY)
                key = "" if index is None else conform(index, "string")
                if index is None or index is MISSING:
                    raise CallError("cannot index a map with nil")
                item = item.get(str(key), values.zero(element))
            case _:
                raise CallError(f"cannot index a {values.go_type(item)}")
    return item


def _slice(item: Value, *indexes: Value) -> Value:
    if not isinstance(item, str | list | tuple):
        raise CallError(f"cannot slice a {values.go_type(item)}")
    if len(indexes) > (2 if isinstance(item, str) else 3):
        raise CallError("too many indexes")
    whole = literals.to_bytes(item) if isinstance(item, str) else item
    places = [_position(index, len(whole)) for index in indexes]
    start = places[0] if places else 0
    end = places[1] if len(places) > 1 else len(whole)
    if start > end or (len(places) > 2 and end > places[2]):
        raise CallError(f"invalid slice from {start} to {end}")
    if isinstance(item, str):
        return literals.from_bytes(literals.to_bytes(item)[start:end])
    return values.List(item[start:end], getattr(item, "element", ANY))


def _call(function: Value, *arguments: Value) -> Value:
    if not callable(function):
        raise CallError(f"a {values.go_type(function)} is no function")
    wanted = signature(function)
    if not wanted.takes(len(arguments)):
        raise CallError(f"the function wants {wanted.wants()} arguments, got {len(arguments)}")
    return function(*(conform(each, wanted.type_of(place)) for place, each in enumerate(arguments)))


def _print(*operands: object) -> str:
    return printing.sprint(operands)


def _printf(template: str, *arguments: object) -> str:
    return printing.sprintf(template, arguments)


def _println(*operands: object) -> str:
    return printing.sprintln(operands)


def _text(operands: tuple[object, ...]) -> str:
    """What the escaping functions make of their operands."""
    if len(operands) == 1 and isinstance(operands[0], str):
        return operands[0]
    return printing.sprint(["<no value>" if each is None else each for each in operands])


def _html(*operands: object) -> str:
    escaped = _text(operands).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&#34;").replace("'", "&#39;").replace("\0", "\ufffd")


def _js(*operands: object) -> str:
    return "".join(_js_character(each) for each in _text(operands))


def _js_character(one: str) -> str:
    if one in _JS:
        return _JS[one]
    if ord(one) < 32 or (ord(one) > 127 and not one.isprintable()):
        return f"\\u{ord(one):04X}"
    return one


def _urlquery(*operands: object) -> str:
    return quote_plus(literals.to_bytes(_text(operands)), safe="~")


BUILTINS: Final[dict[str, Callable[..., object]]] = {
    "call": _call,
    "eq": _eq,
    "ge": _ge,
    "gt": _gt,
    "html": _html,
    "index": _index,
    "js": _js,
    "le": _le,
    "len": _len,
    "lt": _lt,
    "ne": _ne,
    "not": _not,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "urlquery": _urlquery,
}
