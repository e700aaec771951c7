"""YAML with the line of every place, for errors that name it and values that remember it."""

from __future__ import annotations

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
    nodes = [node for node in _compose(text, file) if not _is_blank(node)]
    if len(nodes) > 1:
        raise ConfigError(
            "several-documents",
            f"{len(nodes)} documents in one file",
            where=Where(file, nodes[1].start_mark.line + 1),
            hint="give each its own file, and name them in order with several -f",
        )
    reader = _Reader(file)
    data = reader.read(nodes[0], ()) if nodes else {}
    if reader.problems:
        raise ProblemsError(reader.problems)
    return Document(file, data, reader.lines)


def _compose(text: str, file: str) -> list[yaml.Node]:
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

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(each, (*path, index)) for index, each in enumerate(node.value)]
        return scalar(node)

    def _map(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        inherited: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN + "merge":
                for each in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    inherited = {**self.read(each, path), **inherited}
                continue
            key, line = str(key_node.value), key_node.start_mark.line + 1
            below = (*path, key)
            if key in own:
                self._twice(below, line)
                continue
            own[key] = self.read(value_node, below)
            self.lines[below] = line
        return {**inherited, **own}

    def _twice(self, path: Path, line: int) -> None:
        self.problems.append(
            ConfigError(
                "duplicate-key",
                f"{path[-1]!r} is set twice",
                where=Where(self.file, line, dotted(path)),
                hint=f"keep one; the first is on line {self.lines[path]}",
            )
        )


def scalar(node: yaml.Node) -> Any:
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
