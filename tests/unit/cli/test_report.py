"""What the reporters say, and where."""

from __future__ import annotations

import json

import pytest

from meshctl.cli.plans import counted, left_text, plan_text
from meshctl.cli.report import Json, Text, pairs, table
from meshctl.errors import FailedError
from meshctl.model.event import Changed, Done, Failed, Skipped, Started, Waiting
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Await, Change, Condition, Delete, Holder, Phase, Plan
from meshctl.stages.planning.plan_data import plan_data
from meshctl.stages.removing.residue import Remainder

WEB = Object(
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
)


def test_text_tells_each_group_once_with_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    text = Text()
    for event in (
        Started("istiod", "Service a"),
        Changed("istiod", "Service a", "created"),
        Changed("istiod", "Service b", "created"),
        Changed("istiod", "Deployment istiod", "ready"),
        Done("istiod", seconds=1.25),
    ):
        text.event(event)
    assert capsys.readouterr().err == "  ✓ istiod: 2 created, 1 ready in 1.2 s\n"


def test_verbose_text_tells_every_object(capsys: pytest.CaptureFixture[str]) -> None:
    Text(verbose=True).event(Changed("istiod", "Service a", "created"))
    assert capsys.readouterr().err == "  + istiod: Service a (created)\n"


def test_a_failure_and_a_skip_are_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = Text()
    text.event(Failed("istiod", "Deployment istiod", FailedError("image", "there is no such image")))
    text.event(Skipped("istiod", "Service a", "it is there"))
    said = capsys.readouterr().err
    assert "x istiod: Deployment istiod: there is no such image" in said
    assert "- istiod: Service a: it is there" in said


def test_json_events_are_one_object_a_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Json().event(Waiting("istiod", "Deployment istiod", "0 of 1 ready"))
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "event": "waiting",
        "group": "istiod",
        "subject": "Deployment istiod",
        "cause": "0 of 1 ready",
    }
    assert err == ""


def a_plan() -> Plan:
    changed = Apply(
        "web", WEB, WEB, (Change("spec.replicas", 1, 2), Change("spec.paused", None, True, (Holder("hpa"),)))
    )
    gone = Delete("old", Ref("v1", "Service", "shop", "old"), "no longer part of the mesh")
    wait = Await("web", WEB.ref, Condition.READY, 300)
    return Plan("here", (Phase("a", (changed,)), Phase("b", (wait, gone))))


def test_a_plan_shows_each_leaf_that_changes_and_who_holds_it() -> None:
    assert plan_text(a_plan()) == (
        "web\n"
        "  ~ Deployment shop/web\n"
        "      spec.replicas: 1 → 2\n"
        "      spec.paused: + True  (held by hpa)\n"
        "old\n"
        "  - Service shop/old  (no longer part of the mesh)\n"
        "\n"
        "1 to change, 1 to remove"
    )


def test_an_empty_plan_says_so() -> None:
    assert plan_text(Plan("here")) == "nothing to do: the cluster is as asked"


def test_a_plan_for_a_program_has_every_step() -> None:
    steps = [step["do"] for phase in plan_data(a_plan())["phases"] for step in phase["steps"]]
    assert steps == ["change", "await", "remove"]
    assert counted(a_plan()) == "1 to change, 1 to remove"


def test_the_verdict_tells_what_was_missed_from_what_was_meant_to_stay() -> None:
    meant = Remainder(WEB.ref, "yours", meant=True)
    missed = Remainder(WEB.ref, "the mesh's", meant=False)
    assert left_text([]) == "nothing of the mesh is left"
    assert left_text([meant]).startswith("nothing of the mesh is left, but what was to stay")
    assert left_text([meant, missed]).startswith("1 objects of the mesh are left")


def test_tables_line_up() -> None:
    assert table([("a", "bb"), ("ccc", "d")], ("X", "Y")) == "X     Y\na     bb\nccc   d"
    assert pairs([("a", "1"), ("long", "2")]) == "a:    1\nlong: 2"
