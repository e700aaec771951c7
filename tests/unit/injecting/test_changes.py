"""JSON patches, and changes carried over to data in another form."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshctl.errors import FailedError
from meshctl.stages.injecting.changes import carried, difference, patched

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "a/b~c"]),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b/c", "d~e", ""]), below)
    ),
    max_leaves=8,
)


@given(TREES, TREES)
def test_a_difference_applied_gives_the_other_side(before: Any, after: Any) -> None:
    result = patched(before, difference(before, after))
    assert result == after
    assert type(result) is type(after)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/a/1", "value": 9}, {"a": [1, 9, 2], "b": {"c": 3}}),
        ({"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 9], "b": {"c": 3}}),
        ({"op": "remove", "path": "/a/0"}, {"a": [2], "b": {"c": 3}}),
        ({"op": "replace", "path": "/b/c", "value": None}, {"a": [1, 2], "b": {"c": None}}),
        ({"op": "move", "from": "/b/c", "path": "/d"}, {"a": [1, 2], "b": {}, "d": 3}),
        ({"op": "copy", "from": "/a/1", "path": "/b/d"}, {"a": [1, 2], "b": {"c": 3, "d": 2}}),
        ({"op": "test", "path": "/b/c", "value": 3}, {"a": [1, 2], "b": {"c": 3}}),
        ({"op": "replace", "path": "", "value": 1}, 1),
    ],
)
def test_every_operation_of_rfc_6902_is_applied(operation: dict[str, Any], result: Any) -> None:
    assert patched({"a": [1, 2], "b": {"c": 3}}, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/x"},
        {"op": "replace", "path": "/a/5", "value": 1},
        {"op": "test", "path": "/a/0", "value": 2},
        {"op": "turn", "path": "/a"},
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(FailedError, match="a JSON patch does not fit"):
        patched({"a": [1]}, [operation])


def test_what_a_yaml_alias_shares_changes_in_one_place_only() -> None:
    shared = yaml.safe_load("{a: &empty {}, b: *empty}")
    assert patched(shared, [{"op": "add", "path": "/a/x", "value": 1}]) == {"a": {"x": 1}, "b": {}}


def test_what_did_not_change_keeps_its_own_form() -> None:
    own = {"cpu": 0.5, "extra": 1, "items": [{"name": "a", "x": None}, {"name": "b"}], "none": None}
    before = {"cpu": "500m", "items": [{"name": "a"}, {"name": "b"}]}
    after = {"cpu": "500m", "items": [{"name": "b", "y": 2}, {"name": "a"}, {"name": "c"}], "none": {"z": 1}}
    assert carried(own, before, after) == {
        "cpu": 0.5,
        "extra": 1,
        "items": [{"name": "b", "y": 2}, {"name": "a", "x": None}, {"name": "c"}],
        "none": {"z": 1},
    }
