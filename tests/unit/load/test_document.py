from __future__ import annotations

import pytest

from meshctl.errors import ConfigError, ProblemsError
from meshctl.stages.settings.document import document

TEXT = """\
# a comment
pilot:
  env:
    A: "1"
  tolerations:
  - key: a
  - {key: b,
     operator: Exists}
"""


def test_every_place_knows_its_line() -> None:
    lines = document(TEXT, "f.yaml").lines
    assert lines["pilot",] == 2
    assert lines["pilot", "env", "A"] == 4
    assert lines["pilot", "tolerations", 0, "key"] == 6
    assert lines["pilot", "tolerations", 1, "operator"] == 8


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.0", 1),
        ("1.5", 1.5),
        ("1e3", "1e3"),
        ("0x10", 16),
        ("010", 8),
        ("1_000", 1000),
        ("true", True),
        ("off", False),
        ("~", None),
        ("null", None),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("'1'", "1"),
        ("1.10.0", "1.10.0"),
        ("{}", {}),
        ("[]", []),
    ],
)
def test_scalars_become_what_json_knows_and_dates_stay_text(text: str, value: object) -> None:
    found = document(f"key: {text}\n", "f.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "---\n---\n"])
def test_an_empty_document_says_nothing(text: str) -> None:
    assert document(text, "f.yaml").data == {}


def test_anchors_and_merge_keys_are_followed() -> None:
    data = document("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n", "f.yaml").data
    assert data["b"] == {"x": 1, "y": 3}


def test_all_keys_that_occur_twice_are_told_with_both_lines() -> None:
    with pytest.raises(ProblemsError) as refusal:
        document("a: 1\nb: {c: 1, c: 2}\na: 2\n", "f.yaml")
    told = [(str(each.where), each.hint) for each in refusal.value.problems]
    assert told == [
        ("f.yaml:2  b.c", "keep one; the first is on line 2"),
        ("f.yaml:3  a", "keep one; the first is on line 1"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: [1\nb: 2\n", "bad-yaml", 2),
        ("a: 1\n---\nb: 1\n", "several-documents", 3),
        ("a: \x00", "bad-yaml", None),
    ],
)
def test_what_is_not_one_document_is_refused_with_its_line(text: str, code: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as refusal:
        document(text, "f.yaml")
    assert refusal.value.code == code
    assert refusal.value.where is not None
    assert refusal.value.where.line == line
