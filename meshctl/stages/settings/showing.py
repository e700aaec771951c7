"""Values as they may be shown: where each is from, and nothing of what is secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where, listed, nearest
from meshctl.model.mesh import dotted
from meshctl.model.values import is_missing, look, steps
from meshctl.stages.comparing.secrets import masked
from meshctl.stages.planning.shapes import SECRET
from meshctl.stages.schema import typed
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings import operator

if TYPE_CHECKING:
    from meshctl.model.mesh import Path
    from meshctl.model.values import Values


def shown(path: Path, value: Any) -> Any:
    """A value as it may be shown; `path` is its place in a spec.

    What is declared a secret is left out, and so is what its name gives away.
    """
    if isinstance(value, dict):
        return masked(
            str(path[-1]) if path else "", {key: shown((*path, key), below) for key, below in value.items()}
        )
    if isinstance(value, list):
        return [shown((*path, index), each) for index, each in enumerate(value)]
    declared = schema().declared(path)
    if declared is not None and declared.secret and value:
        return SECRET
    return masked(str(path[-1]) if path else "", value)


def explained(values: Values, path: str) -> list[tuple[Any, Where]]:
    """Each value given for a path and its place, the winner first, as they may be shown.

    Raises:
        ConfigError: there is no such value; the hint names what is near.
    """
    wanted = steps(path)
    found = values.explain(path)
    if not found:
        _require(values, wanted, path)
    return [(shown(wanted, value), where) for value, where in found]


def text(value: Any) -> str:
    """A value on one line; maps and lists as YAML and JSON write them."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _require(values: Values, wanted: Path, path: str) -> None:
    """Refuse a path that nobody could set."""
    for length in range(1, len(wanted) + 1):
        known = names(values, wanted[: length - 1])
        if known is None:
            return
        step = str(wanted[length - 1])
        if step in known or isinstance(wanted[length - 1], int):
            continue
        near = nearest(step, known)
        guess = (
            f"; did you mean {dotted((*wanted[: length - 1], near)).removeprefix('values.')!r}?"
            if near
            else ""
        )
        elsewhere = [dotted(each.path[1:]) for each in schema().paths() if each.path[-1] == wanted[-1]]
        hint = f"there is {listed(elsewhere[:3])}" if elsewhere else f"known there are {_some(known)}"
        raise ConfigError(
            "unknown-value", f"there is no value {path!r}{guess}", where=Where("--explain"), hint=hint
        )


def _some(names: list[str]) -> str:
    return f"{listed(names[:12])}{', …' if len(names) > 12 else ''}"


def names(values: Values, path: Path) -> list[str] | None:
    """What may stand below a place of a spec; None where anything may."""
    there = look(values.spec, path)
    given = list(there) if not is_missing(there) and isinstance(there, dict) else []
    if path == ():
        return sorted({*operator.SPEC, *given})
    if path[:1] == ("values",):
        declared = schema().declared(path)
        fields = typed.field_names(declared) if declared is not None else schema().names(path)
        return None if fields is None else sorted({*fields, *given})
    below: Any = operator.SPEC
    for step in path:
        below = below.get(str(step)) if isinstance(below, dict) else None
    return sorted({*below, *given}) if isinstance(below, dict) else None
