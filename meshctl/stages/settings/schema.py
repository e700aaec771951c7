"""Which values there are, and which of them a value fits."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.mesh import dotted
from meshctl.stages.settings.advice import MOVED
from meshctl.stages.settings.catalogue import Field, components
from meshctl.stages.settings.meshfields import MESH_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.mesh import Overlay

_AMOUNT = re.compile(r"\d+%?\Z")
_SPOKEN = {
    "text": "text",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "amount": "a number or a percentage",
    "ports": "ports separated by commas, or *",
    "cidrs": "CIDR ranges separated by commas, or *",
    "list": "a list",
    "map": "a map",
    "scalar": "a single value",
    "any": "anything",
}
# Fields of the mesh configuration that follow into other objects, so that their types matter here.
_MESH_TYPES = {
    "defaultConfig": "map",
    "defaultProviders": "map",
    "rootNamespace": "string",
    "trustDomain": "string",
}


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


def shown(value: Any) -> str:
    """A value in an error message."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return repr(value)


def check_field(
    field: Field, value: Any, path: tuple[str, ...], overlay: Overlay, name: str = ""
) -> Iterator[ConfigError]:
    """What is wrong with the value of one field, which stands at `path` of an overlay; nothing with None."""
    if value is None:
        return
    name = name or dotted(path[1:])
    if not _fits(field.type, value):
        hint = quoting(value, field.type in ("string", "ports", "cidrs")) or field.doc.rstrip(".")
        yield ConfigError(
            "wrong-type",
            f"{name} is {_SPOKEN[field.type]}, not {shown(value)}",
            where=overlay.where(path),
            hint=hint,
        )
    elif field.choices and str(value) not in field.choices:
        near = nearest(str(value), field.choices)
        guess = f"; did you mean {near!r}?" if near else ""
        yield ConfigError(
            "wrong-value",
            f"{name} cannot be {value!r}{guess}",
            where=overlay.where(path),
            hint=f"choose one of {listed(repr(each) for each in field.choices)}",
        )
    elif field.pattern and not re.search(field.pattern, str(value)):
        yield ConfigError(
            "wrong-value",
            f"{name} cannot be {value!r}",
            where=overlay.where(path),
            hint=field.doc.rstrip("."),
        )
    elif _is_beyond(field, value):
        yield ConfigError(
            "wrong-value", f"{name} cannot be {value}", where=overlay.where(path), hint=_limits(field)
        )
    elif field.of:
        yield from _check_inside(field, value, path, overlay, name)
    elif path[-1:] == ("meshConfig",):
        yield from _check_mesh(value, path, overlay)


def _is_beyond(field: Field, value: Any) -> bool:
    too_small = field.minimum is not None and value < field.minimum
    return too_small or (field.maximum is not None and value > field.maximum)


def _limits(field: Field) -> str:
    least = [f"at least {field.minimum:g}"] if field.minimum is not None else []
    most = [f"at most {field.maximum:g}"] if field.maximum is not None else []
    return f"it is {' and '.join([*least, *most])}{f' {field.unit}' if field.unit else ''}"


def _check_inside(
    field: Field, value: Any, path: tuple[str, ...], overlay: Overlay, name: str
) -> Iterator[ConfigError]:
    """What is wrong with elements of a list, or values of a map."""
    inside = enumerate(value) if isinstance(value, list) else value.items()
    for key, each in inside:
        where = overlay.where((*path, key))
        shown_name = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}"
        if each is None and isinstance(value, dict):
            continue
        if not _fits(field.of, each):
            yield ConfigError(
                "wrong-type",
                f"{shown_name} is {_SPOKEN[field.of]}, not {shown(each)}",
                where=where,
                hint=quoting(each, field.of == "text"),
            )
            continue
        missing = [need for need in field.keys if isinstance(each, dict) and each.get(need) in (None, "")]
        if missing:
            yield ConfigError(
                "incomplete-value",
                f"{shown_name} has no {missing[0]!r}",
                where=where,
                hint=f"each has {listed(field.keys)}",
            )


def _check_mesh(value: dict[str, Any], path: tuple[str, ...], overlay: Overlay) -> Iterator[ConfigError]:
    for key, below in value.items():
        wanted = _MESH_TYPES.get(key, "any")
        if below is not None and not _fits(wanted, below):
            yield ConfigError(
                "wrong-type",
                f"{key} of the mesh configuration is {_SPOKEN[wanted]}, not {shown(below)}",
                where=overlay.where((*path, key)),
                hint=quoting(below, wanted == "string"),
            )
        if key not in MESH_FIELDS:
            near = nearest(key, MESH_FIELDS)
            guess = f"; did you mean {near!r}?" if near else ""
            yield ConfigError(
                "unknown-value",
                f"unknown field {key!r} of the mesh configuration{guess}",
                where=overlay.where((*path, key)),
                hint="see https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/",
            )


def quoting(value: Any, wants_text: bool) -> str:
    """What to do about the quotes of a value, where they are what is wrong with it."""
    if wants_text:
        return "" if isinstance(value, (str, dict, list)) else "put it in quotes"
    plain = isinstance(value, str) and (value.lower() in ("true", "false") or value.lstrip("-").isdigit())
    return "write it without quotes" if plain else ""


def _fits(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "text":
            return isinstance(value, (str, int, float)) and not isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "amount":
            return not isinstance(value, bool) and bool(_AMOUNT.match(str(value)))
        case "ports":
            return _each(value, _is_port)
        case "cidrs":
            return _each(value, _is_range)
        case "list":
            return isinstance(value, list)
        case "map":
            return isinstance(value, dict)
        case "scalar":
            return not isinstance(value, (dict, list)) and value is not None
        case _:
            return True


def _each(value: Any, good: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value in ("", "*") or all(good(part.strip()) for part in value.split(","))


def _is_port(text: str) -> bool:
    return text in ("", "*") or (text.isdigit() and int(text) <= 65535)


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
