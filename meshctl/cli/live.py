"""Progress as a person at a terminal sees it: one line a group, drawn with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, assert_never

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from meshctl.cli.report import Tally, Text, event_line, of_cluster
from meshctl.model.event import Changed, Done, Failed, Skipped, Started, Unchanged, Waiting, Warned

if TYPE_CHECKING:
    from meshctl.errors import MeshctlError
    from meshctl.model.event import Event


class Live:
    """A spinner for each group at work, with its elapsed time and what it does or waits for."""

    form = "text"

    def __init__(self) -> None:
        """Draw on stderr, so that stdout stays for results."""
        self.console = Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self.tasks: dict[str, Any] = {}
        self.tally = Tally()

    def event(self, event: Event, cluster: str = "") -> None:
        """Move the line of the event's group."""
        event = self.tally.told(of_cluster(event, cluster))
        match event:
            case Started(group, subject):
                self._show(group, subject)
            case Changed(group, subject, detail):
                self._show(group, f"{subject} {detail}".strip())
            case Unchanged():
                pass
            case Waiting(group, subject, cause):
                self._show(group, f"{subject}: [yellow]{_plain(cause)}[/yellow]", markup=True)
            case Skipped() | Warned():
                self.console.print(event_line(event), style="yellow", markup=False)
            case Failed(group, _, _):
                self._finish(group)
                self.console.print(event_line(event), style="red", markup=False)
            case Done(group, _, _):
                self._finish(group)
                self.console.print(event_line(event), style="green", markup=False)
            case _:
                assert_never(event)

    def result(self, data: Any, text: str) -> None:
        """The text, to stdout."""
        self.pause()
        if text:
            click.echo(text)

    def note(self, text: str) -> None:
        """To stderr, above the lines that move."""
        self.console.print(text, markup=False)

    def error(self, error: MeshctlError) -> None:
        """As plain text does, when nothing moves any more."""
        self.pause()
        Text().error(error)

    def pause(self) -> None:
        """Take the moving lines away, for a question or a result."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
            self.tasks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.pause()

    def _show(self, group: str, text: str, *, markup: bool = False) -> None:
        if self.progress is None:
            self.progress = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                TextColumn("{task.fields[doing]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self.progress.start()
        doing = text if markup else _plain(text)
        if group in self.tasks:
            self.progress.update(self.tasks[group], doing=doing)
        else:
            self.tasks[group] = self.progress.add_task(group, total=None, doing=doing)

    def _finish(self, group: str) -> None:
        if self.progress is not None and group in self.tasks:
            self.progress.remove_task(self.tasks.pop(group))


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
