from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshctl.stages.rendering.emit import block, dump

# A surrogate alone is no text that could be written to a file.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
lines = st.lists(texts, max_size=4).map("\n".join)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts, lines
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)
LOADERS = [yaml.SafeLoader, yaml.CSafeLoader]


@given(st.dictionaries(texts, trees, max_size=4))
def test_what_is_written_is_read_back_as_it_was(tree: dict[str, Any]) -> None:
    for loader in LOADERS:
        assert yaml.load(block(tree), Loader=loader) == tree


@given(trees)
def test_data_of_any_shape_is_read_back_as_it_was(tree: Any) -> None:
    assert yaml.load(block(tree), Loader=yaml.CSafeLoader) == tree


@given(st.lists(st.dictionaries(texts, trees, min_size=1, max_size=3), max_size=3))
def test_a_stream_keeps_its_documents_apart(contents: list[dict[str, Any]]) -> None:
    assert list(yaml.load_all(dump(contents), Loader=yaml.CSafeLoader)) == contents


WORDS = ["yes", "No", "on", "n", "null", "~", "1", "1.0", "0x1", "1e3", "1:30", "2026-01-02"]


@pytest.mark.parametrize("word", [*WORDS, "", " a", "a: b", "a #b", "- a", "=", "<<"])
def test_text_that_a_reader_could_take_for_something_else_is_quoted(word: str) -> None:
    assert block({"key": word}) == f'key: "{word}"\n'


def test_text_of_several_lines_stands_as_it_is() -> None:
    assert (
        block({"a": "x\n  y\n", "b": "x\n\ny", "c": "x\n\n"})
        == "a: |\n  x\n    y\nb: |-\n  x\n\n  y\nc: |+\n  x\n\n"
    )


def test_keys_keep_their_order_and_lists_stand_under_their_key() -> None:
    tree = {"b": [{"name": "x", "more": [1, []]}, [2, {}]], "a": {}}
    assert block(tree) == "b:\n- name: x\n  more:\n  - 1\n  - []\n-\n  - 2\n  - {}\na: {}\n"
