"""sprig's functions on lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from meshctl.gotemplate import values
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.sprig.numbers import to_int
from meshctl.gotemplate.values import ANY, List


def deep_equal(left: object, right: object) -> bool:
    """Go's reflect.DeepEqual: of the same type, and equal to the last leaf."""
    if values.go_type(left) != values.go_type(right) or values.is_nil(left) != values.is_nil(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(deep_equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(deep_equal, left, right))
    return left == right


def _items(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise CallError(f"a {values.go_type(value)} is no list")
    return value


def _nil_if_empty(items: Iterable[object]) -> List:
    found = list(items)
    return List(found, is_nil=not found)


def _is_in(needle: object, items: Sequence[object]) -> bool:
    return any(deep_equal(needle, item) for item in items)


def _list(*items: object) -> list[object]:
    return list(items)


def _push(items: object, item: object) -> list[object]:
    return [*_items(items), item]


def _prepend(items: object, item: object) -> list[object]:
    return [item, *_items(items)]


def _first(items: object) -> object:
    return next(iter(_items(items)), None)


def _last(items: object) -> object:
    return next(reversed(_items(items)), None)


def _rest(items: object) -> List:
    return List(_items(items)[1:], is_nil=not items)


def _initial(items: object) -> List:
    return List(_items(items)[:-1], is_nil=not items)


def _reverse(items: object) -> list[object]:
    return list(reversed(_items(items)))


def _compact(items: object) -> list[object]:
    return [item for item in _items(items) if values.truth(item)]


def _uniq(items: object) -> list[object]:
    found: list[object] = []
    for item in _items(items):
        if not _is_in(item, found):
            found.append(item)
    return found


def _without(items: object, *unwanted: object) -> list[object]:
    return [item for item in _items(items) if not _is_in(item, unwanted)]


def _has(needle: object, items: object) -> bool:
    return items is not None and _is_in(needle, _items(items))


def _slice(items: object, *indexes: object) -> object:
    found = _items(items)
    if not found:
        return None
    start = to_int(indexes[0]) if indexes else 0
    end = to_int(indexes[1]) if len(indexes) > 1 else len(found)
    if not 0 <= start <= end <= len(found):
        raise CallError(f"no part from {start} to {end} in a list of {len(found)}")
    return List(found[start:end], getattr(found, "element", ANY))


def _concat(*lists: object) -> List:
    return _nil_if_empty(item for each in lists for item in _items(each))


def _chunk(size: int, items: object) -> List:
    found = _items(items)
    if size <= 0:
        raise CallError(f"no chunks of {size}")
    return List((list(found[at : at + size]) for at in range(0, len(found), size)), f"[]{ANY}")


_EITHER: dict[str, Callable[..., object]] = {
    "append": _push,
    "chunk": _chunk,
    "compact": _compact,
    "first": _first,
    "has": _has,
    "initial": _initial,
    "last": _last,
    "prepend": _prepend,
    "push": _push,
    "rest": _rest,
    "reverse": _reverse,
    "slice": _slice,
    "uniq": _uniq,
    "without": _without,
}
FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    **_EITHER,
    **{f"must{name[0].upper()}{name[1:]}": function for name, function in _EITHER.items()},
    "concat": _concat,
    "deepEqual": deep_equal,
    "list": _list,
    "tuple": _list,
}
