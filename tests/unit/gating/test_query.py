"""Whether the answer to a query means that it holds."""

from __future__ import annotations

import math

import pytest

from meshctl.stages.gating.query import refusal


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(errors[1m])) < 1",
        '(sum(rate(errors{code=~"5..|>="}[1m])) <= 0.5)',
        "sum by (app) (rate(errors[1m])) < 1",
        "a > 2 and b < 3",
        "a and (b < 3)",
        "errors / on (app) group_left (x) requests < 0.01",
        "errors < 1 # bool",
    ],
)
def test_a_comparison_holds_when_it_lets_a_zero_through(query: str) -> None:
    assert refusal(query, (0.0,)) == ""
    assert refusal(query, ()) == "it gives nothing"


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(ok[1m]))",
        "errors < bool 1",
        "count(errors > 3)",
        "count by (app) (errors > 3)",
        'up{job="a>b"}',
        "rate(x[5m])",
        '"a < b"',
        "",
    ],
)
def test_a_zero_that_no_comparison_let_through_does_not_hold(query: str) -> None:
    assert refusal(query, (0.0,)) == "it gives 0"
    assert refusal(query, (1.0, 0.0)) == "it gives 0"
    assert refusal(query, (1.0,)) == ""


def test_nothing_that_is_no_number_holds() -> None:
    assert refusal("a / b < 1", (math.nan,)) == "it gives NaN"


@pytest.mark.parametrize("query", ["((", "))", "'", '{"', "< ) < ("])
def test_a_query_that_is_none_is_no_trouble(query: str) -> None:
    assert refusal(query, ()) == "it gives nothing"
