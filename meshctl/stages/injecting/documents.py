"""Files of Kubernetes objects, whose workloads are changed one by one and whose rest passes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, MeshctlError, ProblemsError, Where
from meshctl.stages.injecting.workloads import put, workloads
from meshctl.stages.settings.document import documents
from meshctl.stages.validating.sources import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from meshctl.stages.injecting.inject import Outcome
    from meshctl.stages.injecting.workloads import Workload
    from meshctl.stages.settings.document import Document


@dataclass(frozen=True)
class File:
    """A file and its documents, none of them blank."""

    name: str
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Changed:
    """A file as it is now.

    Attributes:
        name: of the file.
        contents: its documents.
        told: each workload with the line it begins on and what became of it.
        is_changed: whether anything in it is another than before.
    """

    name: str
    contents: tuple[Any, ...]
    told: tuple[tuple[Workload, int, Outcome], ...]
    is_changed: bool


def read(names: Iterable[str], stdin: str = "") -> Iterator[File]:
    """The files behind names of files and folders, and `-`.

    Raises:
        ConfigError: one cannot be read, or is not YAML or JSON.
        ProblemsError: keys that occur twice.
    """
    for source in sources(names, stdin):
        if source.problem is not None:
            raise source.problem
        yield File(source.file, tuple(each for each in documents(source.text, source.file) if each.data))


def changed(file: File, change: Callable[[Workload], Outcome]) -> Changed:
    """The file with every workload changed.

    Raises:
        ConfigError: a workload cannot be changed; names file and line.
        ProblemsError: several things are wrong; all are told.
    """
    contents, told, problems = [], [], []
    for document in file.documents:
        content = document.data
        for workload in workloads(document.data):
            try:
                outcome = change(workload)
            except ProblemsError as several:
                problems += [_placed(each, document, workload) for each in several.problems]
                continue
            except ConfigError as fault:
                problems.append(_placed(fault, document, workload))
                continue
            except MeshctlError as fault:
                fault.where = fault.where or _where(document, workload)
                raise
            content = put(content, workload.steps, outcome.content)
            told.append((workload, document.lines[workload.steps], outcome))
        contents.append(content)
    if problems:
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)
    before = [each.data for each in file.documents]
    return Changed(file.name, tuple(contents), tuple(told), contents != before)


def _placed(fault: ConfigError, document: Document, workload: Workload) -> ConfigError:
    """The fault with file and line, as near to the value as its path leads."""
    path = fault.where.path if fault.where else ""
    steps = (*workload.steps, *workload.pod, *_steps(path))
    known = next(steps[:end] for end in range(len(steps), -1, -1) if steps[:end] in document.lines)
    shown = f"{workload}{f'  {path}' if path else ''}"
    return type(fault)(
        fault.code,
        fault.message,
        where=Where(document.file, document.lines[known], shown),
        hint=fault.hint,
        details=fault.details,
    )


def _where(document: Document, workload: Workload) -> Where:
    return Where(document.file, document.lines[workload.steps], str(workload))


def _steps(path: str) -> tuple[str | int, ...]:
    from meshctl.model.objects import STEP

    found: list[str | int] = [int(index) if index else key for index, key in STEP.findall(path)]
    return tuple(found)
