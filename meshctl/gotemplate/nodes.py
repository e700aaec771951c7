"""The tree of a parsed template. Every node keeps its line, counted from 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a bool or a number.

    A number keeps what it is as an integer (None when it has a fraction) and as a float: which
    one counts depends on where it stands.
    """

    value: str | bool | int | float
    line: int
    integer: int | None = None


@dataclass(frozen=True, slots=True)
class Nil:
    """The word `nil`."""

    line: int


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`, the current value."""

    line: int


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B`: fields of the current value."""

    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.A.B`; `name` has its dollar."""

    name: str
    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).A.B` or `function.A.B`."""

    base: Pipeline | Function
    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`$x := a | b`: `declared` are the names, `assigned` tells `=` from `:=`."""

    commands: tuple[Command, ...]
    declared: tuple[str, ...]
    assigned: bool
    line: int


Operand: TypeAlias = Literal | Nil | Dot | Field | Variable | Function | Chain | Pipeline
Command: TypeAlias = tuple[Operand, ...]
"""A word and its arguments."""


@dataclass(frozen=True, slots=True)
class Text:
    """What is written as it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is written, unless it declares a variable."""

    pipeline: Pipeline
    line: int


@dataclass(frozen=True, slots=True)
class If:
    """`if`; `otherwise` is empty without an `else`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body
    line: int


@dataclass(frozen=True, slots=True)
class With:
    """`with`; `otherwise` is empty without an `else`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body
    line: int


@dataclass(frozen=True, slots=True)
class Range:
    """`range`; `otherwise` is empty without an `else`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """`template` and `block`: runs another template."""

    name: str
    pipeline: Pipeline | None
    line: int


@dataclass(frozen=True, slots=True)
class Break:
    """Leaves the loop."""

    line: int


@dataclass(frozen=True, slots=True)
class Continue:
    """Goes on with the next element."""

    line: int


Node: TypeAlias = Text | Action | If | With | Range | Call | Break | Continue
Body: TypeAlias = tuple[Node, ...]
