"""Merging and origins, for overlays of any form over all layers."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.errors import Where
from meshctl.model.mesh import Cluster, Layer, Mesh, Overlay
from meshctl.model.values import Values, Version, merge, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALARS = st.one_of(st.integers(), st.booleans(), st.text(max_size=3), st.lists(st.integers(), max_size=3))
LEAVES = st.one_of(st.none(), SCALARS)
LOOSE = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)
"""Trees in which a place may be a map here and a number there."""
VERSION = Version("1.32", "1.32.0", ">=1.32, <1.37", (), "1.32", frozenset())


def typed(depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Trees of one shape: `a` and `b` are values, `g` and `h` are groups, as a schema has it."""
    fields: dict[str, st.SearchStrategy[Any]] = {"a": LEAVES, "b": LEAVES}
    if depth:
        fields |= {"g": st.deferred(lambda: typed(depth - 1)), "h": st.deferred(lambda: typed(depth - 1))}
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def overlays(draw: Any) -> tuple[Overlay, ...]:
    """Overlays of any layers, lowest first, in which every place has a line of its own."""
    layers = sorted(draw(st.lists(st.sampled_from(list(Layer)), max_size=6)))
    return tuple(overlay(layer, f"{index}.yaml", draw(LOOSE)) for index, layer in enumerate(layers))


def overlay(layer: Layer, file: str, tree: dict[str, Any]) -> Overlay:
    numbers = count(1)
    spec = {"values": tree}
    lines = {path: next(numbers) for path, _ in places(spec, ())}
    return Overlay(layer, file, spec, lines)


def places(tree: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, tree
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, below in inside:
        yield from places(below, (*path, key))


def spelled(path: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@settings(max_examples=50, deadline=None)
@given(typed(), typed(), typed())
def test_merging_is_associative_where_a_place_is_a_group_in_all_or_in_none(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@settings(max_examples=50, deadline=None)
@given(overlays())
def test_every_value_is_that_of_the_place_which_is_named_as_its_origin(laid: tuple[Overlay, ...]) -> None:
    values = Values(Mesh("mesh", (Cluster("c"),)), Cluster("c"), VERSION, laid)
    by_file = {each.origin: each for each in laid}
    for path, value in places(merged(laid).get("values", {}), ()):
        if isinstance(value, dict) or not path:
            continue
        (winner, where), *beaten = values.explain(spelled(path))
        assert winner == value == values.at(spelled(path))
        assert where.line == by_file[where.file].lines["values", *path]
        order = [laid.index(by_file[other.file]) for _, other in [(winner, where), *beaten]]
        assert order == sorted(order, reverse=True)


@settings(max_examples=50, deadline=None)
@given(overlays(), st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_what_is_not_there_has_no_origin(laid: tuple[Overlay, ...], steps: list[str]) -> None:
    values = Values(Mesh("mesh", (Cluster("c"),)), Cluster("c"), VERSION, laid)
    nothing = object()
    if values.at(".".join(steps), nothing) is nothing:
        assert values.explain(".".join(steps)) == []


def test_a_place_that_was_replaced_by_something_else_hides_what_was_below_it() -> None:
    laid = (overlay(Layer.PROFILE, "low", {"a": {"b": 1}}), overlay(Layer.FILE, "high", {"a": 5}))
    values = Values(Mesh("mesh", (Cluster("c"),)), Cluster("c"), VERSION, laid)
    assert values.explain("a.b") == []
    assert values.explain("a") == [(5, Where("high", 3, "values.a")), ({"b": 1}, Where("low", 3, "values.a"))]
