"""Objects as YAML: block style, deterministic, and quick on a megabyte of CRDs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Text that every YAML reader, 1.1 or 1.2, takes for text when it stands bare.
_BARE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@$()-]*\Z")
_KEYWORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "none"})
# Control characters and those that YAML calls line breaks cannot stand in a literal block.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_known: dict[str, str] = {}
_definitions: dict[int, tuple[Mapping[str, Any], str]] = {}


def dump(contents: Iterable[Mapping[str, Any]]) -> str:
    """Contents of objects, or other maps, as a YAML stream, one document each."""
    return "".join(f"---\n{_written(each)}" for each in contents)


def _written(content: Mapping[str, Any]) -> str:
    """One document. The text of a CustomResourceDefinition is kept: a fleet's clusters share them."""
    if content.get("kind") != "CustomResourceDefinition":
        return block(content)
    known, text = _definitions.get(id(content), (None, ""))
    if known is not content:
        text = block(content)
        _definitions[id(content)] = content, text
    return text


def block(tree: Any) -> str:
    """Data as block-style YAML, keys in their order, ending in a newline."""
    lines: list[str] = []
    if isinstance(tree, dict) and tree:
        _map(tree, "", "", lines)
    elif isinstance(tree, (list, tuple)) and tree:
        _list(tree, "", lines)
    else:
        lines.append(text(tree) if isinstance(tree, str) else _plain(tree))
    lines.append("")
    return "\n".join(lines)


def _map(tree: Mapping[str, Any], indent: str, first: str, lines: list[str]) -> None:
    """Append a map; its first line begins with `first` instead of `indent` (after `- `)."""
    lead = first or indent
    for key, value in tree.items():
        head = f"{lead}{text(key)}:"
        lead = indent
        if isinstance(value, str):
            lines.append(f"{head} {_string(value, indent)}")
        elif isinstance(value, dict):
            if value:
                lines.append(head)
                _map(value, indent + "  ", "", lines)
            else:
                lines.append(f"{head} {{}}")
        elif isinstance(value, (list, tuple)):
            if value:
                lines.append(head)
                _list(value, indent, lines)
            else:
                lines.append(f"{head} []")
        else:
            lines.append(f"{head} {_plain(value)}")


def _list(items: Iterable[Any], indent: str, lines: list[str]) -> None:
    for item in items:
        if isinstance(item, dict) and item:
            _map(item, indent + "  ", f"{indent}- ", lines)
        elif isinstance(item, str):
            lines.append(f"{indent}- {_string(item, indent)}")
        elif isinstance(item, (list, tuple)) and item:
            lines.append(f"{indent}-")
            _list(item, indent + "  ", lines)
        else:
            lines.append(f"{indent}- {_plain(item)}")


def _string(value: str, indent: str) -> str:
    """Text as a value: bare, a literal block where it has lines, or quoted as JSON."""
    if "\n" in value and not _ODD.search(value) and not value.startswith((" ", "\n", "\t")):
        body = value.rstrip("\n")
        ends = len(value) - len(body)
        chomp = "-" if ends == 0 else "" if ends == 1 else "+"
        pad = f"\n{indent}  "
        lines = body.split("\n")
        shown = "".join(f"{pad}{line}" if line else "\n" for line in lines)
        return f"|{chomp}{shown}" + "\n" * (ends - 1)
    return text(value)


def _plain(value: Any) -> str:
    """A number, a boolean, null, or an empty map or list."""
    shown = json.dumps(value)
    # JSON's 1e-07 is text to readers of YAML 1.1, which want a point.
    return shown.replace("e", ".0e") if isinstance(value, float) and "." not in shown else shown


def text(value: str) -> str:
    """A short text, quoted where a reader could take it for something else."""
    shown = _known.get(value)
    if shown is None:
        bare = _BARE.match(value) and value.lower() not in _KEYWORDS
        shown = _known[value] = value if bare else _quoted(value)
    return shown


def _quoted(value: str) -> str:
    """JSON, which is YAML but for a few characters that YAML wants escaped."""
    shown = json.dumps(value, ensure_ascii=False)
    return shown if not _ODD.search(shown) else _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", shown)
