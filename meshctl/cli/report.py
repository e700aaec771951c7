"""Reporters: the same words as plain lines, as JSON lines, or drawn live on a terminal.

Results go to stdout; progress and errors go to stderr. Nothing else in meshctl prints.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self, assert_never

import click

from meshctl.errors import MeshctlError, ProblemsError
from meshctl.model.event import Changed, Done, Failed, Skipped, Started, Unchanged, Waiting, Warned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meshctl.model.event import Event


WAIT_EVERY = 2.0
"""Seconds before the first line that says what a group waits for, and between two of them."""


class Report(Protocol):
    """Where a command's words go."""

    form: str

    def event(self, event: Event, cluster: str = "") -> None:
        """Tell one event of work in progress; of which cluster, where there are several."""
        ...

    def result(self, data: Any, text: str) -> None:
        """Give the command's answer: `data` to a program, `text` to a person."""
        ...

    def note(self, text: str) -> None:
        """A line of context for a person, beside the answer."""
        ...

    def error(self, error: MeshctlError) -> None:
        """Tell why the command failed."""
        ...

    def pause(self) -> None:
        """Leave the terminal alone for a question."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Tally:
    """Counts what was done in each group, so that its last line can say it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts: dict[str, Counter[str]] = {}

    def told(self, event: Event) -> Event:
        """The event, with the counts of its group in the summary when the group is done."""
        if isinstance(event, Changed) and event.detail:
            self.counts.setdefault(event.group, Counter())[event.detail] += 1
        if isinstance(event, Done) and not event.summary:
            counts = self.counts.pop(event.group, Counter())
            return replace(event, summary=", ".join(_counted(word, count) for word, count in counts.items()))
        return event


def _counted(word: str, count: int) -> str:
    return word if word[0].isdigit() else f"{count} {word}"


class Text:
    """Plain lines: what is waited for, and what was done; each object with `--verbose`."""

    form = "text"

    def __init__(self, *, verbose: bool = False) -> None:
        """Make one; `verbose` tells every object."""
        self.verbose = verbose
        self.tally = Tally()
        self.last_wait: dict[str, float] = {}

    def event(self, event: Event, cluster: str = "") -> None:
        """One line to stderr; what did not change is left out."""
        event = self.tally.told(of_cluster(event, cluster))
        if self._is_worth_it(event):
            click.echo(event_line(event), err=True)

    def _is_worth_it(self, event: Event) -> bool:
        if isinstance(event, Started | Changed):
            return self.verbose
        if isinstance(event, Waiting):
            now = time.monotonic()
            if now - self.last_wait.setdefault(event.group, now) < WAIT_EVERY:
                return False
            self.last_wait[event.group] = now
            return True
        return not isinstance(event, Unchanged)

    def result(self, data: Any, text: str) -> None:
        """The text, to stdout."""
        if text:
            click.echo(text)

    def note(self, text: str) -> None:
        """To stderr."""
        click.echo(text, err=True)

    def error(self, error: MeshctlError) -> None:
        """To stderr; red on a terminal, never by colour alone."""
        first, *rest = error_lines(error)
        click.echo(click.style(first, fg="red"), err=True)
        for line in rest:
            click.echo(line, err=True)

    def pause(self) -> None:
        """Nothing is drawn, so nothing is in the way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Json(Text):
    """One object a line for events, one document for an answer; keys in a fixed order."""

    form = "json"
    is_streaming = False

    def event(self, event: Event, cluster: str = "") -> None:
        """One JSON object, to stdout."""
        self.is_streaming = True
        click.echo(json.dumps({**({"cluster": cluster} if cluster else {}), **event_data(event)}))

    def result(self, data: Any, text: str) -> None:
        """The data as one document; on one line where events went before, so that each line is one."""
        click.echo(json.dumps(data, indent=None if self.is_streaming else 2))

    def note(self, text: str) -> None:
        """A program has no use for it."""

    def error(self, error: MeshctlError) -> None:
        """One object, to stderr."""
        click.echo(json.dumps({"error": error_data(error)}), err=True)


class Yaml(Json):
    """As JSON, for answers in YAML."""

    form = "yaml"

    def result(self, data: Any, text: str) -> None:
        """The data as one document."""
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False), nl=False)


def of_cluster(event: Event, cluster: str) -> Event:
    """The event with its cluster's name before its group; the same event where it has none."""
    return replace(event, group=f"{cluster}/{event.group}") if cluster else event


def event_line(event: Event) -> str:
    """One event for a person; empty for what is not worth a line."""
    match event:
        case Started(group, subject):
            return f"  … {group}: {subject}"
        case Changed(group, subject, detail):
            return f"  + {group}: {subject}{f' ({detail})' if detail else ''}"
        case Unchanged():
            return ""
        case Waiting(group, subject, cause):
            return f"  ~ {group}: {subject}: {cause}"
        case Skipped(group, subject, reason):
            return f"  - {group}: {subject}: {reason}"
        case Warned(group, subject, reason):
            return f"  ! {group}: {subject}: {reason}" if subject else f"  ! {group}: {reason}"
        case Failed(group, subject, error):
            return f"  x {group}: {subject}: {error.message}"
        case Done(group, summary, seconds):
            took = "" if seconds is None else f" in {seconds:.1f} s"
            return f"  ✓ {group}{f': {summary}' if summary else ''}{took}"
    assert_never(event)


def event_data(event: Event) -> dict[str, Any]:
    """One event for a program; described in docs/reference/json.md."""
    data: dict[str, Any] = {"event": type(event).__name__.lower(), "group": event.group}
    match event:
        case Started(_, subject) | Unchanged(_, subject):
            return {**data, "subject": subject}
        case Changed(_, subject, detail):
            return {**data, "subject": subject, "detail": detail}
        case Waiting(_, subject, cause):
            return {**data, "subject": subject, "cause": cause}
        case Skipped(_, subject, reason) | Warned(_, subject, reason):
            return {**data, "subject": subject, "reason": reason}
        case Failed(_, subject, error):
            return {**data, "subject": subject, "error": error_data(error)}
        case Done(_, summary, seconds):
            return {**data, "summary": summary, "seconds": seconds}
    assert_never(event)


def error_lines(error: MeshctlError) -> list[str]:
    """An error for the person who must act: code, place, fact, details, hint."""
    if isinstance(error, ProblemsError):
        return [line for problem in error.problems for line in error_lines(problem)]
    lines = [f"error: {error.code}"]
    if error.where is not None:
        lines.append(f"  {error.where}")
    lines.append(f"  {error.message}")
    lines += [f"    {detail}" for detail in error.details]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return lines


def error_data(error: MeshctlError) -> dict[str, Any]:
    """An error for a program."""
    where = error.where
    data: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "where": None if where is None else {"file": where.file, "line": where.line, "path": where.path},
        "details": list(error.details),
        "hint": error.hint,
    }
    if isinstance(error, ProblemsError):
        data["problems"] = [error_data(problem) for problem in error.problems]
    return data


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Columns as kubectl prints them: upper-case header, three spaces between."""
    everything = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    )


def pairs(facts: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """`name: value` lines with the values in one column."""
    items = list(facts.items() if hasattr(facts, "items") else facts)
    width = max((len(name) for name, _ in items), default=0)
    return "\n".join(f"{name}:".ljust(width + 2) + value for name, value in items)
