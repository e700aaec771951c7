"""Settings that only some of Istio's minors have: refused, or left out where a packaged file sets them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.model.mesh import Layer, dotted
from meshctl.model.values import is_missing, look
from meshctl.stages.settings import catalogue, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.mesh import Overlay
    from meshctl.model.values import Tree, Version
    from meshctl.stages.settings.catalogue import Field


def problems(overlay: Overlay, of: Version) -> Iterator[ConfigError]:
    """The settings in a user's overlay that this version would ignore without a word."""
    for field in _missing(of):
        asked = look(overlay.tree, field.path)
        if asked not in (None, "") and not is_missing(asked):
            yield ConfigError(
                "not-in-this-version",
                f"Istio {of.full} has no {dotted(field.path[1:])}",
                where=overlay.where(field.path),
                hint=f"{_since(field)}choose another version with --istio-version, or leave it out",
            )


def available(overlay: Overlay, of: Version) -> Overlay:
    """An overlay of ours without the settings that this version does not have; a user's stays as it is."""
    if overlay.layer >= Layer.FILE:
        return overlay
    tree = overlay.tree
    for field in _missing(of):
        if not is_missing(look(tree, field.path)):
            tree = without(tree, field.path)
    return replace(overlay, tree=tree)


def _missing(of: Version) -> list[Field]:
    return [field for field in _conditional() if field.feature not in of.features]


@cache
def _conditional() -> tuple[Field, ...]:
    known = catalogue.components().values()
    return tuple(field for each in known for field in each.fields if field.feature)


def _since(field: Field) -> str:
    """Which minor brought a setting."""
    bringers = (each for each in versions.versions() if field.feature in versions.version(each).features)
    first = next(bringers, "")
    return f"it came with Istio {first}: " if first else ""


def without(tree: Mapping[str, Any], path: tuple[str, ...]) -> Tree:
    """A tree without what stands at a path of keys, which is there."""
    head, *rest = path
    kept = {key: value for key, value in tree.items() if key != head}
    return {**kept, head: without(tree[head], tuple(rest))} if rest else kept
