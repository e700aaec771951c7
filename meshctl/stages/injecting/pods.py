"""Pods as Go reads and writes them: known fields in Go's order, empty ones left out, quantities in one form.

istiod sees a pod only after Go has read it, and what it hands back Go has written. `canonical` does the same
to plain data, so that what istiod would say of it can be compared and computed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where
from meshctl.gotemplate.values import Int32, Int64, List, Map, Nil, Struct
from meshctl.model.quantity import amount
from meshctl.stages.injecting.pod_types import pod_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.fields import Field

_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_WANTED = {
    "int": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "bool": "true or false",
    "intstr": "a number or a name",
    "quantity": "a quantity such as 500m or 1Gi",
}
_ZEROS: dict[str, Any] = {
    "string": "",
    "int": 0,
    "long": 0,
    "bool": False,
    "intstr": 0,
    "quantity": "0",
    "time": None,
}


def canonical(data: Any, kind: str = "Pod", *, strict: bool = False) -> dict[str, Any]:
    """The data of a Kubernetes type as Go would keep it; fields that Go does not know are dropped.

    Unless `strict`, numbers and booleans stand for their text where text belongs: in YAML they often mean it.

    Raises:
        ConfigError: a value of the wrong kind; names its path.
    """
    return _Reader(strict).struct(data, kind, "")


def go_json(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Canonical data with everything that Go writes even where it is empty."""
    found: dict[str, Any] = {}
    for field in pod_types()[kind].fields:
        if field.name in data:
            found[field.name] = _each(data[field.name], field)
        elif field.kind in pod_types() and not field.shape:
            found[field.name] = go_json({}, field.kind)
        elif field.required or (field.kind == "quantity" and not field.shape):
            found[field.name] = None if field.shape else _ZEROS[field.kind]
    return found


