"""What a schema cannot say about a value: rules by the `type_name` of its nodes, and the keys of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from meshctl.crds.patterns import compiled
from meshctl.crds.schema import Array, Map, Object
from meshctl.crds.structural import Path, Problem, named
from meshctl.model.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshctl.crds.schema import Schema

Rule: TypeAlias = "Callable[[Any, Path], Iterator[Problem]]"


def broken(
    schema: Schema,
    value: Any,
    rules: Mapping[str, Rule],
    path: Path = (),
    *,
    whole: bool = True,
    whole_items: bool = True,
) -> Iterator[Problem]:
    """The rules that a value breaks, deepest first.

    Args:
        schema: what the value is; it must fit, as `structural.problems` finds out.
        value: the value, without nulls.
        rules: by type name.
        path: where the value stands.
        whole: whether nothing of the value stands elsewhere; else maps outside of lists are not judged.
        whole_items: the same of what stands in lists.
    """
    match schema:
        case Object() if isinstance(value, dict):
            for name, below in value.items():
                if name in schema.fields:
                    at = (*path, name)
                    yield from broken(
                        schema.fields[name], below, rules, at, whole=whole, whole_items=whole_items
                    )
        case Map() if isinstance(value, dict):
            for key, below in value.items():
                yield from _key(schema, key, (*path, key))
                at = (*path, key)
                yield from broken(schema.values, below, rules, at, whole=whole, whole_items=whole_items)
        case Array() if isinstance(value, list):
            for index, each in enumerate(value):
                at = (*path, index)
                yield from broken(schema.items, each, rules, at, whole=whole_items, whole_items=whole_items)
        case _:
            pass
    if schema.type_name in rules and (whole or not isinstance(value, dict)):
        yield from rules[schema.type_name](value, path)


def _key(schema: Map, key: str, path: Path) -> Iterator[Problem]:
    known = schema.keys
    if known is None:
        return
    unfit = known.longest is not None and len(key) > known.longest
    unfit = unfit or len(key) < (known.shortest or 0)
    if unfit or not compiled(known.pattern).search(key):
        yield Problem(path, "wrong-key", f"{quoted(key)} cannot be a key here", f"a key is {known.doc}")


def wrong(path: Path, what: str, hint: str = "") -> Problem:
    """A value that cannot be: `what` follows the name of its place."""
    return Problem(path, "wrong-value", f"{named(path)} {what}", hint)


def one_of(value: Mapping[str, Any], path: Path, *names: str, need: bool = True) -> Iterator[Problem]:
    """At most one of these fields is set, and one where it is needed."""
    given = [name for name in (names or value) if name in value]
    if len(given) > 1:
        yield wrong(path, f"has {' and '.join(given)}, which exclude each other", "keep one of them")
    elif need and not given:
        yield wrong(path, "says nothing", f"set one of {', '.join(names)}" if names else "")


def unique(items: list[Any], path: Path, *keys: str) -> Iterator[Problem]:
    """No two items are the same in these fields, where they have them."""
    seen: set[tuple[Any, ...]] = set()
    for index, each in enumerate(items):
        told = tuple(each.get(key) for key in keys)
        if told[0] is not None and told in seen:
            yield wrong((*path, index), f"has the {keys[0]} {told[0]!r} again", "keep one of them")
        seen.add(told)
