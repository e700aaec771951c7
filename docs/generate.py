"""Write the pages and schemas of docs/reference from the code; `--check` only compares."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path

import click

from meshctl.actions.analyze import analyzers
from meshctl.actions.checks import checks
from meshctl.agent import settings
from meshctl.agent.reading.fields import SAYABLE, camel
from meshctl.cli import cli
from meshctl.model.check import Moment
from meshctl.stages.fleet import standing
from meshctl.stages.schema import editor, fields, typed
from meshctl.stages.seeing import soundness
from meshctl.stages.settings import catalogue, versions
from meshctl.stages.trusting import judging

REFERENCE = Path(__file__).parent / "reference"


def commands() -> str:
    """Every command with its help, as `--help` prints it."""
    blocks = ["# Commands\n\nWritten by `make docs` from the code.\n"]
    blocks += [_command(name, command) for name, command in _every(cli, click.Context(cli), "")]
    return "\n".join(blocks)


VALUES = """# Values

Written by `make docs` from `templates/*/component.yaml`. Types with a capital letter are Kubernetes' and
Istio's own, as their API has them; `meshctl values --schema values` tells all their fields.

An editor checks a file while it is written if it knows the schema beside this page. Editors that use the
YAML language server read it from the first line of the file:

```yaml
# yaml-language-server: $schema=https://example.com/values.schema.json
```

with the path or address of `values.schema.json` for files of values, `operator.schema.json` for an
IstioOperator, `mesh.schema.json` for a mesh.yaml. `meshctl values --schema operator` prints the one that
belongs to the meshctl at hand.
"""


def values() -> str:
    """Every value that can be set, by component."""
    lines = [VALUES]
    for name, component in sorted(catalogue.components().items()):
        if not component.fields:
            continue
        lines += [f"## {name}\n", "| Value | Type | Default | What it is for |", "|---|---|---|---|"]
        for field in sorted(component.fields, key=lambda each: each.path):
            path = ".".join(key.replace(".", "\\.") for key in field.path[1:])
            default = "" if field.default is None else f"`{json.dumps(field.default)}`"
            lines.append(f"| `{path}` | {_cell(_type(field))} | {_cell(default)} | {_cell(_about(field))} |")
        lines.append("")
    return "\n".join(lines)


def _type(field: catalogue.Field) -> str:
    """A type with its choices, its limits and its unit."""
    if field.choices:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in field.choices)
    known = typed.type_of(field.type, field.of)
    of = f" of {field.of}" if field.of else ""
    about = fields.limits(field)
    if known is not None and known.schema.doc and field.type[0].islower() and not of:
        return known.schema.doc
    return f"{field.type}{of}{f', {about}' if about else ''}{f' ({field.unit})' if field.unit else ''}"


def _about(field: catalogue.Field) -> str:
    """What a value is for, and which of Istio's minors have it where not all do."""
    minors = [each for each in versions.versions() if not field.feature or _has(each, field.feature)]
    return field.doc if len(minors) == len(versions.versions()) else f"{field.doc} Istio {', '.join(minors)}."


def _has(minor: str, feature: str) -> bool:
    return feature in versions.version(minor).features


def rules() -> str:
    """Every rule that `check` and `status` hold a cluster against, and `analyze` objects."""
    lines = ["# Rules\n\nWritten by `make docs` from the code. A code is never given to another rule.\n"]
    rooms = {
        "meshctl check --pre": [rule for each in checks() if each.fits(Moment.BEFORE) for rule in each.rules],
        "meshctl check": [rule for each in checks() if each.fits(Moment.AFTER) for rule in each.rules],
        "meshctl status, and meshctl check": soundness.rules(),
        "meshctl status -f": standing.rules(),
        "meshctl cluster verify": [
            rule for each in checks() if each.fits(Moment.FLEET) for rule in each.rules
        ],
        "meshctl ca status": judging.rules(),
        "meshctl analyze": [rule for each in analyzers() for rule in each.rules],
    }
    for title, found in rooms.items():
        lines += [f"## {title}\n", "| Code | Level | What should hold | What to do when it does not |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{one.code}` | {one.level} | {_cell(one.summary)} | {_cell(one.hint)} |" for one in found
        ]
        lines.append("")
    return "\n".join(lines)


AGENT = """# Settings of the agent on virtual machines

Written by `make docs` from the code. Each is optional, and stands in `/etc/meshctl-agent/proxy.json` under
`agent` and the name of its part:

```json
{"proxyConfig": {"concurrency": 2}, "agent": {"envoy": {"memory": 512}, "log": {"level": "debug"}}}
```

What is not set there comes from the variables of `cluster.env`, then from the mesh's ProxyConfig, then from
the default below. Times are in seconds.
"""


def agent() -> str:
    """Every setting of the agent, by its part."""
    lines = [AGENT]
    for name, (room, _) in settings.ROOMS.items():
        said = _attributes(room)
        lines += [f"## {name}\n", "| Setting | Type | Default | What it is |", "|---|---|---|---|"]
        for field in dataclasses.fields(room):
            wanted = SAYABLE.get(str(field.type))
            if wanted and field.name not in settings.FIXED:
                default = f"`{json.dumps(field.default)}`" if field.default is not dataclasses.MISSING else ""
                lines.append(f"| `{camel(field.name)}` | {wanted} | {default} | {_cell(said[field.name])} |")
        lines.append("")
    return "\n".join(lines)


def _attributes(room: type) -> dict[str, str]:
    """What a dataclass's docstring says of each attribute, on a line, with choices in place of their name."""
    choices = vars(sys.modules[room.__module__])
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(room.__doc__ or "").partition("Attributes:")[2].splitlines():
        if begins := re.fullmatch(r"    (\w+): (.+)", line):
            name, found[begins[1]] = begins[1], begins[2]
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
    return {
        name: re.sub(r"`([A-Z]+)`", lambda each: ", ".join(f"`{one}`" for one in choices[each[1]]), said)
        for name, said in found.items()
    }


def main(check: bool) -> int:
    """Write all, or tell which are stale; 1 when one is."""
    stale = 0
    schemas = {
        f"{name}.schema.json": json.dumps(told(), ensure_ascii=False, separators=(",", ":")) + "\n"
        for name, told in editor.DOCUMENTS.items()
    }
    written = {"agent.md": agent(), "commands.md": commands(), "rules.md": rules(), "values.md": values()}
    pages = {**written, **schemas}
    for name, text in pages.items():
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
            if command.invoke_without_command:
                found.append((f"{prefix}{name}", command))
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
