"""The shape of Istio's API: what a definition may say.

A `Schema` is one of seven nodes. Fields carry what every node has (its text, whether it must be there,
whether null is allowed, the Istio minor that brought it, CEL rules) and each node its own limits.
`declare` makes nodes, `generate` turns them into OpenAPI, validation walks them.

Nodes never change: a mark such as `.required()` gives a marked copy, so a shared type said once can be
required in one place and optional in another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must be true of `self`, and what is said when it is not."""

    cel: str
    message: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of an enumeration; `first_minor` is empty where every minor we know has it."""

    value: str
    first_minor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What every node has.

    `first_minor` is the first Istio minor with this field, or empty where every minor we know has it.
    `type_name` is what rules that OpenAPI cannot say know a type by. What is `secret` is shown to nobody.
    """

    doc: str = ""
    type_name: str = ""
    secret: bool = False
    mandatory: bool = False
    accepts_null: bool = False
    first_minor: str = ""
    rules: tuple[Rule, ...] = ()

    def required(self) -> Self:
        """The same, to be given by the user."""
        return replace(self, mandatory=True)

    def nullable(self) -> Self:
        """The same, where null means absent."""
        return replace(self, accepts_null=True)

    def since(self, minor: str) -> Self:
        """The same, brought by an Istio minor such as `1.31`."""
        return replace(self, first_minor=minor)

    def named(self, type_name: str) -> Self:
        """The same, for rules of that name."""
        return replace(self, type_name=type_name)

    def hidden(self) -> Self:
        """The same, never to be shown."""
        return replace(self, secret=True)

    def described(self, doc: str) -> Self:
        """The same, with words that fit the place where a shared type is used."""
        return replace(self, doc=doc)

    def check(self, cel: str, message: str) -> Self:
        """The same, with one more CEL rule."""
        return replace(self, rules=(*self.rules, Rule(cel, message)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Node):
    """A string; lengths in characters, `choices` closed where not empty."""

    choices: tuple[Choice, ...] = ()
    pattern: str = ""
    format: str = ""
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Node):
    """An integer or, with `type` number, a floating-point value; both limits are allowed values."""

    type: Literal["integer", "number"]
    format: str = ""
    smallest: int | None = None
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean(Node):
    """True or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntOrString(Node):
    """An integer, or text that matches `pattern`, such as its decimal string."""

    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Array(Node):
    """A list; items with the same `keys` are one item for server-side apply."""

    items: Schema
    keys: tuple[str, ...] = ()
    fewest: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Map(Node):
    """An object with keys of the user's choosing, which OpenAPI does not look at."""

    values: Schema
    keys: Text | None = None
    fewest: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object(Node):
    """An object with known fields, in the order of the API.

    `oneofs` are groups of which at most one member may be set, as protobuf has it; `exclusive` are
    groups with the same meaning that the API states as a CEL rule. `open` keeps unknown fields.
    """

    fields: Mapping[str, Schema] = field(default_factory=dict)
    oneofs: tuple[tuple[str, ...], ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    open: bool = False

    def one_of(self, *names: str) -> Self:
        """The same, with at most one of these fields set (a protobuf oneof)."""
        return replace(self, oneofs=(*self.oneofs, names))

    def at_most_one(self, *names: str) -> Self:
        """The same, with at most one of these fields set (a CEL rule)."""
        return replace(self, exclusive=(*self.exclusive, names))

    def keep_unknown(self) -> Self:
        """The same, with unknown fields kept rather than dropped."""
        return replace(self, open=True)


Schema = Text | Number | Boolean | IntOrString | Array | Map | Object


@dataclass(frozen=True, slots=True)
class Version:
    """An API version of a kind; all of them are served, one is what etcd holds."""

    name: str
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `path` is a JSONPath from the object's root."""

    name: str
    path: str
    doc: str
    type: Literal["string", "date"] = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of Istio's API; every version has the same spec.

    `plural` is empty where it is the lower-case name with an s.
    """

    name: str
    group: str
    doc: str
    spec: Object
    versions: tuple[Version, ...]
    plural: str = ""
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """The plural in URLs, such as `virtualservices`."""
        return self.plural or f"{self.name.lower()}s"

    @property
    def crd(self) -> str:
        """The name of the CustomResourceDefinition."""
        return f"{self.resource}.{self.group}"
