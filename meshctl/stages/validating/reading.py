"""From texts to Kubernetes objects that know their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, Where
from meshctl.model.analysis import Origin
from meshctl.model.wording import shown
from meshctl.stages.settings.document import Document, documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.stages.validating.sources import Source

_TEMPLATE = re.compile(r"^[^#\n]*\{\{-?\s", re.MULTILINE)
_LIST = "List"


@dataclass(frozen=True)
class Found:
    """An object of a text.

    Attributes:
        origin: its part of the text.
        document: what holds it.
        content: JSON, with text for `apiVersion` and `kind`, and no metadata but a map.
    """

    origin: Origin
    document: Document
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Read:
    """What a text holds; `others` counts what lies in a folder and is no object."""

    found: tuple[Found, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    others: int = 0


def read(source: Source) -> Read:
    """Every object of a text, those of lists one by one."""
    if source.problem:
        return Read(problems=(source.problem,))
    if not source.is_named and "apiVersion" not in source.text:
        return Read(others=1)
    try:
        told = documents(source.text, source.file)
    except ProblemsError as several:
        return Read(problems=tuple(_explained(each, source.text) for each in several.problems))
    except ConfigError as problem:
        return Read(problems=(_explained(problem, source.text),))
    found: list[Found] = []
    problems: list[ConfigError] = []
    others = 0
    for document in told:
        if not document.data and not isinstance(document.data, list):
            continue
        if not source.is_named and not _means_to_be_an_object(document.data):
            others += 1
            continue
        for each in _objects(document, document.data, Origin(document.file, document.lines), ()):
            if isinstance(each, ConfigError):
                problems.append(each)
            else:
                found.append(each)
    return Read(tuple(found), tuple(problems), others)


def _explained(problem: ConfigError, text: str) -> ConfigError:
    """The problem; where the text is a template, what to do about that."""
    if problem.code != "bad-yaml" or not _TEMPLATE.search(text):
        return problem
    hint = "this is a template; render it first, such as with `helm template`, and validate what comes out"
    return ConfigError(problem.code, problem.message, where=problem.where, hint=hint)


def _means_to_be_an_object(data: Any) -> bool:
    return isinstance(data, dict) and "apiVersion" in data and "kind" in data


def _objects(
    document: Document, data: Any, origin: Origin, head: tuple[tuple[str, Any], ...]
) -> Iterator[Found | ConfigError]:
    """The object at a place, or those of the list at that place; `head` is what a list says of its items."""
    if not isinstance(data, dict):
        yield _no_object(f"{shown(data)} is no Kubernetes object", origin.where(()))
        return
    content = {**dict(head), **data}
    for key in ("apiVersion", "kind"):
        value = content.get(key)
        if not isinstance(value, str) or not value:
            what = f"{key} is text, not {shown(value)}" if value else f"the object has no {key!r}"
            yield _no_object(what, origin.where((key,)))
            return
    items = content.get("items")
    if content["kind"].endswith(_LIST) and isinstance(items, list):
        kind = content["kind"].removesuffix(_LIST)
        below = (("apiVersion", content["apiVersion"]), ("kind", kind)) if kind else ()
        for index, item in enumerate(items):
            base = (*origin.base, "items", index)
            yield from _objects(document, item, Origin(origin.file, origin.lines, base), below)
        return
    if not isinstance(content.get("metadata"), dict | None):
        yield _no_object(f"metadata is a map, not {shown(content['metadata'])}", origin.where(("metadata",)))
        return
    yield Found(origin, document, content)


def _no_object(what: str, where: Where) -> ConfigError:
    hint = "objects begin with apiVersion, kind and metadata; settings are checked by `meshctl values -f`"
    return ConfigError("not-an-object", what, where=where, hint=hint)
