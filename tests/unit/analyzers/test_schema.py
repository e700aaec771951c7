"""The schema as an analyzer, and what `meshctl analyze` does with findings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshctl.actions.analyze import analyzers
from meshctl.crds import kinds

Say = Callable[..., Any]

WRONG = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: wrong
  namespace: shop
spec:
  mtl: {}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(meshctl: Say, *words: str) -> Any:
    return json.loads(meshctl("analyze", *words, "-o", "json").out)


def test_what_breaks_the_schema_is_found_at_its_line_under_istios_code(meshctl: Say) -> None:
    Path("in.yaml").write_text(WRONG)
    (found,) = findings(meshctl, "in.yaml")
    assert (found["code"], found["rule"], found["level"]) == ("IST0106", "schema-validation-error", "error")
    assert found["object"] == "PeerAuthentication shop/wrong"
    assert found["where"] == {"file": "in.yaml", "line": 7, "path": "spec.mtl"}
    said = meshctl("analyze", "in.yaml")
    assert said.code == 3
    assert (
        "Error [IST0106] (PeerAuthentication shop/wrong in.yaml:7  spec.mtl) unknown field 'mtl'" in said.out
    )


def test_a_rule_that_could_not_be_evaluated_is_a_warning(meshctl: Say) -> None:
    ports = [{"number": number, "name": f"p{number}", "protocol": "TCP"} for number in range(1, 200)]
    head = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"}}
    Path("in.json").write_text(json.dumps({**head, "spec": {"hosts": ["a"], "ports": ports}}))
    (found,) = findings(meshctl, "in.json")
    assert (found["code"], found["rule"], found["level"]) == ("IST0133", "schema-warning", "warning")
    assert meshctl("analyze", "in.json").code == 0
    assert meshctl("analyze", "in.json", "--failure-threshold", "Warning").code == 3
    assert findings(meshctl, "in.json", "--output-threshold", "error") == []


def test_right_objects_and_those_of_other_apis_are_silent(meshctl: Say) -> None:
    other = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: nonsense\n"
    Path("in.yaml").write_text(f"{WRONG.replace('mtl', 'mtls')}---\n{other}")
    said = meshctl("analyze", "in.yaml")
    assert (said.code, said.out) == (0, "no findings in 2 objects\n")


SUPPRESSIONS = {
    "IST0106=PeerAuthentication wrong.shop": True,
    "schema-validation-error=PeerAuthentication shop/wrong": True,
    "IST0106=PeerAuthentication wr*.*": True,
    "*=*": True,
    "IST0106=PeerAuthentication wrong.other": False,
    "IST0106=Gateway *": False,
    "IST0133=*": False,
}


@pytest.mark.parametrize("said", SUPPRESSIONS)
def test_a_finding_is_suppressed_by_code_and_object(said: str, meshctl: Say) -> None:
    Path("in.yaml").write_text(WRONG)
    assert (findings(meshctl, "in.yaml", "--suppress", said) == []) is SUPPRESSIONS[said]


@pytest.mark.parametrize(
    ("codes", "silent"), [("IST0106", True), ("IST0101, IST0106", True), ("*", True), ("IST0133", False)]
)
def test_an_object_suppresses_findings_by_annotation(codes: str, silent: bool, meshctl: Say) -> None:
    note = f"metadata:\n  annotations: {{galley.istio.io/analyze-suppress: '{codes}'}}\n"
    Path("in.yaml").write_text(WRONG.replace("metadata:\n", note))
    assert (findings(meshctl, "in.yaml") == []) is silent


@pytest.mark.parametrize("said", ["IST0106", "IST9999=*", "IST0106="])
def test_a_suppression_of_nothing_is_refused(said: str, meshctl: Say) -> None:
    Path("in.yaml").write_text(WRONG)
    answer = meshctl("analyze", "in.yaml", "--suppress", said)
    assert answer.code == 2
    assert "bad-suppression" in answer.err


def test_what_cannot_be_read_is_told_and_nothing_is_analyzed(meshctl: Say) -> None:
    Path("in.yaml").write_text("a: [1\n")
    answer = meshctl("analyze", "in.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "in.yaml:2" in answer.err


def test_the_analyzers_are_listed_with_their_codes(meshctl: Say) -> None:
    assert "IST0106" in meshctl("analyze", "--list-analyzers").out
    listed = json.loads(meshctl("analyze", "-L", "-o", "json").out)
    assert [each["name"] for each in listed] == [each.name for each in analyzers()]


def test_every_analyzer_says_what_it_looks_at() -> None:
    for each in analyzers():
        assert each.summary.endswith("."), each.name
        assert each.inputs, each.name
        assert each.rules, each.name


def test_the_schema_is_asked_about_every_kind_of_istios() -> None:
    schema = next(each for each in analyzers() if each.name == "schema")
    assert set(schema.inputs) == {kind.name for kind in kinds("1.32")}
