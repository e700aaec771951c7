"""Whether a value fits the one field it is for."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.mesh import dotted
from meshctl.model.wording import quoting, shown
from meshctl.stages.schema import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.crds.structural import Problem
    from meshctl.errors import Where
    from meshctl.model.mesh import Overlay, Path
    from meshctl.stages.settings.catalogue import Field

_PERCENTAGE = re.compile(r"\d+%\Z", re.ASCII)
SPOKEN = {
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
"""Types of component.yaml in the words of an error message."""


def check_field(
    field: Field, value: Any, path: Path, overlay: Overlay, name: str = ""
) -> Iterator[ConfigError]:
    """What is wrong with the value of one field, which stands at `path` of an overlay; nothing with None."""
    if value is None:
        return
    name = name or dotted(path[1:])
    kind = typed.form(field.type)
    if not _fits(kind, value):
        hint = quoting(value, wants_text=kind in ("string", "ports", "cidrs")) or field.doc.rstrip(".")
        yield ConfigError(
            "wrong-type",
            f"{name} is {SPOKEN[kind]}, not {shown(value)}",
            where=overlay.where(path),
            hint=hint,
        )
    elif (known := typed.type_of(field.type, field.of)) is not None:
        for each in typed.problems(known, value, name=name, partial=True, sparse=overlay.is_flag):
            yield told(each, overlay.where((*path, *each.path)))
    elif field.choices and str(value) not in field.choices:
        near = nearest(str(value), field.choices)
        guess = f"; did you mean {near!r}?" if near else ""
        hint = f"choose one of {listed(repr(each) for each in field.choices)}"
        yield _wrong(f"{name} cannot be {value!r}{guess}", hint, path, overlay)
    elif field.pattern and not re.search(field.pattern, str(value)):
        yield _wrong(f"{name} cannot be {value!r}", field.doc.rstrip("."), path, overlay)
    elif _is_beyond(field, value):
        yield _wrong(f"{name} cannot be {value}", _limits(field), path, overlay)
    elif field.of:
        yield from _check_inside(field, value, path, overlay, name)


def told(problem: Problem, where: Where) -> ConfigError:
    """A problem within a value, as an error at its place."""
    return ConfigError(problem.code, problem.message, where=where, hint=problem.hint)


def _wrong(message: str, hint: str, path: Path, overlay: Overlay) -> ConfigError:
    return ConfigError("wrong-value", message, where=overlay.where(path), hint=hint)


def _is_beyond(field: Field, value: Any) -> bool:
    too_small = field.minimum is not None and value < field.minimum
    return too_small or (field.maximum is not None and value > field.maximum)


def _limits(field: Field) -> str:
    return f"it is {limits(field)}{f' {field.unit}' if field.unit else ''}"


def limits(field: Field) -> str:
    """Smallest and largest number allowed, in words; empty without."""
    least = [f"at least {field.minimum:g}"] if field.minimum is not None else []
    most = [f"at most {field.maximum:g}"] if field.maximum is not None else []
    return " and ".join([*least, *most])


def _check_inside(field: Field, value: Any, path: Path, overlay: Overlay, name: str) -> Iterator[ConfigError]:
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
                f"{shown_name} is {SPOKEN[field.of]}, not {shown(each)}",
                where=where,
                hint=quoting(each, wants_text=field.of == "text"),
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
            return _is_count(value) or (isinstance(value, str) and bool(_PERCENTAGE.match(value)))
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


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _each(value: Any, good: Callable[[str], bool]) -> bool:
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
