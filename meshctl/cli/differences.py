"""Differences as a person reads them, and as a program does."""

from __future__ import annotations

import json
import re
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

import click

from meshctl.model.comparison import Leaf
from meshctl.stages.planning.kinds import DEFINITION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.comparison import Comparison, ObjectDifference, Setting
    from meshctl.model.objects import Ref

_LONGEST = 100
_MOST_LINES = 40
"""Lines shown of one text that changed; JSON has all."""
_SCHEMA = re.compile(r"^spec\.versions\[([^\]]+)\]\.schema\.openAPIV3Schema\b\.?")
_STEPS = ((re.compile(r"(^|\.)(?:properties)\."), r"\1"), (re.compile(r"\.items\b"), "[]"))
_WORDS = re.compile(r"(^|\.)description$|\.x-kubernetes-validations\[[^\]]*\]\.message$")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def comparison_text(found: Comparison, left: str, right: str) -> str:
    """Object by object, then the counts; colours, which a terminal shows and others never get."""
    lines = [f"--- {left}", f"+++ {right}"]
    for each in found.changed:
        lines += _object_lines(each)
    lines += [click.style(f"- {ref}  (only in {left})", fg="red") for ref in found.only_left]
    lines += [click.style(f"+ {ref}  (only in {right})", fg="green") for ref in found.only_right]
    lines += [f"! {note}" for note in found.notes]
    return "\n".join([*lines, "", counts(found)])


def counts(found: Comparison) -> str:
    """`2 objects differ in 5 fields, 1 only left, 40 equal`."""
    if found.is_equal:
        return f"no difference in {found.equal} objects"
    leaves = sum(len(each.leaves) for each in found.changed)
    said = (
        (len(found.changed), f"{_many(len(found.changed), 'object')} changed in {_many(leaves, 'field')}"),
        (len(found.only_left), f"{len(found.only_left)} only on the left (-)"),
        (len(found.only_right), f"{len(found.only_right)} only on the right (+)"),
        (1, f"{found.equal} equal"),
    )
    return ", ".join(words for count, words in said if count)


def comparison_data(found: Comparison, left: str, right: str) -> dict[str, Any]:
    """A comparison for a program; described in docs/reference/json.md."""
    return {
        "left": left,
        "right": right,
        "equal": found.is_equal,
        "changed": [
            {
                **_named(each.right),
                "was": _named(each.left) if each.left != each.right else None,
                "fields": [
                    {"path": leaf.path, "left": leaf.left, "right": leaf.right} for leaf in each.leaves
                ],
            }
            for each in found.changed
        ],
        "onlyLeft": [_named(ref) for ref in found.only_left],
        "onlyRight": [_named(ref) for ref in found.only_right],
        "same": found.equal,
        "notes": list(found.notes),
    }


def settings_text(found: Sequence[Setting], left: str, right: str) -> str:
    """Setting by setting with both values and where each is said."""
    lines = [f"--- {left}", f"+++ {right}"]
    for each in found:
        lines.append(_change(each.path, each.left, each.right))
        for sign, colour, value, place in (
            ("-", "red", each.left, each.left_from),
            ("+", "green", each.right, each.right_from),
        ):
            if place is not None and value is not None:
                lines.append(click.style(f"    {sign} {place.file}:{place.line}", fg=colour, dim=True))
    told = f"{_many(len(found), 'setting')} set differently" if found else "no difference"
    return "\n".join([*lines, "", told])


def settings_data(found: Sequence[Setting], left: str, right: str) -> dict[str, Any]:
    """Differences of values for a program; described in docs/reference/json.md."""

    def place(where: Any) -> dict[str, Any] | None:
        return None if where is None else {"file": where.file, "line": where.line}

    return {
        "left": left,
        "right": right,
        "equal": not found,
        "settings": [
            {
                "path": each.path,
                "left": each.left,
                "right": each.right,
                "leftFrom": place(each.left_from),
                "rightFrom": place(each.right_from),
            }
            for each in found
        ],
    }


def _object_lines(each: ObjectDifference) -> Iterator[str]:
    was = f"  (was {each.left})" if (each.left.kind, each.left.place) != _names(each.right) else ""
    yield click.style(f"~ {each.right}{was}", bold=True)
    leaves = _fields(each.leaves) if each.right.kind == DEFINITION else each.leaves
    for leaf in leaves:
        yield from _leaf_lines(leaf)
    texts = sum(bool(_WORDS.search(leaf.path)) for leaf in each.leaves)
    if each.right.kind == DEFINITION and texts:
        yield f"    {_many(texts, 'description')} and messages changed (-o json shows all)"


def _leaf_lines(leaf: Leaf) -> Iterator[str]:
    path = leaf.path
    texts = isinstance(leaf.left, str) and isinstance(leaf.right, str)
    if not texts or "\n" not in leaf.left.strip() + leaf.right.strip():
        yield f"    {_change(path, leaf.left, leaf.right)}"
        return
    yield f"    {path}:"
    told = list(unified_diff(leaf.left.splitlines(), leaf.right.splitlines(), n=2, lineterm=""))[2:]
    for line in told[:_MOST_LINES]:
        yield click.style(f"      {_visible(line)}", fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    if len(told) > _MOST_LINES:
        yield f"      and {len(told) - _MOST_LINES} more lines (-o json shows all)"


def _change(path: str, left: Any, right: Any) -> str:
    if left is None:
        return f"{path}: {click.style(f'+ {short(right)}', fg='green')}"
    if right is None:
        return f"{path}: {click.style(f'- {short(left)}', fg='red')}"
    return f"{path}: {click.style(short(left), fg='red')} → {click.style(short(right), fg='green')}"


def short(value: Any) -> str:
    """A value on one line, as JSON but for plain text; a large one by what it is."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    text = _visible(text.replace("\n", "⏎"))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _fields(leaves: Sequence[Leaf]) -> Iterator[Leaf]:
    """Changes of a definition as changes of its fields: `v1, v1beta1 spec.http[].match`; no descriptions."""
    said: dict[tuple[str, str, str], list[str]] = {}
    found: dict[tuple[str, str, str], Leaf] = {}
    for leaf in leaves:
        if _WORDS.search(leaf.path):
            continue
        version = _SCHEMA.match(leaf.path)
        path = leaf.path[version.end() :] if version else leaf.path
        for pattern, shown in _STEPS if version else ():
            path = pattern.sub(shown, path)
        told = Leaf(path, _typed(leaf.left), _typed(leaf.right)) if version else leaf
        key = (path, json.dumps(leaf.left, sort_keys=True), json.dumps(leaf.right, sort_keys=True))
        said.setdefault(key, []).extend([version[1]] if version else [])
        found[key] = told
    for key, leaf in found.items():
        lead = f"{', '.join(said[key])} " if said[key] else ""
        yield Leaf(f"{lead}{leaf.path}", leaf.left, leaf.right)


def _typed(schema: Any) -> Any:
    """A schema by what it describes: `object with 4 fields`, `list of string`."""
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str):
        return schema
    if isinstance(schema.get("properties"), dict):
        return f"object with {_many(len(schema['properties']), 'field')}"
    if schema["type"] == "array":
        return f"list of {_typed(schema.get('items'))}"
    return str(schema["type"])


def _names(ref: Ref) -> tuple[str, str]:
    return ref.kind, ref.place


def _named(ref: Ref) -> dict[str, str]:
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _visible(text: str) -> str:
    """Text whose control characters, which could steer a terminal, are spelled out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
