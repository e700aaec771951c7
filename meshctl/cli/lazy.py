"""A command group whose help reads a table, so that only the command in use is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from meshctl.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Table = dict[str, dict[str, tuple[str, str]]]


class LazyGroup(click.Group):
    """Commands by section; each is `module:attribute` and a line of help."""

    def __init__(self, name: str, table: Table, aliases: Mapping[str, str], *, help: str) -> None:
        """Make the group.

        Args:
            name: the program's name.
            table: section title → command name → (`module:attribute`, one line of help).
            aliases: other names of commands; they work, and are not listed.
            help: text above the list of commands.
        """
        super().__init__(
            name,
            help=help,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        )
        self.table = table
        self.aliases = aliases

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [name for section in self.table.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None when there is none of this name."""
        name = self.aliases.get(cmd_name, cmd_name)
        for section in self.table.values():
            if name in section:
                module, _, attribute = section[name][0].partition(":")
                command: click.Command = getattr(importlib.import_module(module), attribute)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest known name when there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = nearest(args[0], [*self.list_commands(ctx), *self.aliases])
            if near:
                raise click.UsageError(f"{error.message.rstrip('.')}; did you mean {near!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands by section, from the table alone."""
        width = max(map(len, self.list_commands(ctx)))
        for title, section in self.table.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, (_, line) in section.items()])
