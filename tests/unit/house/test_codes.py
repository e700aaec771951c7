"""Codes of rules and errors: people search for them, so each means one thing and is one that is given."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import meshctl
from meshctl import errors
from meshctl.actions.analyze import analyzers
from meshctl.actions.checks import checks
from meshctl.model.finding import Rule
from meshctl.stages.seeing import soundness
from meshctl.stages.trusting import judging

PACKAGE = Path(meshctl.__file__).parent
UNIT = Path(__file__).parents[1]
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
ERRORS = {"Trouble"} | {
    name
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, errors.MeshctlError)
}

RULES = [
    *(rule for each in (*checks(), *analyzers()) for rule in each.rules),
    *soundness.rules(),
    *judging.rules(),
]


def error_codes() -> Iterator[tuple[str, str]]:
    """Every code that an error or a trouble is made with, and where."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_every_code_is_kebab_case() -> None:
    places = [("a rule", rule.code) for rule in RULES] + [(place, code) for code, place in error_codes()]
    assert [(place, code) for place, code in places if not KEBAB.fullmatch(code)] == []


def test_no_two_rules_have_one_code() -> None:
    assert [code for code, count in Counter(rule.code for rule in RULES).items() if count > 1] == []


def test_no_error_has_the_code_of_a_rule() -> None:
    rules = {rule.code for rule in RULES}
    assert [(place, code) for code, place in error_codes() if code in rules] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_says_what_should_hold_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"\S.*\.", rule.summary)
    assert rule.hint
    assert not rule.hint.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_is_fired_by_a_test(rule: Rule) -> None:
    tests = [
        path for room in ("analyzers", "checks", "status", "trusting") for path in (UNIT / room).glob("*.py")
    ]
    assert any(f'"{rule.code}"' in path.read_text("utf-8") for path in tests)
