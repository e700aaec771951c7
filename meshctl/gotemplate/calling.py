"""The Go signature of a Python function, read from its annotations.

`def trunc(width: int, text: str) -> str` is `func(int, string) string`: a literal or a value of
another type is refused, as Go refuses it. A parameter annotated `object`, or not at all, takes
anything, `*rest: str` any number of strings. A function wants all its parameters, defaults or not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from meshctl.gotemplate import values
from meshctl.gotemplate.values import ANY, MISSING

Value: TypeAlias = object
"""Annotates a parameter that tells `MISSING` from `None`; any other gets `None` for both."""
VALUE = "reflect.Value"
_TYPES = {
    "str": "string",
    "int": "int",
    "float": "float64",
    "bool": "bool",
    "Value": VALUE,
    "dict[str, object]": f"map[string]{ANY}",
    "dict[str, str]": "map[string]string",
    "list[object]": f"[]{ANY}",
    "list[str]": "[]string",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The Go types of the parameters; `variadic` is that of each further one."""

    fixed: tuple[str, ...]
    variadic: str | None

    def takes(self, count: int) -> bool:
        """Whether it may be called with so many arguments."""
        return count >= len(self.fixed) if self.variadic else count == len(self.fixed)

    def wants(self) -> str:
        """How many arguments, in words."""
        return f"at least {len(self.fixed)}" if self.variadic else str(len(self.fixed))

    def type_of(self, place: int) -> str:
        """The type of an argument, counted from 0."""
        return self.fixed[place] if place < len(self.fixed) else self.variadic or ANY


def signature(function: Callable[..., object]) -> Signature:
    """The Go signature of a function."""
    fixed: list[str] = []
    variadic = None
    for parameter in inspect.signature(function).parameters.values():
        written = parameter.annotation
        name = written if isinstance(written, str) else getattr(written, "__name__", "")
        go_type = _TYPES.get(str(written) if "[" in str(written) else name, ANY)
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = go_type
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            fixed.append(go_type)
    return Signature(tuple(fixed), variadic)


def conform(value: object, wanted: str) -> object:
    """`value` as an argument of a Go type.

    Raises:
        ValueError: the type is another one.
    """
    if wanted == VALUE:
        return value
    if wanted == ANY:
        return None if value is MISSING else value
    if value is MISSING:
        if wanted.startswith(("map[", "[]", "*")):
            return values.zero(wanted)
        raise ValueError(f"there is no value; expected {wanted}")
    found = ANY if value is None else values.go_type(value)
    if found not in (wanted, f"*{wanted}"):
        raise ValueError(f"wrong type; expected {wanted}, got {found}")
    return value
