"""YAML with the line of every place, for errors that name it and values that remember it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from meshctl.errors import ConfigError, ProblemsError, Where
from meshctl.model.mesh import dotted

if TYPE_CHECKING:
    from meshctl.model.mesh import Path

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where PyYAML was built with it: many times as quick."""
_PLAIN = "tag:yaml.org,2002:"
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
MOST_REPEATED = 100_000
"""Lists and maps that aliases may repeat in a document."""


@dataclass(frozen=True)
class Document:
    """One YAML document: its data, and the line on which each place begins, counting from 1."""

    file: str
    data: Any
    lines: dict[Path, int]


def document(text: str, file: str) -> Document:
    """The only document of `text`; an empty one is an empty map.

    Raises:
        ConfigError: not YAML, or more than one document.
        ProblemsError: keys that occur twice, all of them.
    """
    return only(documents(text, file))


def only(found: tuple[Document, ...]) -> Document:
    """The one document that a file of this kind holds.

    Raises:
        ConfigError: there are several.
    """
    if len(found) > 1:
        raise ConfigError(
            "several-documents",
            f"{len(found)} documents in one file",
            where=Where(found[1].file, found[1].lines[()]),
            hint="give each its own file, and name them in order with several -f",
        )
    return found[0]


def documents(text: str, file: str) -> tuple[Document, ...]:
    """Every document of `text` that is not blank; a text of none is one empty map.

    Raises:
        ConfigError: not YAML, or more of it than is meant to be.
        ProblemsError: keys that occur twice or are no text, all of them.
    """
    found, problems = [], []
    try:
        for node in _compose(text, file):
            if not _is_blank(node):
                reader = _Reader(file)
                found.append(Document(file, reader.read(node, ()), reader.lines))
                problems += reader.problems
    except RecursionError as fault:
        what = "lists and maps are nested too deep, or an anchor holds itself"
        raise ConfigError("bad-yaml", what, where=Where(file), hint="write it flatter") from fault
    if problems:
        raise ProblemsError(problems)
    return tuple(found) or (Document(file, {}, {}),)


def _compose(text: str, file: str) -> list[yaml.Node]:
    if text.lstrip().startswith(("{", "[")):  # JSON writes what is beyond 16 bits as two escapes
        text = _PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), text)
    try:
        return list(yaml.compose_all(text, Loader=LOADER))
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        what = " ".join(part for part in (fault.context, fault.problem) if part)
        raise ConfigError(
            "bad-yaml",
            f"not YAML: {what}",
            where=Where(file, mark.line + 1 if mark else None),
            hint="look at the indentation and quotes at, or just above, this line",
        ) from fault
    except yaml.YAMLError as fault:
        raise ConfigError("bad-yaml", f"not YAML: {fault}", where=Where(file)) from fault


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _PLAIN + "null" and not node.value


class _Reader:
    """Turns nodes into data; one for each document."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[ConfigError] = []
        self._seen: set[int] = set()
        self._repeated = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.CollectionNode):
            self._count(node)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(each, (*path, index)) for index, each in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return scalar(node)

    def _count(self, node: yaml.Node) -> None:
        """Stop a small file whose aliases make it huge."""
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > MOST_REPEATED:
            what = f"aliases repeat more than {MOST_REPEATED} lists and maps"
            where = Where(self.file, node.start_mark.line + 1)
            raise ConfigError("bad-yaml", what, where=where, hint="write out what is needed")

    def _map(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        inherited: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN + "merge":
                for each in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    inherited = {**self.read(each, path), **inherited}
                continue
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._no_key(path, line)
                continue
            key = str(key_node.value)
            below = (*path, key)
            if key in own:
                self._twice(below, line)
                continue
            own[key] = self.read(value_node, below)
            self.lines[below] = line
        return {**inherited, **own}

    def _no_key(self, path: Path, line: int) -> None:
        hint = "put braces and brackets in quotes; if it is a template, render it first"
        what = "a key is text, not a list or a map"
        self.problems.append(
            ConfigError("bad-yaml", what, where=Where(self.file, line, dotted(path)), hint=hint)
        )

    def _twice(self, path: Path, line: int) -> None:
        self.problems.append(
            ConfigError(
                "duplicate-key",
                f"{path[-1]!r} is set twice",
                where=Where(self.file, line, dotted(path)),
                hint=f"keep one; the first is on line {self.lines[path]}",
            )
        )


def scalar(node: yaml.ScalarNode) -> Any:
    """The value of a scalar: what JSON knows, and text for everything else (dates, `1:30`)."""
    kind = node.tag.removeprefix(_PLAIN)
    text = node.value
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int" if ":" not in text:
            return _integer(text)
        case "float" if ":" not in text:
            return whole(float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")))
        case _:
            return text


def _integer(text: str) -> int:
    text = text.replace("_", "")
    if text.lstrip("+-").startswith("0") and text.lstrip("+-")[1:].isdigit():
        return int(text, 8)
    return int(text, 0)


def whole(number: float) -> float | int:
    """A number as JSON writers of other languages see it: 1.0 is 1."""
    return int(number) if number.is_integer() else number
