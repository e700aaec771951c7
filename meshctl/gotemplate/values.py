"""Go's values in Python.

| Go | Python |
|---|---|
| `nil` interface, JSON's null | `None` |
| no value at all, such as an absent key | `MISSING` |
| `bool`, `string` | `bool`, `str`; a named string is a subclass of `str` with a `go_type` |
| `int` | `int` |
| `int64`, `int32`, `uint8` … | `Int64` … |
| `float64` | `float` |
| `map[string]interface {}` | `dict` |
| `map[string]string` … | `Map(…, "string")` |
| `[]interface {}` | `list`, `tuple` |
| `[]string` … | `List(…, "string")` |
| struct, or pointer to one | `Struct` |
| nil pointer | `Nil` |

Bytes of a string that are not UTF-8 are lone surrogates (see `literals.to_bytes`). JSON that Go
decodes into an interface has only float64 numbers: `as_json` gives such data from Python's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, final

from meshctl.gotemplate.errors import CallError

ANY: Final = "interface {}"


@final
class Missing:
    """No value: printed as `<no value>`, empty, and every field of it is missing too."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Int64(int):
    """An int64; as an argument Go tells it from an int."""

    go_type: ClassVar[str] = "int64"


class Int32(int):
    """An int32."""

    go_type: ClassVar[str] = "int32"


class Uint8(int):
    """A byte."""

    go_type: ClassVar[str] = "uint8"


class Uint16(int):
    """A uint16."""

    go_type: ClassVar[str] = "uint16"


class Uint32(int):
    """A uint32."""

    go_type: ClassVar[str] = "uint32"


class Uint64(int):
    """A uint64."""

    go_type: ClassVar[str] = "uint64"


class Map(dict[str, object]):
    """A map whose values have the Go type `element`; the index of an absent key is its zero."""

    def __init__(self, items: Mapping[str, object], element: str = ANY, *, is_nil: bool = False) -> None:
        super().__init__(items)
        self.element = element
        self.is_nil = is_nil
        self.go_type = f"map[string]{element}"


class List(list[object]):
    """A slice whose elements have the Go type `element`."""

    def __init__(self, items: Iterable[object], element: str = ANY, *, is_nil: bool = False) -> None:
        super().__init__(items)
        self.element = element
        self.is_nil = is_nil
        self.go_type = f"[]{element}"


class Struct:
    """A Go struct, or a pointer to one when `go_type` begins with a star.

    A subclass may make fields and methods on demand: it overrides `field` and `method`. One with
    a `text` is a fmt.Stringer.
    """

    def __init__(
        self,
        go_type: str,
        fields: Mapping[str, object],
        methods: Mapping[str, Callable[..., object]] | None = None,
        text: str | None = None,
    ) -> None:
        """Make one; `fields` has every exported field by its Go name, in Go's order."""
        self.go_type = go_type
        self.fields = fields
        self.methods = methods or {}
        self.text = text

    def field(self, name: str) -> object:
        """The value of a field.

        Raises:
            KeyError: the struct has no such field.
        """
        return self.fields[name]

    def method(self, name: str) -> Callable[..., object] | None:
        """A method, or None. Its arguments are checked as those of a function."""
        return self.methods.get(name)

    def json(self) -> object:
        """What the struct is in JSON; one that has none says so."""
        raise CallError(f"a {self.go_type} has no JSON here")


class Nil:
    """A nil pointer of a type such as `*v1.Probe`; methods that take one may be given."""

    def __init__(self, go_type: str, methods: Mapping[str, Callable[..., object]] | None = None) -> None:
        self.go_type = go_type
        self.methods = methods or {}


_PLAIN: dict[type, tuple[str, str]] = {
    str: ("string", "string"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    float: ("float64", "float64"),
    dict: (f"map[string]{ANY}", "map"),
    list: (f"[]{ANY}", "slice"),
    tuple: (f"[]{ANY}", "slice"),
    type(None): ("<nil>", "invalid"),
    Missing: ("<nil>", "invalid"),
}


def go_type(value: object) -> str:
    """The Go type of a value as `%T` prints it."""
    known = _PLAIN.get(type(value))
    if known is not None:
        return known[0]
    named = getattr(value, "go_type", None)
    if named is not None:
        return str(named)
    for base, (name, _) in _PLAIN.items():
        if isinstance(value, base):
            return name
    return "func()" if callable(value) else type(value).__name__


def kind(value: object) -> str:
    """The reflect.Kind of a value: `int64`, `map`, `slice`, `struct`, `ptr`, `invalid` …"""
    known = _PLAIN.get(type(value))
    if known is not None:
        return known[1]
    match value:
        case bool():
            return "bool"
        case int():
            return go_type(value)
        case float():
            return "float64"
        case str():
            return "string"
        case dict():
            return "map"
        case list() | tuple():
            return "slice"
        case Nil():
            return "ptr"
        case Struct():
            return "ptr" if value.go_type.startswith("*") else "struct"
        case _:
            return "func" if callable(value) else "struct"


def is_nil(value: object) -> bool:
    """Whether a value is nil: of an interface, or typed."""
    return value is None or value is MISSING or isinstance(value, Nil) or getattr(value, "is_nil", False)


def truth(value: object) -> bool:
    """Whether `if` takes a value for true: it is not the zero of its type, or not empty."""
    return not isinstance(value, Nil) and bool(value)


def zero(name: str) -> object:
    """The zero of a Go type."""
    if name.startswith("map["):
        return Map({}, name.partition("]")[2], is_nil=True)
    if name.startswith("[]"):
        return List((), name[2:], is_nil=True)
    if name.startswith("*"):
        return Nil(name)
    return _ZEROS.get(name)


_ZEROS: dict[str, object] = {
    "string": "",
    "bool": False,
    "int": 0,
    "int32": Int32(),
    "int64": Int64(),
    "float64": 0.0,
}


def as_json(value: object) -> object:
    """`value`, made of Python's JSON types, as Go decodes it into an interface: all numbers are floats."""
    match value:
        case bool() | str() | None:
            return value
        case int():
            return float(value)
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case _:
            return value
