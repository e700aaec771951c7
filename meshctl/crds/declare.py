"""The words in which Istio's API is declared; each makes one `Schema` node."""

from __future__ import annotations

from meshctl.crds.schema import (
    Array,
    Boolean,
    Choice,
    Column,
    Map,
    Number,
    Object,
    Schema,
    Text,
    Version,
)

UINT32_MAX = 2**32 - 1
PORT_MAX = 2**16 - 1
ANY_TEXT = Text()


def string(
    doc: str = "",
    *,
    pattern: str = "",
    format: str = "",
    shortest: int | None = None,
    longest: int | None = None,
) -> Text:
    """Text; lengths in characters."""
    return Text(doc=doc, pattern=pattern, format=format, shortest=shortest, longest=longest)


def choice(doc: str, *values: str | Choice) -> Text:
    """One of the given values; a value that came later is a `Choice` with its minor."""
    known = tuple(value if isinstance(value, Choice) else Choice(value) for value in values)
    return Text(doc=doc, choices=known)


def duration(doc: str) -> Text:
    """A time such as `1h30m`, of at least one millisecond."""
    return Text(doc=doc).check("duration(self) >= duration('1ms')", "not a duration of at least 1ms")


def int32(doc: str, *, smallest: int | None = None) -> Number:
    """A signed whole number."""
    return Number(doc=doc, type="integer", format="int32", smallest=smallest)


def uint32(doc: str = "", *, smallest: int = 0, largest: int = UINT32_MAX) -> Number:
    """A whole number that is not negative."""
    return Number(doc=doc, type="integer", smallest=smallest, largest=largest)


def uint64(doc: str) -> Number:
    """A whole number that is not negative, without an upper limit."""
    return Number(doc=doc, type="integer", smallest=0)


def port(doc: str = "") -> Number:
    """A TCP or UDP port that the API server checks."""
    return uint32(doc).check("0 < self && self <= 65535", "a port is 1 to 65535")


def double(doc: str, *, smallest: int | None = None, largest: int | None = None) -> Number:
    """A floating-point number."""
    return Number(doc=doc, type="number", format="double", smallest=smallest, largest=largest)


def percent(doc: str) -> Number:
    """A share of a hundred; null leaves it to Istio's default."""
    return double(doc, smallest=0, largest=100).nullable()


def boolean(doc: str) -> Boolean:
    """True or false, absent meaning false."""
    return Boolean(doc=doc)


def optional_boolean(doc: str) -> Boolean:
    """True or false, absent or null meaning Istio's default."""
    return Boolean(doc=doc).nullable()


def array(
    doc: str, items: Schema, *, keys: tuple[str, ...] = (), fewest: int | None = None, most: int | None = None
) -> Array:
    """A list; see `Array`."""
    return Array(doc=doc, items=items, keys=keys, fewest=fewest, most=most)


def strings(doc: str, items: Text = ANY_TEXT, *, fewest: int | None = None, most: int | None = None) -> Array:
    """A list of text."""
    return Array(doc=doc, items=items, fewest=fewest, most=most)


def mapping(doc: str, values: Schema, *, fewest: int | None = None, most: int | None = None) -> Map:
    """An object with keys of the user's choosing."""
    return Map(doc=doc, values=values, fewest=fewest, most=most)


def string_map(doc: str, values: Text = ANY_TEXT, *, most: int | None = None) -> Map:
    """Text by key."""
    return Map(doc=doc, values=values, most=most)


def record(description: str = "", /, **fields: Schema) -> Object:
    """An object with these fields; `from_` stands for `from`, which Python keeps for itself."""
    return Object(doc=description, fields={name.rstrip("_"): node for name, node in fields.items()})


def opaque(doc: str) -> Object:
    """An object that Istio passes on without looking."""
    return Object(doc=doc, open=True)


def versions(*names: str, stored: str) -> tuple[Version, ...]:
    """API versions in the order in which they are written; etcd holds `stored`."""
    return tuple(Version(name, stored=name == stored) for name in names)


AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", "date")
