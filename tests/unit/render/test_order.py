"""Whatever the order in which an input says things, its manifest is the same bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meshctl.model.mesh import Inputs
from meshctl.stages.rendering.emit import dump
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = sorted((Path(__file__).parents[2] / "parity" / "inputs").glob("*.yaml"))


def reordered(tree: Any, order: Callable[[list[Any]], list[Any]]) -> Any:
    """A tree with the keys of every map in another order."""
    if isinstance(tree, dict):
        return {key: reordered(tree[key], order) for key in order(list(tree))}
    return [reordered(each, order) for each in tree] if isinstance(tree, list) else tree


def manifest(tree: Any) -> str:
    asked = load(Inputs(files=("-",)), stdin=yaml.safe_dump(tree, sort_keys=False))
    return dump(each.content for each in render(resolve(asked, asked.mesh.clusters[0])).objects)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_the_order_of_keys_in_a_file_changes_nothing(path: Path) -> None:
    tree = yaml.safe_load(path.read_text("utf-8"))
    shuffled = random.Random(7)
    orders = (lambda keys: keys[::-1], lambda keys: shuffled.sample(keys, len(keys)))
    as_written = manifest(tree)
    assert [manifest(reordered(tree, order)) for order in orders] == [as_written] * len(orders)
