r"""Istio's `--set` grammar: `a.b=v`, `a[0].b=v`, `a[name:foo].b=v`, `a.[name:foo].b=v`; `\.` is a dot."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from meshctl.errors import ConfigError, Where
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import SPEC_KEYS, look, merge, put
from meshctl.stages.schema.typed import form, is_container, is_text, makes_text
from meshctl.stages.settings import operator
from meshctl.stages.settings.document import whole

if TYPE_CHECKING:
    from meshctl.model.values import Tree
    from meshctl.stages.schema.schema import Schema

_TOKEN = re.compile(r"\[(?P<inside>[^\]]*)\]|(?P<key>(?:\\.|[^.\[\]])+)")
_INTEGER = re.compile(r"[+-]?\d+\Z")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Selector:
    """The element of a list whose `key` is `value`."""

    key: str
    value: str


Step: TypeAlias = str | int | Selector


@dataclass(frozen=True, slots=True)
class Setting:
    """One `--set`: where to, within a spec, and what, still as text."""

    said: str
    steps: tuple[Step, ...]
    text: str

    @property
    def where(self) -> Where:
        """The flag and the path as the user wrote it."""
        return Where("--set", None, self.said.partition("=")[0].strip())


def setting(said: str) -> Setting:
    """Read one `--set`.

    Raises:
        ConfigError: no `=`, or a path that does not follow the grammar.
    """
    path, equals, text = said.partition("=")
    path = path.strip()
    steps = _steps(path)
    if not equals or not steps or not isinstance(steps[0], str):
        what = "no '='" if not equals else "the path does not follow the grammar"
        raise ConfigError(
            "bad-set",
            f"cannot read {path!r}: {what}",  # not the value, which may be a secret
            where=Where("--set", None, path),
            hint="write path=value, such as values.pilot.traceSampling=5 or components.pilot.enabled=true",
        )
    if steps[0] == "spec" and len(steps) > 1:
        steps = steps[1:]
    return Setting(said, steps, text.strip())


def _steps(path: str) -> tuple[Step, ...]:
    found: list[Step] = []
    end = 0
    for token in _TOKEN.finditer(path):
        if path[end : token.start()] not in ("", ".") or (path[end : token.start()] == "." and not found):
            return ()
        end = token.end()
        inside, key = token["inside"], token["key"]
        if key is not None:
            found.append(key.replace("\\.", "."))
        elif _INTEGER.match(inside):
            found.append(int(inside))
        elif ":" in inside:
            found.append(Selector(*inside.split(":", 1)))
        else:
            return ()
    return tuple(found) if end == len(path) else ()


def overlay(wish: Setting, user: Tree, below: Tree, schema: Schema) -> Overlay:
    """What a `--set` lays over everything before it.

    Args:
        wish: the setting.
        user: what files and earlier settings say. An index counts within a list of theirs, as
            istioctl does; a list that they do not name begins empty.
        below: what stands below the user's own settings; a selector finds its element there too.
        schema: types of the values, which decide how the text is read.

    Raises:
        ConfigError: the text does not fit the type, or a selector finds nothing.
    """
    steps = _placed(wish, schema)
    keys: list[str] = []
    for step in steps:
        if not isinstance(step, str):
            break
        keys.append(step)
    rest = steps[len(keys) :]
    value = _read(wish, steps, schema)
    if rest:
        value = _in_list(wish, tuple(keys), rest, value, user, below)
    return Overlay(Layer.SET, "--set", put(tuple(keys), value))


def _placed(wish: Setting, schema: Schema) -> tuple[Step, ...]:
    """The steps within a spec: the name of a group of values may stand without `values` before it."""
    first = str(wish.steps[0])
    if first == "meshConfig" or (first not in SPEC_KEYS and schema.has(first)):
        return ("values", *wish.steps)
    return wish.steps


def _in_list(
    wish: Setting, path: tuple[str, ...], rest: tuple[Step, ...], value: Any, user: Tree, below: Tree
) -> list[Any]:
    step, *inner = rest
    found = look(user, path)
    items = list(found) if isinstance(found, list) else []
    if isinstance(step, Selector):
        index = _find(items, step)
        if index is None:
            lower = look(merge(below, user), path)
            items = list(lower) if isinstance(lower, list) else []
            index = _find(items, step)
        if index is None:
            raise ConfigError(
                "no-such-element",
                f"no element with {step.key} {step.value!r}",
                where=wish.where,
                hint=f"the list has {_named(items, step.key) or 'no elements'}",
            )
    else:
        assert isinstance(step, int)
        index = step
    return _with(wish, items, index, tuple(inner), value)


def _with(wish: Setting, items: list[Any], index: int, inner: tuple[Step, ...], value: Any) -> list[Any]:
    """`items` with the value put into one element; past the end, the element is appended."""
    old = items[index] if 0 <= index < len(items) else None
    if inner:
        keys = tuple(step for step in inner if isinstance(step, str))
        count = next((at for at, step in enumerate(inner) if not isinstance(step, str)), len(inner))
        base = old if isinstance(old, dict) else {}
        if count < len(inner):
            value = _in_list(wish, keys[:count], inner[count:], value, base, {})
        value = merge(base, put(keys[:count], value))
    return [*items[:index], value, *items[index + 1 :]] if old is not None else [*items, value]


def _find(items: list[Any], step: Selector) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and str(item.get(step.key)) == step.value:
            return index
    return None


def _named(items: list[Any], key: str) -> str:
    return ", ".join(str(item.get(key)) for item in items if isinstance(item, dict))


def _read(wish: Setting, steps: tuple[Step, ...], schema: Schema) -> Any:
    """The value, as the declared type of its place wants it; where nothing is declared, as Istio guesses."""
    path = tuple(step for step in steps if isinstance(step, str))
    field = schema.field(path) if len(path) == len(steps) else None
    place = tuple(step if isinstance(step, str) else 0 for step in steps)
    declared = schema.declared(place) or operator.declared(place)
    if makes_text(schema.declared(place[:-1])):
        return guess(wish.text)
    holds = form(field.type) if field is not None else ""
    if wish.text[:1] in ("[", "{") and (holds in ("list", "map", "any") or is_container(declared)):
        return _structure(wish)
    if is_text(declared) or (field is not None and holds in ("string", "text", "ports", "cidrs")):
        return wish.text.replace("\\,", ",")
    if path[-1] in ("tag", "compatibilityVersion"):
        return wish.text
    return guess(wish.text)


def _structure(wish: Setting) -> Any:
    try:
        return json.loads(wish.text)
    except ValueError:
        inner = wish.text[1:-1]
        if wish.text[0] == "{" and wish.text[-1:] == "}" and ":" not in inner:
            return [guess(each.strip()) for each in inner.split(",")] if inner.strip() else []
        raise ConfigError(
            "bad-set",
            "the value is neither JSON nor a list such as {a,b}",
            where=wish.where,
            hint="quote it for the shell, or put it into a file and name that with -f",
        ) from None


def guess(text: str) -> Any:
    """A value as Istio reads it: an integer, a number, a boolean, else text with `\\,` for a comma."""
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        return whole(float(text))
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return text.replace("\\,", ",")
