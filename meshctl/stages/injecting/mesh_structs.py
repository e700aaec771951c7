"""MeshConfig and ProxyConfig as injection templates see them: messages with fields and getters."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from meshctl.gotemplate.values import Int32, Int64, List, Map, Nil, Struct
from meshctl.stages.injecting.mesh_config import PROXY_DEFAULTS, seconds
from meshctl.stages.injecting.mesh_types import enums, mesh_types
from meshctl.stages.injecting.pods import go_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshctl.stages.injecting.fields import Field

Methods = dict[str, "Callable[..., object]"]
_ZEROS: Mapping[str, Any] = {
    "string": "", "int": 0, "long": "0", "bool": False, "double": 0.0, "any": None,
}  # fmt: skip


class Message(Struct):
    """A message that is there."""

    def __init__(self, data: Mapping[str, Any], kind: str) -> None:
        """Make one of data as `mesh_config` keeps it."""
        self.data = data
        self.kind = kind
        self.go_type = f"*v1alpha1.{kind.replace('.', '_')}"
        self.text = None

    @cached_property
    def fields(self) -> dict[str, object]:  # type: ignore[override]  # the same, made late
        """Every field by its Go name."""
        return {each.go: _field(self.data.get(each.name), each) for each in mesh_types()[self.kind].fields}

    @cached_property
    def methods(self) -> Methods:  # type: ignore[override]  # the same, made late
        """A getter for each field."""
        return {f"Get{name}": _constant(value) for name, value in self.fields.items()}

    def field(self, name: str) -> object:
        """The value of a field; a KeyError for an unknown name."""
        return self.fields[name]

    def as_json(self) -> dict[str, Any]:
        """What protobuf writes of it: fields in their own order, maps sorted."""
        return _ordered(self.data, self.kind)


class Absent(Nil):
    """A message that is not there; its getters give what is empty."""

    def __init__(self, kind: str) -> None:
        """Make one of a kind of message."""
        self.go_type = f"*v1alpha1.{kind.replace('.', '_')}"
        self._kind = kind

    @cached_property
    def methods(self) -> Methods:  # type: ignore[override]  # the same, made late
        """A getter for each field."""
        return {f"Get{each.go}": _constant(_field(None, each)) for each in mesh_types()[self._kind].fields}


def proto_text(value: object) -> str:
    """A message as JSON, but a ProxyConfig without what is Istio's default anyway."""
    if not isinstance(value, Message):
        return "{}"
    told = value.as_json()
    if value.kind == "ProxyConfig":
        told = {key: each for key, each in told.items() if PROXY_DEFAULTS.get(key) != each}
    return go_text(told)


def _constant(value: object) -> Callable[..., object]:
    return lambda: value


def _ordered(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        field.name: _told(data[field.name], field)
        for field in mesh_types()[kind].fields
        if field.name in data
    }


def _told(value: Any, field: Field) -> Any:
    is_message = field.kind in mesh_types()
    match field.shape:
        case "[]":
            return [_ordered(each, field.kind) for each in value] if is_message else value
        case "{}":
            return {
                key: _ordered(value[key], field.kind) if is_message else value[key] for key in sorted(value)
            }
        case _:
            return _ordered(value, field.kind) if is_message else value


def _field(value: Any, field: Field) -> object:
    match field.shape:
        case "[]":
            return List(
                (_one(each, field.kind) for each in value or ()), _go_type(field.kind), is_nil=not value
            )
        case "{}":
            items = {key: _one(value[key], field.kind) for key in sorted(value or {})}
            return Map(items, _go_type(field.kind), is_nil=not value)
        case _:
            return _one(value, field.kind)


def _go_type(kind: str) -> str:
    return f"*v1alpha1.{kind}" if kind in mesh_types() else kind


def _one(value: Any, kind: str) -> object:
    if kind in mesh_types():
        return Absent(kind) if value is None else Message(value, kind)
    if kind.startswith("enum."):
        return _enumerated(value, kind.removeprefix("enum."))
    if kind == "duration":
        return _duration(value)
    if kind.endswith("value"):
        return _wrapped(value, kind.removesuffix("value"))
    value = _ZEROS.get(kind) if value is None else value
    match kind:
        case "int":
            return Int32(value)
        case "long":
            return Int64(value)
        case _:
            return value


def _enumerated(value: Any, kind: str) -> Struct:
    known = enums()[kind]
    name = value if isinstance(value, str) and value else None
    number = known[name] if name else value or 0
    name = name or next((each for each, at in known.items() if at == number), str(number))
    methods: Methods = {"String": lambda: name, "Number": lambda: Int32(number)}
    return Struct(f"v1alpha1.{kind.replace('.', '_')}", {}, methods, text=name)


def _wrapped(value: Any, kind: str) -> object:
    go_type = f"*wrapperspb.{kind.capitalize()}Value"
    if value is None:
        zero = _one(None, kind)
        return Nil(go_type, {"GetValue": lambda: zero})
    inner = _one(value, kind)
    return Struct(go_type, {"Value": inner}, {"GetValue": lambda: inner})


def _duration(value: Any) -> object:
    if value is None:
        return Nil("*durationpb.Duration", {"GetSeconds": Int64, "GetNanos": Int32})
    whole, rest = divmod(seconds(value), 1)
    fields: dict[str, object] = {"Seconds": Int64(whole), "Nanos": Int32(rest * 10**9)}
    methods: Methods = {
        "GetSeconds": lambda: fields["Seconds"],
        "GetNanos": lambda: fields["Nanos"],
    }
    return Struct("*durationpb.Duration", fields, methods)
