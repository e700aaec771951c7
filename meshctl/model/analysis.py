"""Analyzers: questions to a set of objects, each with the rules it may find broken.

An analyzer takes objects and gives findings: no cluster, no files, nothing printed. It is a file of
`meshctl/analyzers/`; nothing else has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from meshctl.errors import Where
from meshctl.model.finding import Finding, Rule
from meshctl.model.mesh import Path, dotted
from meshctl.model.objects import Object


@dataclass(frozen=True)
class Origin:
    """The part of a document that an object was read from.

    Attributes:
        file: as the user named it.
        lines: line of each place of the document, counting from 1.
        base: where the object stands in the document; empty when it is all of it.
    """

    file: str
    lines: Mapping[Path, int] = field(repr=False)
    base: Path = ()

    def where(self, path: Path) -> Where:
        """The place of a path of the object; one that is not in the file is where its parent stands."""
        whole = (*self.base, *path)
        line = next(
            (self.lines[whole[:end]] for end in range(len(whole), -1, -1) if whole[:end] in self.lines), None
        )
        return Where(self.file, line, dotted(path))


@dataclass(frozen=True)
class Resource:
    """An object, and where it was read; without an origin it is from a cluster."""

    object: Object
    origin: Origin | None = None

    def where(self, path: Path = ()) -> Where | None:
        """The place of a path of the object in its file."""
        return self.origin.where(path) if self.origin else None


@dataclass(frozen=True)
class ObjectSet:
    """Objects that belong together, of files, of clusters or of both."""

    resources: tuple[Resource, ...]
    istio_minor: str

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def of(self, kind: str) -> Iterator[Resource]:
        """Objects of a kind, whatever their group."""
        return (each for each in self.resources if each.object.ref.kind == kind)


Look: TypeAlias = Callable[[ObjectSet], Iterable[Finding]]


@dataclass(frozen=True)
class Analyzer:
    """One question.

    Attributes:
        name: of the function; unique.
        look: asks it.
        inputs: kinds that it reads, so that no others are fetched from a cluster.
        rules: all that it may find broken.
        summary: one line for `analyze --list-analyzers`.
    """

    name: str
    look: Look
    inputs: tuple[str, ...]
    rules: tuple[Rule, ...]
    summary: str


def analyzer(*, inputs: tuple[str, ...], rules: tuple[Rule, ...]) -> Callable[[Look], Analyzer]:
    """Make a function of an object set an analyzer; its summary is the first line of its docstring."""

    def made(look: Look) -> Analyzer:
        summary = (look.__doc__ or "").strip().partition("\n")[0]
        return Analyzer(look.__name__, look, inputs, rules, summary)

    return made


def found(rule: Rule, resource: Resource, message: str, *, path: Path = (), hint: str = "") -> Finding:
    """A finding: an object breaks a rule at a path, and `message` says how; `hint` beats the rule's own."""
    return Finding(
        rule, str(resource.object.ref), message, dotted(path), where=resource.where(path), hint=hint
    )
