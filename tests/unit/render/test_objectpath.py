from __future__ import annotations

import copy
from typing import Any

import pytest

from meshctl.errors import ConfigError, Where
from meshctl.stages.rendering.objectpath import apply_patch, parts

HERE = Where("f.yaml", 3)
TREE: dict[str, Any] = {
    "spec": {"list": [{"name": "a", "args": ["x", "30m"]}, {"name": "b.c"}], "map": {"k": 1}}
}


def changed(path: str, value: Any) -> dict[str, Any]:
    tree = copy.deepcopy(TREE)
    apply_patch(tree, path, value, HERE)
    return tree["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", ["a", "b"]),
        ("a[0]", ["a", "[0]"]),
        ("a.[name:b].c", ["a", "[name:b]", "c"]),
        (r"a.x\.y/z", ["a", "x.y/z"]),
        (r"w.[name:n\.s\.io].c", ["w", "[name:n.s.io]", "c"]),
        ("a.[b:c.d]", ["a", "[b:c.d]"]),
    ],
)
def test_a_path_is_cut_at_its_dots(path: str, found: list[str]) -> None:
    assert parts(path) == found


def test_elements_are_found_by_key_by_value_and_by_index() -> None:
    assert changed("spec.list.[name:a].args.[0]", "y")["list"][0]["args"] == ["y", "30m"]
    assert changed("spec.list.[name:a].args.[30m]", "y")["list"][0]["args"] == ["x", "y"]
    assert changed("spec.list.[name:a].args.[:30m]", "y")["list"][0]["args"] == ["x", "y"]
    assert changed(r"spec.list.[name:b\.c].new", 1)["list"][1] == {"name": "b.c", "new": 1}


def test_nothing_as_a_value_deletes() -> None:
    assert changed("spec.list.[name:a]", None)["list"] == [{"name": "b.c"}]
    assert changed("spec.map", None).keys() == {"list"}
    assert changed("spec.nothing", None) == TREE["spec"]


def test_an_index_past_the_end_appends() -> None:
    assert changed("spec.list.[0].args.[-1]", "y")["list"][0]["args"] == ["x", "30m", "y"]
    assert changed("spec.list.[9].name", "d")["list"][2] == {"name": "d"}


def test_maps_that_are_missing_are_made() -> None:
    assert changed("spec.new.deep", 1)["new"] == {"deep": 1}
    assert changed("spec.fresh.[0].name", "x")["fresh"] == [{"name": "x"}]


def test_text_that_is_a_map_in_yaml_stands_for_it() -> None:
    assert changed("spec.map", "a:\n  b: 1\n")["map"] == {"a": {"b": 1}}
    assert changed("spec.map", '{"a": 1}')["map"] == '{"a": 1}'
    assert changed("spec.map", "http://x")["map"] == "http://x"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.list.[name:z].x", 1),
        ("spec.map.[0]", 1),
        ("spec.list.key", 1),
        ("spec.map.k.deeper", 1),
        ("", 1),
        ("spec.list.[7]", None),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_its_place(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="leads nowhere") as refusal:
        changed(path, value)
    assert refusal.value.where == HERE
