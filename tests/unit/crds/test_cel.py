"""Rules in CEL, asked without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from meshctl.crds import cel
from meshctl.crds.structural import Problem

PORT = {
    "type": "integer",
    "x-kubernetes-validations": [{"rule": "0 < self && self <= 65535", "message": "no port"}],
}


def asked(rule: str, value: Any, kind: str = "string") -> cel.Verdict:
    return cel.judged(
        {"type": kind, "x-kubernetes-validations": [{"rule": rule, "message": "broken"}]}, value
    )


KEPT = [
    ("duration(self) >= duration('1ms')", "1.5h", "1us"),
    ("duration(self) >= duration('1ms')", "0.5s", "5"),
    ("duration(self) >= duration('1ms')", "5s", "1d"),
    ("isURL(self)", "/a", "a"),
    ("isURL(self)", "http://[::1]:80/a%20b?c#d", "http://a b"),
    ("isURL(self)", "http://user:pass@a/", "http://%zz"),
    ("isURL(self)", "mailto:me", "http://a:port/"),
    ("isURL(self)", "HTTP://a", ""),
    ("url(self).getScheme() in ['http', 'https']", "HTTPS://a", "ftp://a"),
    ("url(self).getScheme() == ''", "/a/b", "no address"),
    ("self.substring(0, 1) == '/'", "/a", ""),
    ("self.matches('^[a-z]+$')", "abc", "abc\n"),
]


@pytest.mark.parametrize(("rule", "good", "bad"), KEPT)
def test_a_rule_holds_or_is_broken_as_in_kubernetes(rule: str, good: str, bad: str) -> None:
    assert asked(rule, good) == cel.Verdict()
    (found,) = asked(rule, bad).problems
    assert (found.path, found.code) == ((), "rule-broken")
    assert found.message == f"the value cannot be {bad!r}: broken"


def test_a_rule_of_every_node_is_asked_and_told_at_its_place() -> None:
    schema = {
        "type": "object",
        "properties": {
            "ports": {"type": "array", "items": {"type": "object", "properties": {"number": PORT}}}
        },
        "x-kubernetes-validations": [{"rule": "size(self.ports) < 2", "message": "one port"}],
    }
    found = cel.judged(schema, {"ports": [{"number": 80}, {"number": 0}]}).problems
    assert [(each.path, each.message) for each in found] == [
        ((), "the value: one port"),
        (("ports", 1, "number"), "number cannot be 0: no port"),
    ]


def test_a_rule_that_stumbles_over_a_wrong_type_says_nothing_new() -> None:
    wrong = Problem(("number",), "wrong-type", "number is a whole number, not 'x'")
    schema = {"type": "object", "properties": {"number": PORT}}
    assert cel.judged(schema, {"number": "x"}, [wrong]).problems == ()
    assert len(cel.judged(schema, {"number": "x"}).problems) == 1


def test_null_and_absent_are_the_same_to_a_rule() -> None:
    rule = {"rule": "!has(self.number)", "message": "broken"}
    schema = {"type": "object", "properties": {"number": PORT}, "x-kubernetes-validations": [rule]}
    assert cel.judged(schema, {"number": None}) == cel.Verdict()


def test_a_rule_about_changes_is_not_for_an_object_alone() -> None:
    assert asked("self == oldSelf", "a") == cel.Verdict()


@pytest.mark.parametrize("rule", ["quantity(self).isLessThan(quantity('1k'))", "self ==", "unknown > 1"])
def test_a_rule_that_cannot_be_read_is_told_and_not_taken_as_kept(rule: str) -> None:
    (unread,) = asked(rule, "a").unread
    assert unread.rule == rule
    assert unread.why


def test_a_rule_over_a_list_too_long_to_evaluate_is_told() -> None:
    rule = "self.all(a, self.exists_one(b, a == b))"
    (unread,) = asked(rule, [str(number) for number in range(300)], "array").unread
    assert "budget" in unread.why


@pytest.fixture
def without_the_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    cel._environment.cache_clear()
    cel._program.cache_clear()
    yield
    cel._environment.cache_clear()
    cel._program.cache_clear()


@pytest.mark.usefixtures("without_the_package")
def test_without_the_package_every_rule_is_told_as_not_evaluated() -> None:
    (unread,) = asked("self == 'b'", "a").unread
    assert "cel-expr-python is not installed" in unread.why
