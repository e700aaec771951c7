"""Which values there are, and which of them a value fits."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.mesh import dotted
from meshctl.model.wording import shown
from meshctl.stages.schema.fields import check_field
from meshctl.stages.schema.typed import node_at, type_of
from meshctl.stages.settings.advice import MOVED
from meshctl.stages.settings.catalogue import Field, components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.schema import Schema as Node
    from meshctl.model.mesh import Overlay, Path


class Schema:
    """The values of all components, as a tree of fields."""

    def __init__(self, fields: Iterator[Field]) -> None:
        """Gather `fields`."""
        self._tree: dict[str, Any] = {}
        for each in fields:
            here = self._tree
            for step in each.path[1:-1]:
                here = here.setdefault(step, {})
            here[each.path[-1]] = each

    def field(self, path: tuple[str, ...]) -> Field | None:
        """The field at exactly this path, which begins with `values`."""
        here: Any = self._tree
        for step in path[1:]:
            here = here.get(step) if isinstance(here, dict) else None
        return here if isinstance(here, Field) and path[:1] == ("values",) else None

    def above(self, path: Path) -> Field | None:
        """The field at this path or above it, whose value this is or is a part of."""
        here: Any = self._tree
        for step in path[1:]:
            here = here.get(step) if isinstance(here, dict) else None
            if isinstance(here, Field):
                return here if path[:1] == ("values",) else None
        return None

    def declared(self, path: Path) -> Node | None:
        """What is declared of a place within a field of Kubernetes' or Istio's own types; else None."""
        field = self.above(path)
        known = type_of(field.type, field.of) if field else None
        return node_at(known.schema, path[len(field.path) :]) if field and known else None

    def names(self, path: Path) -> tuple[str, ...] | None:
        """What stands below a group of values; None below a value."""
        here: Any = self._tree
        for step in path[1:]:
            here = here.get(step) if isinstance(here, dict) else None
        return tuple(here) if isinstance(here, dict) else None

    def has(self, key: str) -> bool:
        """Whether a value or group of values of this name stands at the top."""
        return key in self._tree

    def paths(self) -> Iterator[Field]:
        """Every field, by path."""
        yield from _leaves(self._tree)

    def grouped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values without the nulls that stand for a whole group: nothing said is nothing changed."""
        return _grouped(values, self._tree)

    def check(self, overlay: Overlay) -> Iterator[ConfigError]:
        """What is wrong with an overlay's values: unknown names, wrong types, values not allowed."""
        values = overlay.tree.get("values")
        if isinstance(values, dict):
            yield from self._check(values, self._tree, ("values",), overlay)

    def _check(
        self, values: Mapping[str, Any], known: dict[str, Any], path: tuple[str, ...], overlay: Overlay
    ) -> Iterator[ConfigError]:
        for key, value in values.items():
            below = (*path, key)
            said = known.get(key)
            if said is None:
                yield self._unknown(key, known, below, overlay)
            elif isinstance(said, Field):
                yield from check_field(said, value, below, overlay)
            elif isinstance(value, dict):
                yield from self._check(value, said, below, overlay)
            elif value is not None:
                yield ConfigError(
                    "wrong-type",
                    f"{dotted(below[1:])} is a map, not {shown(value)}",
                    where=overlay.where(below),
                    hint=f"set one of {listed(sorted(said)[:8])} below it",
                )

    def _unknown(
        self, key: str, known: dict[str, Any], path: tuple[str, ...], overlay: Overlay
    ) -> ConfigError:
        near = nearest(key, known)
        moved = MOVED.get(dotted(path[1:]))
        elsewhere = [each.path for each in self.paths() if each.path[-1] == key]
        guess = f"; did you mean {near!r}?" if near else ""
        if moved:
            guess, hint = "", f"use {moved} instead"
        elif near:
            hint = "write it so, or put it under unvalidatedValues if your own templates need it"
        elif elsewhere:
            hint = f"there is {listed(dotted(each) for each in elsewhere[:3])}"
        else:
            hint = f"known here are {listed(sorted(known)[:12])}{', …' if len(known) > 12 else ''}"
        return ConfigError(
            "unknown-value",
            f"unknown value {dotted(path[1:])!r}{guess}",
            where=overlay.where(path),
            hint=hint,
        )


@cache
def schema() -> Schema:
    """The values that the packaged components take."""
    return Schema(field for component in components().values() for field in component.fields)


def _grouped(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        below = known.get(key)
        if not isinstance(below, dict):
            found[key] = value
        elif isinstance(value, dict):
            found[key] = _grouped(value, below)
    return found


def _leaves(tree: dict[str, Any]) -> Iterator[Field]:
    for each in tree.values():
        if isinstance(each, Field):
            yield each
        else:
            yield from _leaves(each)
