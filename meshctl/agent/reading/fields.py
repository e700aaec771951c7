"""Dataclasses filled from JSON: a field's name in camelCase is its key, its type says what is right."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from meshctl.agent.reading.document import kind, known_keys
from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from meshctl.agent.reading.document import Document
    from meshctl.agent.reading.problems import Problems
    from meshctl.errors import Where

T = TypeVar("T")

_LARGEST: Final = 2**53
"""Of whole numbers; beyond, JSON's are no longer exact."""
_PORT: Final = "port"
"""A whole number of a field that is called so, or ends so."""
SAYABLE: Final = {
    "str": "a string",
    "bool": "true or false",
    "int": "a whole number, 0 or more",
    _PORT: "a port, from 0 to 65535",
    "float": "a number, 0 or more",
    "tuple[str, ...]": "an array of strings",
    "tuple[int, ...]": "an array of whole numbers, 0 or more",
}
"""What can be said in JSON, by the field's type as it is written."""


def filled(
    made: type[T],
    part: Document | None,
    problems: Problems,
    *,
    given: Mapping[str, Any],
    fixed: Collection[str],
    elsewhere: Where,
) -> T | None:
    """An object of a settings dataclass.

    Args:
        made: the dataclass; what it refuses with ConfigError or ValueError is a problem.
        part: what was set of it in JSON, or None.
        problems: get what is wrong.
        given: values from elsewhere, which `part` overrides.
        fixed: fields that JSON may not set, because something else says them.
        elsewhere: where the given values are from.

    Returns:
        The object; None when it could not be made.
    """
    values = dict(given)
    if part is not None:
        types = {field.name: str(field.type) for field in dataclasses.fields(made) if field.init}  # type: ignore[arg-type]
        names = {camel(name): name for name in types if name not in fixed and types[name] in SAYABLE}
        values.update(_said(part, names, types, [camel(name) for name in fixed], problems))
    where = elsewhere if part is None else part.where()
    try:
        return made(**values)
    except ConfigError as error:
        problems.add(error.message, error.where or where, code=error.code, hint=error.hint)
    except ValueError as error:
        problems.add(str(error), where)
    return None


def camel(name: str) -> str:
    """A field's name in JSON: `first_wait` is `firstWait`."""
    return re.sub(r"_+([a-z0-9])", lambda found: found[1].upper(), name)


def _said(
    part: Document,
    names: Mapping[str, str],
    types: Mapping[str, str],
    fixed: Collection[str],
    problems: Problems,
) -> dict[str, Any]:
    if not isinstance(part.value, dict):
        problems.add(f"there has to be an object, not {kind(part.value)}", part.where(), code="wrong-type")
        return {}
    for key in [key for key in part.value if key in fixed]:
        problems.add(f"{key!r} is set by cluster.env alone", part.where(key), code="unknown-setting")
    known_keys(part, [*names, *fixed], problems)
    said = {}
    for key, value in part.value.items():
        if key not in names:
            continue
        wanted = _PORT if key.lower().endswith("port") else types[names[key]]
        if fits(wanted, value):
            said[names[key]] = _typed(wanted, value)
        else:
            problems.add(
                f"there has to be {SAYABLE[wanted]}, not {shown(value)}", part.where(key), code="wrong-type"
            )
    return said


def fits(wanted: str, value: Any) -> bool:
    """Whether a value of JSON is of a type of `SAYABLE`."""
    if wanted == "str":
        return isinstance(value, str)
    if wanted == "bool":
        return isinstance(value, bool)
    if wanted in ("int", _PORT):
        most = 65535 if wanted == _PORT else _LARGEST
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    if wanted == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return isinstance(value, list) and all(fits(wanted[6:9], each) for each in value)


def shown(value: Any) -> str:
    """A value in a message: short ones as they are, others by their kind."""
    if isinstance(value, bool | int | float) or value is None:
        said = "null" if value is None else str(value).lower()
        return said if len(said) <= 24 else kind(value)
    return repr(value) if isinstance(value, str) and len(value) <= 24 else kind(value)


def _typed(wanted: str, value: Any) -> Any:
    if wanted == "float":
        return float(value)
    return tuple(value) if wanted.startswith("tuple") else value
