"""Write docs/reference/commands.md, rules.md and values.md from the code; `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from meshctl.actions.checks import checks
from meshctl.cli import cli
from meshctl.model.check import Moment
from meshctl.stages.seeing import soundness
from meshctl.stages.settings import catalogue

REFERENCE = Path(__file__).parent / "reference"


def commands() -> str:
    """Every command with its help, as `--help` prints it."""
    blocks = ["# Commands\n\nWritten by `make docs` from the code.\n"]
    blocks += [_command(name, command) for name, command in _every(cli, click.Context(cli), "")]
    return "\n".join(blocks)


def values() -> str:
    """Every value that can be set, by component."""
    lines = ["# Values\n\nWritten by `make docs` from `templates/*/component.yaml`.\n"]
    for name, component in sorted(catalogue.components().items()):
        lines += [f"## {name}\n", "| Value | Type | Default | What it is for |", "|---|---|---|---|"]
        for field in sorted(component.fields, key=lambda each: each.path):
            path = ".".join(key.replace(".", "\\.") for key in field.path[1:])
            default = "" if field.default is None else f"`{json.dumps(field.default)}`"
            unit = f" ({field.unit})" if field.unit else ""
            lines.append(f"| `{path}` | {field.type}{unit} | {_cell(default)} | {_cell(field.doc)} |")
        lines.append("")
    return "\n".join(lines)


def rules() -> str:
    """Every rule that `check` and `status` hold a cluster against."""
    lines = ["# Rules\n\nWritten by `make docs` from the code. A code is never given to another rule.\n"]
    rooms = {
        "meshctl check --pre": [rule for each in checks() if each.fits(Moment.BEFORE) for rule in each.rules],
        "meshctl check": [rule for each in checks() if each.fits(Moment.AFTER) for rule in each.rules],
        "meshctl status, and meshctl check": soundness.rules(),
    }
    for title, found in rooms.items():
        lines += [f"## {title}\n", "| Code | Level | What should hold | What to do when it does not |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{one.code}` | {one.level} | {_cell(one.summary)} | {_cell(one.hint)} |" for one in found
        ]
        lines.append("")
    return "\n".join(lines)


def main(check: bool) -> int:
    """Write all, or tell which are stale; 1 when one is."""
    stale = 0
    for name, text in {"commands.md": commands(), "rules.md": rules(), "values.md": values()}.items():
        path = REFERENCE / name
        if check and (not path.exists() or path.read_text("utf-8") != text):
            print(f"{path} is stale; `make docs` writes it anew", file=sys.stderr)
            stale = 1
        elif not check:
            path.write_text(text, "utf-8")
    return stale


def _every(group: click.Group, context: click.Context, prefix: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += _every(command, context, f"{prefix}{name} ")
        elif command is not None:
            found.append((f"{prefix}{name}", command))
    return found


def _command(name: str, command: click.Command) -> str:
    parent = click.Context(cli, info_name="meshctl", **cli.context_settings)
    context = click.Context(command, parent=parent, info_name=name, terminal_width=100)
    return f"## meshctl {name}\n\n```text\n{command.get_help(context)}\n```\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
