"""What is wrong with a tree that should have a shape: things unknown, missing or misspelt."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.mesh import dotted
from meshctl.model.wording import quoting, shown
from meshctl.stages.fleet.meshshape import PATTERNS
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.mesh import Overlay, Path
    from meshctl.stages.fleet.meshshape import Shape

DEEP = ("values", "meshConfig", "components")
"""Types whose inside the schema of values judges."""

_HOST = re.compile(
    r"^(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
)
_SPOKEN = {
    "list": "a list",
    "boolean": "true or false",
    "port": "a port, 1 to 65535",
    "days": "a number of days, 1 to 36500",
    "address": "an IP address or a host name",
    **dict.fromkeys(("map", *DEEP), "a map"),
    **dict.fromkeys(("text", "profile", "platform"), "text"),
}


def problems(value: Any, shape: Shape, path: Path, doc: Overlay) -> Iterator[ConfigError]:
    """Everything that does not fit.

    Args:
        value: what stands there; nulls are as good as nothing.
        shape: what should.
        path: where, within the document.
        doc: the document, which knows its lines.
    """
    if not _fits(shape.type, value):
        yield ConfigError(
            "wrong-type",
            f"{dotted(path) or 'a mesh'} is {_SPOKEN[shape.type]}, not {shown(value)}",
            where=doc.where(path),
            hint=quoting(value, wants_text=_SPOKEN[shape.type] == "text"),
        )
    elif shape.type == "map":
        yield from _keys(value, shape, path, doc)
    elif shape.of is not None:
        if not value:
            yield ConfigError(
                "incomplete-value", f"{dotted(path)} is empty", where=doc.where(path), hint=shape.doc
            )
        for index, each in enumerate(value):
            yield from problems(each, shape.of, (*path, index), doc)
    elif shape.type in ("profile", "platform"):
        yield from _chosen(value, _catalogue(shape.type), path, doc)
    elif shape.choices:
        yield from _chosen(value, shape.choices, path, doc)
    elif shape.pattern and not re.search(shape.pattern, value):
        yield ConfigError(
            "wrong-value",
            f"{dotted(path)} cannot be {value!r}",
            where=doc.where(path),
            hint=f"it has {PATTERNS[shape.pattern]}",
        )


def _keys(value: dict[str, Any], shape: Shape, path: Path, doc: Overlay) -> Iterator[ConfigError]:
    for key, below in value.items():
        known = shape.keys.get(key)
        if known is None:
            near = nearest(key, shape.keys)
            guess = f"; did you mean {near!r}?" if near else ""
            yield ConfigError(
                "unknown-field",
                f"unknown field {dotted((*path, key))!r}{guess}",
                where=doc.where((*path, key)),
                hint=f"known here are {listed(shape.keys)}",
            )
        elif below is not None:
            yield from problems(below, known, (*path, key), doc)
    for key, known in shape.keys.items():
        if known.required and value.get(key) is None:
            yield ConfigError(
                "incomplete-value",
                f"{dotted(path) or 'a mesh'} has no {key!r}",
                where=doc.where(path),
                hint=known.doc,
            )


def _catalogue(kind: str) -> tuple[str, ...]:
    if kind == "profile":
        return catalogue.profiles()
    return tuple(each for each in catalogue.platforms() if each != "sandbox")  # that one is only ever seen


def _chosen(value: str, choices: tuple[str, ...], path: Path, doc: Overlay) -> Iterator[ConfigError]:
    if value not in choices:
        near = nearest(value, choices)
        guess = f"; did you mean {near!r}?" if near else ""
        yield ConfigError(
            "wrong-value",
            f"{dotted(path)} cannot be {value!r}{guess}",
            where=doc.where(path),
            hint=f"choose one of {listed(choices)}",
        )


def _fits(kind: str, value: Any) -> bool:
    match kind:
        case "map" | "values" | "meshConfig" | "components":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list)
        case "boolean":
            return isinstance(value, bool)
        case "port":
            return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
        case "days":
            return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 36500
        case "address":
            return isinstance(value, str) and (is_ip(value) or is_host(value))
        case _:
            return isinstance(value, str)


def is_ip(text: str) -> bool:
    """Whether a text is an IP address, not the name of a host."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether a text is the name of a host; four numbers that are no address are none."""
    return bool(_HOST.match(text)) and not re.fullmatch(r"[\d.]+", text)


def without_nulls(value: Any) -> Any:
    """A tree without what is null, which says nothing; among values a null may mean something, and stays."""
    if isinstance(value, dict):
        return {
            key: each if key in DEEP else without_nulls(each)
            for key, each in value.items()
            if each is not None
        }
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value
