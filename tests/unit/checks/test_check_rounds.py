"""How checks are run: their order, what is skipped and why, waiting, and those that never answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from meshctl.actions.checks import checks, run
from meshctl.checks.site import Site
from meshctl.errors import AccessError, InternalError, UnreachableError
from meshctl.model.check import Check, Moment, Outcome, check
from meshctl.model.finding import Finding, Level, Rule
from tests.fakes import FakeClock, FakeCluster

SITE = Site(FakeCluster("east"))


def rule(code: str, level: Level = Level.ERROR) -> Rule:
    return Rule(code, level, f"{code} holds.", "mend it")


def made(name: str, *found: bool, after: tuple[str, ...] = (), settles: bool = False) -> Check:
    """A check that finds something or not, turn by turn; the last answer stays."""
    mine = rule(name)
    answers = list(found)

    @check(rules=(mine,), after=after, settles=settles)
    def look(_: Site) -> Iterator[Finding]:
        broken = answers.pop(0) if len(answers) > 1 else answers[0]
        if broken:
            yield mine.at("it", "is broken")

    return replace(look, name=name)


def told(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [
        f"{each.check}: {'passed' if each.passed else each.skipped or each.findings[0].message}"
        for each in outcomes
    ]


def test_outcomes_come_in_the_order_of_the_checks() -> None:
    assert told(run(SITE, [made("b", False, after=("a",)), made("a", False)], FakeClock())) == [
        "b: passed",
        "a: passed",
    ]


def test_what_comes_after_a_broken_rule_is_skipped_and_says_so() -> None:
    chosen = [made("a", True), made("b", False, after=("a",)), made("c", False, after=("b",))]
    assert told(run(SITE, chosen, FakeClock())) == [
        "a: is broken",
        "b: a does not hold",
        "c: b does not hold",
    ]


def test_a_rule_known_to_be_broken_skips_what_comes_after_it() -> None:
    chosen = [made("b", False, after=("a",))]
    assert told(run(SITE, chosen, FakeClock(), broken={"a"})) == ["b: a does not hold"]
    assert told(run(SITE, chosen, FakeClock())) == ["b: passed"]


def test_waiting_asks_again_what_settles_and_then_what_was_skipped() -> None:
    clock = FakeClock()
    chosen = [
        made("a", True, True, False, settles=True),
        made("b", False, after=("a",)),
        made("c", True, False),
    ]
    assert told(run(SITE, chosen, clock, wait=60)) == ["a: passed", "b: passed", "c: is broken"]
    assert clock.slept == [1.0, 1.0]


def test_waiting_ends_when_the_time_is_up() -> None:
    clock = FakeClock()
    assert told(run(SITE, [made("a", True, settles=True)], clock, wait=3)) == ["a: is broken"]
    assert len(clock.slept) == 3


def test_a_check_that_never_answers_is_skipped_and_holds_nobody_up() -> None:
    never = threading.Event()

    @check(rules=(rule("hangs"),), seconds=0.05)
    def hangs(_: Site) -> Iterator[Finding]:
        never.wait()
        yield from ()

    assert told(run(SITE, [hangs, made("a", False)], FakeClock())) == [
        "hangs: no answer within 0.05 s",
        "a: passed",
    ]
    never.set()


def test_a_check_without_rights_is_skipped_with_the_reason() -> None:
    @check(rules=(rule("denied"),))
    def denied(_: Site) -> Iterator[Finding]:
        raise AccessError("denied", "you may not list nodes")

    assert told(run(SITE, [denied], FakeClock())) == ["denied: you may not list nodes"]


def test_a_fault_of_ours_is_not_hidden() -> None:
    @check(rules=(rule("faulty"),))
    def faulty(_: Site) -> Iterator[Finding]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(SITE, [faulty], FakeClock())


def test_checks_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(InternalError, match="in a circle"):
        run(SITE, [made("a", False, after=("b",)), made("b", False, after=("a",))], FakeClock())


def test_every_check_waits_for_rules_that_exist_and_every_rule_says_what_to_do() -> None:
    found = checks()
    rules = [each for one in found for each in one.rules]
    assert len({each.code for each in rules}) == len(rules)
    assert all(each.summary.endswith(".") and each.hint and not each.hint.endswith(".") for each in rules)
    assert {each.moment for each in found} == set(Moment)


class Down(FakeCluster):
    """A cluster that does not answer."""

    def version(self) -> str:
        raise UnreachableError("no-answer", "no answer from the API server", details=("connection refused",))


def test_a_cluster_that_is_down_breaks_one_rule_and_the_rest_is_skipped() -> None:
    of_clusters = [each for each in checks() if not each.fits(Moment.FLEET)]
    outcomes = run(Site(Down("east")), of_clusters, FakeClock())
    assert [each.check for each in outcomes if each.findings] == ["api_server_answers"]
    (finding,) = (each for outcome in outcomes for each in outcome.findings)
    assert finding.rule.code == "kube-reachable"
    assert finding.message == "no answer from the API server; connection refused"
    assert {each.skipped for each in outcomes if not each.findings} >= {"kube-reachable does not hold"}
    assert all(each.skipped for each in outcomes if not each.findings)
