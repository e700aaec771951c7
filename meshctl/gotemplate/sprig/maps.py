"""sprig's functions on maps, and those that choose a value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

from meshctl.gotemplate import values
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.sprig.strings import text_of
from meshctl.gotemplate.values import ANY, List


def _dict(*items: object) -> dict[str, object]:
    padded = [*items, ""]  # a last key without a value gets an empty one
    return {text_of(items[place]): padded[place + 1] for place in range(0, len(items), 2)}


def _get(found: dict[str, object], key: str) -> object:
    return found.get(key, "")


def _set(found: dict[str, object], key: str, value: object) -> dict[str, object]:
    if values.is_nil(found):
        raise CallError("cannot set a key of a nil map")
    found[key] = value
    return found


def _unset(found: dict[str, object], key: str) -> dict[str, object]:
    found.pop(key, None)
    return found


def _has_key(found: dict[str, object], key: str) -> bool:
    return key in found


def _pluck(key: str, *maps: dict[str, object]) -> list[object]:
    return [each[key] for each in maps if key in each]


def _keys(*maps: dict[str, object]) -> List:
    """Sorted, where Go's order is another one each time."""
    return List((key for each in maps for key in sorted(each)), "string")


def _values(found: dict[str, object]) -> list[object]:
    """In the order of the keys, where Go's order is another one each time."""
    return [found[key] for key in sorted(found)]


def _pick(found: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: found[key] for key in keys if key in found}


def _omit(found: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in found.items() if key not in keys}


def _merge(target: dict[str, object], *sources: dict[str, object]) -> object:
    return _merged(target, sources, overwrite=False)


def _merge_overwrite(target: dict[str, object], *sources: dict[str, object]) -> object:
    return _merged(target, sources, overwrite=True)


def _merged(
    target: dict[str, object], sources: tuple[dict[str, object], ...], *, overwrite: bool
) -> dict[str, object]:
    """Merges into `target` itself, as Go does, unless it is nil."""
    target = {} if values.is_nil(target) else target
    for source in sources:
        _merge_into(target, source, overwrite=overwrite)
    return target


def _merge_into(target: dict[str, object], source: dict[str, object], *, overwrite: bool) -> None:
    for key, value in source.items():
        old = target.get(key)
        if value is None and not overwrite:
            continue
        if isinstance(value, dict) and isinstance(old, dict) and not values.is_nil(old):
            _merge_into(old, value, overwrite=overwrite)
            if old:
                continue
        if overwrite or not values.truth(old):
            target[key] = value


def _deep_copy(value: object) -> object:
    if value is None:
        raise CallError("cannot copy nil")
    return copy.deepcopy(value)


def _dig(*path: object) -> object:
    if len(path) < 3:
        raise CallError("wants at least 3 arguments: keys, a default and a map")
    *keys, default, found = path
    for place, key in enumerate(keys):
        if not isinstance(key, str):
            raise CallError(f"a key must be a string, got a {values.go_type(key)}")
        if values.go_type(found) != f"map[string]{ANY}":
            where = f"at {keys[place - 1]!r}" if place else "as the last argument"
            raise CallError(f"wants a map {where}, got a {values.go_type(found)}")
        assert isinstance(found, dict)
        if key not in found:
            return default
        found = found[key]
    return found


def _default(default: object, *given: object) -> object:
    return given[0] if given and values.truth(given[0]) else default


def _empty(value: object) -> bool:
    return not values.truth(value)


def _coalesce(*candidates: object) -> object:
    return next((each for each in candidates if values.truth(each)), None)


def _all(*items: object) -> bool:
    return all(values.truth(each) for each in items)


def _any(*items: object) -> bool:
    return any(values.truth(each) for each in items)


def _ternary(if_true: object, if_false: object, which: bool) -> object:
    return if_true if which else if_false


def _type_of(value: object) -> str:
    return values.go_type(value)


def _type_is(name: str, value: object) -> bool:
    return name == values.go_type(value)


def _type_is_like(name: str, value: object) -> bool:
    return values.go_type(value) in (name, f"*{name}")


def _kind_of(value: object) -> str:
    return values.kind(value)


def _kind_is(name: str, value: object) -> bool:
    return name == values.kind(value)


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "all": _all,
    "any": _any,
    "coalesce": _coalesce,
    "deepCopy": _deep_copy,
    "default": _default,
    "dict": _dict,
    "dig": _dig,
    "empty": _empty,
    "get": _get,
    "hasKey": _has_key,
    "keys": _keys,
    "kindIs": _kind_is,
    "kindOf": _kind_of,
    "merge": _merge,
    "mergeOverwrite": _merge_overwrite,
    "mustDeepCopy": _deep_copy,
    "mustMerge": _merge,
    "mustMergeOverwrite": _merge_overwrite,
    "omit": _omit,
    "pick": _pick,
    "pluck": _pluck,
    "set": _set,
    "ternary": _ternary,
    "typeIs": _type_is,
    "typeIsLike": _type_is_like,
    "typeOf": _type_of,
    "unset": _unset,
    "values": _values,
}
