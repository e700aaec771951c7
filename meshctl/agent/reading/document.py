"""A JSON document that knows which line each of its values is in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import Where, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from meshctl.agent.reading.problems import Problems

Path = tuple["str | int", ...]
"""The way to a value: keys and indices."""
_MARK: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass(frozen=True)
class Document:
    """A value of JSON, and the text that it is from.

    Attributes:
        file: that it is from.
        text: all of the file.
        value: of the file, or of a part of it.
        path: the way to that part.
    """

    file: str
    text: str
    value: Any
    path: Path = ()

    def part(self, key: str | int) -> Document:
        """What is at a key that is there."""
        return Document(self.file, self.text, self.value[key], (*self.path, key))

    def where(self, *further: str | int) -> Where:
        """The place of the value, or of one further in that is there."""
        path = (*self.path, *further)
        return Where(self.file, _lines(self.text).get(path), dotted(path))


def document(file: str, text: str, problems: Problems) -> Document | None:
    """Read a JSON object; None when it is none, and then the problems say why."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, each in found:
            if name in made:
                twice.append(name)
            made[name] = each
        return made

    twice: list[str] = []
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        problems.add(f"this is not JSON: {_lowered(error.msg)}", Where(file, error.lineno), code="not-json")
        return None
    except RecursionError:
        problems.add("the JSON is nested too deeply", Where(file), code="not-json")
        return None
    except ValueError as error:  # a number of thousands of digits, or none at all
        problems.add(f"this is not JSON: {_lowered(str(error))}", Where(file), code="not-json")
        return None
    if not isinstance(value, dict):
        problems.add(f"there has to be a JSON object, not {kind(value)}", Where(file, 1), code="not-json")
        return None
    for name in twice:
        line = _second_line(text, name)
        problems.add(f"{name!r} is there twice in one object", Where(file, line), code="duplicate-key")
    return Document(file, text, value)


def known_keys(part: Document, names: Collection[str], problems: Problems) -> None:
    """Each key of an object that is none of `names` is a problem."""
    for key in part.value:
        if key not in names:
            close = nearest(key, names)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(sorted(names))}"
            problems.add(f"there is no setting {key!r}", part.where(key), code="unknown-setting", hint=hint)


def dotted(path: Path) -> str:
    """A path as people write it: `agent.dns.servers[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    names: Mapping[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


@lru_cache(maxsize=1)
def _lines(text: str) -> dict[Path, int]:
    """The line of each value, a member's being its key's; the first of several with one name."""
    found: dict[Path, int] = {}
    for path, line in _places(text):
        found.setdefault(path, line)
    return found


def _second_line(text: str, name: str) -> int | None:
    """Where an object has the key `name` for the second time."""
    seen = set()
    for path, line in _places(text):
        if path and path[-1] == name and path in seen:
            return line
        seen.add(path)
    return None


def _places(text: str) -> Iterator[tuple[Path, int]]:
    """The path and line of each value of a text that is JSON, as they come."""
    path: list[str | int] = []
    awaits_key: list[bool] = []  # of each open object or array: whether it is an object
    line, seen, previous = 1, 0, ""
    for found in _MARK.finditer(text):
        mark = found[0]
        line, seen = line + text.count("\n", seen, found.start()), found.start()
        if mark in "]}":
            awaits_key.pop()
            path.pop()
        elif mark == ",":
            step = path[-1]
            path[-1] = step + 1 if isinstance(step, int) else ""
        elif mark != ":":
            if awaits_key and awaits_key[-1] and previous in "{,":
                path[-1] = str(json.loads(mark))
                yield tuple(path), line
            else:
                if not (awaits_key and awaits_key[-1]):
                    yield tuple(path), line
                if mark in "{[":
                    awaits_key.append(mark == "{")
                    path.append("" if mark == "{" else 0)
        previous = mark
