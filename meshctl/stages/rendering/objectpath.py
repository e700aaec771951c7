"""Paths of IstioOperator overlays, `spec.containers.[name:discovery].args.[2]`, and what they change."""

from __future__ import annotations

import re
from typing import Any

from meshctl.errors import ConfigError, Where
from meshctl.stages.settings.document import document

_INDEX = re.compile(r"\[(-?\d+)\]\Z")
_PAIR = re.compile(r"\[([^\]:]+):(.+)\]\Z", re.S)
_VALUE = re.compile(r"\[(?::(.+)|([^:\]]+))\]\Z", re.S)


def parts(path: str) -> list[str]:
    r"""Parts of a path, cut at dots; `\.` is a dot within a part, and dots within brackets do not cut."""
    found: list[str] = []
    word, depth, escaped = "", 0, False
    for char in path:
        if escaped:
            word += char if char == "." else "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "[":
            if word and depth == 0:
                found.append(word)
                word = ""
            depth += 1
            word += char
        elif char == "]" and depth:
            depth -= 1
            word += char
            if depth == 0:
                found.append(word)
                word = ""
        elif char == "." and depth == 0:
            if word:
                found.append(word)
            word = ""
        else:
            word += char
    return [*found, word] if word else found


def apply_patch(tree: dict[str, Any], path: str, value: Any, where: Where) -> None:
    """Change `tree` in place at a path.

    A value of None deletes what is there; anything else replaces it. `[-1]` and an index past the end
    append. Text that is a map in YAML, in lines or with `: ` in it, stands for that map, as it does for
    istioctl.

    Raises:
        ConfigError: an element that the path selects is not there.
    """
    steps = parts(path)
    if not steps:
        raise _lost(path, path, where)
    _walk(tree, steps, _meant(value), path, where)


def _meant(value: Any) -> Any:
    """The map that a text stands for, or the value itself."""
    if not isinstance(value, str) or (":" if "\n" in value else ": ") not in value or value.startswith("{"):
        return value
    try:
        found = document(value, "").data
    except ConfigError:
        return value
    return found if isinstance(found, dict) else value


def _walk(here: Any, steps: list[str], value: Any, path: str, where: Where) -> None:
    step, *rest = steps
    if isinstance(here, dict):
        if not step.startswith("["):
            _in_map(here, step, rest, value, path, where)
            return
    elif isinstance(here, list):
        _in_list(here, step, rest, value, path, where)
        return
    raise _lost(step, path, where)


def _in_map(here: dict[str, Any], key: str, rest: list[str], value: Any, path: str, where: Where) -> None:
    if rest:
        if here.get(key) is None:
            here[key] = [] if rest[0].startswith("[") else {}
        _walk(here[key], rest, value, path, where)
    elif value is None:
        here.pop(key, None)
    else:
        here[key] = value


def _in_list(here: list[Any], step: str, rest: list[str], value: Any, path: str, where: Where) -> None:
    index = _position(here, step)
    if index is None:
        raise _lost(step, path, where)
    if index >= len(here):
        if value is None:
            raise _lost(step, path, where)
        here.append({} if rest else value)
        if rest:
            _walk(here[-1], rest, value, path, where)
    elif rest:
        _walk(here[index], rest, value, path, where)
    elif value is None:
        del here[index]
    else:
        here[index] = value


def _position(items: list[Any], step: str) -> int | None:
    """Index of the element a step selects; the length of the list where it appends."""
    if found := _INDEX.match(step):
        index = int(found[1])
        return len(items) if index < 0 else min(index, len(items))
    if found := _VALUE.match(step):
        return next((at for at, item in enumerate(items) if re.search(found[1] or found[2], str(item))), None)
    if found := _PAIR.match(step):
        key, wanted = found[1].strip(), found[2].strip()
        for at, item in enumerate(items):
            if isinstance(item, dict) and str(item.get(key)) == wanted:
                return at
    return None


def _lost(step: str, path: str, where: Where) -> ConfigError:
    return ConfigError(
        "overlay-path",
        f"the overlay path {path!r} leads nowhere: no {step!r}",
        where=where,
        hint="every step but the last must exist; lists are entered by [index], [key:value] or [:value]",
    )