def go_text(data: Any) -> str:
    """Data as the text that Go's encoding/json writes, map keys in the order given."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def quantity(value: Any) -> str:
    """A quantity in its one form: `0.1` is `100m`, `1024Mi` is `1Gi`.

    Raises:
        ValueError: not a quantity.
    """
    text = str(value).strip() if isinstance(value, str) else format(value)
    number = amount(text)
    if number is None or isinstance(value, bool):
        raise ValueError(text)
    if text.endswith("i") and number == number.to_integral_value():
        return _scaled(number, _BINARY, 1024)
    if _has_exponent(text):
        return _exponent(number)
    nanos = (number * 10**9).to_integral_value(ROUND_CEILING if number > 0 else "ROUND_FLOOR")
    return _scaled(nanos, _DECIMAL, 1000)


class PodStruct(Struct):
    """A struct of the Kubernetes API for templates; its fields are made when they are asked for."""

    def __init__(self, data: Mapping[str, Any], kind: str, *, pointer: bool = False) -> None:
        """Make one from canonical data."""
        self._data = data
        self._kind = kind
        self.go_type = f"{'*' * pointer}v1.{kind}"
        self.methods = {}
        self.text = None

    @cached_property
    def fields(self) -> dict[str, object]:  # type: ignore[override]  # the same, made late
        """Every field by its Go name."""
        return {each.go: self._value(each) for each in pod_types()[self._kind].fields}

    def field(self, name: str) -> object:
        """The value of a field; a KeyError for an unknown name."""
        return self.fields[name]

    def as_json(self) -> dict[str, Any]:
        """What Go writes of it."""
        return go_json(self._data, self._kind)

    def _value(self, field: Field) -> object:
        value: Any = self._data.get(field.name)
        kind = f"v1.{field.kind}" if field.kind in pod_types() else field.kind
        match field.shape:
            case "[]":
                return List((_go(each, field.kind) for each in value or ()), kind, is_nil=value is None)
            case "{}":
                items = {key: _go(value[key], field.kind) for key in sorted(value or {})}
                return Map(items, kind, is_nil=value is None)
            case "*" if value is None:
                return Nil(f"*{kind}")
            case "*" if field.kind in pod_types():
                return PodStruct(value, field.kind, pointer=True)
            case _:
                return _go(value, field.kind)


def _go(value: Any, kind: str) -> object:
    if kind in pod_types():
        return PodStruct(value or {}, kind)
    if value is None:
        return _ZEROS.get(kind)
    match kind:
        case "int":
            return Int32(value)
        case "long":
            return Int64(value)
        case _:
            return value


def _each(value: Any, field: Field) -> Any:
    if field.kind not in pod_types():
        return dict(sorted(value.items())) if field.shape == "{}" else value
    if field.shape == "[]":
        return [go_json(each, field.kind) for each in value]
    return go_json(value, field.kind)


@dataclass(frozen=True)
class _Reader:
    """Reads data as Go does; a strict one takes no number for text."""

    is_strict: bool

    def struct(self, data: Any, kind: str, path: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise _misfit(path, "a map", data)
        found = {}
        for field in pod_types()[kind].fields:
            value = data.get(field.name)
            if value is None:
                continue
            kept = self._kept(value, field, f"{path}.{field.name}" if path else field.name)
            if kept is not None:
                found[field.name] = kept
        return found

    def _kept(self, value: Any, field: Field, path: str) -> Any:
        """A field's value; None where Go leaves it out."""
        match field.shape:
            case "[]":
                if not isinstance(value, list):
                    raise _misfit(path, "a list", value)
                return [
                    self._plain(each, field.kind, f"{path}[{at}]") for at, each in enumerate(value)
                ] or None
            case "{}":
                if not isinstance(value, dict):
                    raise _misfit(path, "a map", value)
                items = sorted(((str(key), each) for key, each in value.items()), key=lambda item: item[0])
                return {key: self._plain(each, field.kind, f"{path}.{key}") for key, each in items} or None
            case "*":
                return self._plain(value, field.kind, path)
            case _:
                kept = self._plain(value, field.kind, path)
                is_empty = not kept or (field.kind == "quantity" and kept == "0")
                return None if is_empty and not field.required else kept

    def _plain(self, value: Any, kind: str, path: str) -> Any:
        if kind in pod_types():
            return self.struct({} if value is None else value, kind, path)
        if value is None:
            return _ZEROS.get(kind)
        fits = True
        match kind:
            case "string" | "time" | "bytes":
                return self._text(value, path)
            case "quantity":
                try:
                    return quantity(value)
                except ValueError:
                    fits = False
            case "int" | "long":
                limit = 2 ** (31 if kind == "int" else 63)
                fits = isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
            case "bool":
                fits = isinstance(value, bool)
            case "intstr":
                fits = isinstance(value, int | str) and not isinstance(value, bool)
            case _:
                pass
        if not fits:
            raise _misfit(path, _WANTED[kind], value)
        return value

    def _text(self, value: Any, path: str) -> str:
        match value:
            case str():
                return value
            case bool() if not self.is_strict:
                return str(value).lower()
            case int() | float() if (
                not self.is_strict and not isinstance(value, bool) and math.isfinite(value)
            ):
                return json.dumps(value)
        raise _misfit(path, "text; put it in quotes", value)


def _misfit(path: str, wanted: str, value: Any) -> ConfigError:
    return ConfigError(
        "bad-pod",
        f"{json.dumps(value, default=str)} is not {wanted}",
        where=Where("", None, path),
        hint=f"write {wanted} there",
    )


def _has_exponent(text: str) -> bool:
    return any(sign in text[:-1] for sign in "eE") and text[-1].isdigit()


def _exponent(number: Decimal) -> str:
    """Scientific form with an exponent that is a multiple of three."""
    if not number:
        return "0"
    power = 0
    while number == (number / 1000).to_integral_value() * 1000:
        number, power = number / 1000, power + 3
    while number != number.to_integral_value():
        number, power = number * 1000, power - 3
    return f"{int(number)}e{power}" if power else str(int(number))


def _scaled(number: Decimal, units: tuple[str, ...], base: int) -> str:
    """A whole number of the first unit in the largest unit of which it is a whole number."""
    if not number:
        return "0"
    at = 0
    while at + 1 < len(units) and number % base == 0:
        number, at = number // base, at + 1
    return f"{int(number)}{units[at]}"
