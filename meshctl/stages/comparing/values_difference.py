"""How two settled sets of values differ, and which file says each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.comparison import Setting
from meshctl.model.mesh import dotted
from meshctl.model.values import is_missing, look
from meshctl.stages.comparing.secrets import masked_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.errors import Where
    from meshctl.model.mesh import Path
    from meshctl.model.values import Values


def compare(left: Values, right: Values) -> tuple[Setting, ...]:
    """The settings that differ, sorted by path; a list is one setting, and a map that is empty is one."""
    ours, theirs = dict(leaves(left.plain())), dict(leaves(right.plain()))
    found = []
    for path in sorted(ours.keys() | theirs.keys(), key=dotted):
        one, other = ours.get(path), theirs.get(path)
        if _differ(one, other) and not (_is_hull(path, one, theirs) or _is_hull(path, other, ours)):
            shown = masked_pair(str(path[-1]), one, other)
            found.append(Setting(dotted(path), *shown, origin(left, path), origin(right, path)))
    return tuple(found)


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every setting of a tree with its path; nulls say nothing and are left out."""
    if isinstance(tree, dict) and tree:
        for key, below in tree.items():
            yield from leaves(below, (*path, key))
    elif tree is not None:
        yield path, tree


def origin(values: Values, path: Path) -> Where | None:
    """Where the value at a path was said; None when nobody did."""
    for overlay in reversed(values.overlays):
        if not is_missing(look(overlay.tree, path)):
            return overlay.where(path)
    return None


def _differ(one: Any, other: Any) -> bool:
    return type(one) is not type(other) or one != other


def _is_hull(path: Path, value: Any, other: dict[Path, Any]) -> bool:
    """Whether this is an empty map that the other side has filled: its settings are told one by one."""
    return value == {} and any(each[: len(path)] == path and each != path for each in other)
