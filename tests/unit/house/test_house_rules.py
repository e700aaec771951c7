"""Things people forget and linters cannot see."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import meshctl
from meshctl.cli import cli
from meshctl.registry import data

PACKAGE = Path(meshctl.__file__).parent
ROOT = PACKAGE.parent
HEAVY = ("kubernetes", "paramiko", "grpc", "jinja2", "rich", "cryptography", "yaml", "xds")


def test_help_loads_nothing_heavy() -> None:
    code = f"import meshctl.cli, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def commands(group: click.Group, context: click.Context) -> list[tuple[str, click.Command]]:
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{name} is in the table and cannot be imported"
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", each) for inner, each in commands(command, context)]
        else:
            found.append((name, command))
    return found


def every_command() -> list[tuple[str, click.Command]]:
    return commands(cli, click.Context(cli))


@pytest.mark.parametrize(
    ("name", "command"), every_command(), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_command_explains_itself_with_examples(name: str, command: click.Command) -> None:
    assert command.help, name
    assert "Examples:" in command.help, f"{name} shows no example"
    assert f"meshctl {name}" in command.help, f"{name} shows no example of itself"


@pytest.mark.parametrize(
    ("name", "command"), every_command(), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_option_says_what_it_is_for(name: str, command: click.Command) -> None:
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts}"


@pytest.mark.parametrize(
    ("name", "command"), every_command(), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_command_but_completion_can_answer_in_json(name: str, command: click.Command) -> None:
    if name != "completion":
        assert any("--output" in option.opts for option in command.params), name


def test_no_hint_names_a_command_that_is_not_there() -> None:
    known = {name for name, _ in every_command()} | {name.partition(" ")[0] for name, _ in every_command()}
    places = [*PACKAGE.rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = (
        (path, each) for path in places for each in re.findall(r"`meshctl ([a-z][a-z-]*)", path.read_text())
    )
    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in named if name not in known] == []


def test_no_template_names_a_version() -> None:
    number = re.compile(r"\b1\.\d\d(\.\d+)?\b")
    for path in data("templates").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            for line, text in enumerate(path.read_text().splitlines(), 1):
                assert not number.search(text), f"{path.relative_to(ROOT)}:{line} {text.strip()}"


MAY_PRINT = ("cli", "agent")
MAY_READ_THE_WORLD = ("cli", "adapters", "sandbox", "agent", "installer")
ASKS_THE_WORLD = {
    ("time", "sleep"),
    ("time", "time"),
    ("datetime", "now"),
    ("os", "environ"),
    ("os", "getenv"),
}


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_edges_print_or_ask_the_machine(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert room in MAY_PRINT, f"{path.name}:{node.lineno} prints"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asks = (node.value.id, node.attr) in ASKS_THE_WORLD
            assert not asks or room in MAY_READ_THE_WORLD, (
                f"{path.name}:{node.lineno} {node.value.id}.{node.attr}"
            )


def test_what_is_committed_speaks_of_the_project_alone() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    forbidden = re.compile(
        r"pypi\.org|proxy\.golang\.org|deb\.debian\.org|registry\.npmjs|/root/|/work/|/tmp/build"
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or path.suffix == ".sum":
            continue
        found = forbidden.search(path.read_text(errors="replace"))
        assert found is None, f"{name} names {found and found.group()}"
