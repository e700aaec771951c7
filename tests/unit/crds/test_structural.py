"""Values against OpenAPI schemas: what an API server takes is taken, and what it refuses is explained."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.crds.structural import problems

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
ONE_OF = [
    {"not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}},
    {"required": ["a"]},
    {"required": ["b"]},
]
PAIR = {"type": "object", "properties": {"a": TEXT, "b": WHOLE}}
KEYED = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": TEXT, "n": WHOLE}},
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
EITHER = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}

GOOD: dict[str, tuple[dict[str, Any], Any]] = {
    "text": (TEXT, "a"),
    "whole number with a fraction of nothing": (WHOLE, 3.0),
    "whole number where any number goes": ({"type": "number"}, 3),
    "null that is accepted": ({**TEXT, "nullable": True}, None),
    "null counts as absent": (PAIR, {"a": None}),
    "null in a map counts as absent": ({"type": "object", "additionalProperties": TEXT}, {"k": None}),
    "null beside one member of a oneof": ({**PAIR, "oneOf": ONE_OF}, {"a": "x", "b": None}),
    "none of a oneof": ({**PAIR, "oneOf": ONE_OF}, {}),
    "number or text: number": (EITHER, 5),
    "number or text: text": (EITHER, "5"),
    "unknown fields that are kept": (
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"x": 1},
    ),
    "any field": ({"type": "object", "additionalProperties": True}, {"x": 1}),
    "an embedded object's head": (
        {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": PAIR}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {}},
    ),
    "same items in a plain list": ({"type": "array", "items": TEXT}, ["a", "a"]),
    "other keys in a list that is a map": (KEYED, [{"name": "a"}, {"name": "b"}]),
    "a default stands in for what is required": (
        {"type": "object", "required": ["a"], "properties": {"a": {**TEXT, "default": "x"}}},
        {"a": None},
    ),
    "limits are allowed values": ({**WHOLE, "minimum": 1, "maximum": 5}, 5),
    "lengths count characters": ({**TEXT, "maxLength": 2}, "äö"),
    "format that nobody knows": ({**TEXT, "format": "poem"}, "a"),
    "all of": ({"allOf": [{"required": ["a"]}, {"required": ["b"]}], **PAIR}, {"a": "x", "b": 1}),
    "32 bits": ({**WHOLE, "format": "int32"}, 2**31 - 1),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_fits_is_taken(case: str) -> None:
    schema, value = GOOD[case]
    assert list(problems(schema, value)) == []


BAD: dict[str, tuple[dict[str, Any], Any, tuple[Any, ...], str, str]] = {
    "number for text": (TEXT, 5, (), "wrong-type", "the value is text, not the number 5"),
    "boolean is no number": (WHOLE, True, (), "wrong-type", "is a whole number, not the boolean true"),
    "fraction is no whole number": (WHOLE, 1.5, (), "wrong-type", "the number 1.5"),
    "more than 64 bits": (WHOLE, 2**63, (), "wrong-type", "whole number"),
    "infinity is no number": ({"type": "number"}, float("inf"), (), "wrong-type", "is a number"),
    "null in a list": ({"type": "array", "items": TEXT}, ["a", None], (1,), "wrong-type", "not nothing"),
    "list for a map": (PAIR, [], (), "wrong-type", "is a map, not a list"),
    "map for number or text": (EITHER, {}, (), "wrong-type", "a whole number or text"),
    "unknown field": (PAIR, {"aa": 1}, ("aa",), "unknown-field", "unknown field 'aa'"),
    "unknown field with null": (PAIR, {"c": None}, ("c",), "unknown-field", "unknown field 'c'"),
    "unknown field of an item": (
        {"type": "array", "items": PAIR},
        [{}, {"B": 1}],
        (1, "B"),
        "unknown-field",
        "did you mean 'b'?",
    ),
    "unknown field below one that keeps them": (
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"in": PAIR}},
        {"in": {"x": 1}, "out": 1},
        ("in", "x"),
        "unknown-field",
        "'x'",
    ),
    "missing field": ({**PAIR, "required": ["b"]}, {"a": "x"}, ("b",), "missing-field", "has no 'b'"),
    "null for what is required": (
        {**PAIR, "required": ["b"]},
        {"b": None},
        ("b",),
        "missing-field",
        "has no 'b'",
    ),
    "not a choice": ({**TEXT, "enum": ["ALLOW", "DENY"]}, "deny", (), "wrong-value", "did you mean 'DENY'?"),
    "too long": ({**TEXT, "maxLength": 3}, "abcd", (), "wrong-value", "has 4 characters"),
    "empty": ({**TEXT, "minLength": 1}, "", (), "wrong-value", "is empty"),
    "pattern": ({**TEXT, "pattern": "^a$"}, "a\n", (), "wrong-value", "cannot be 'a\\n'"),
    "format": ({**TEXT, "format": "date-time"}, "yesterday", (), "wrong-value", "is no date-time"),
    "too small": ({**WHOLE, "minimum": 1}, 0, (), "wrong-value", "cannot be 0"),
    "excluded limit": (
        {**WHOLE, "maximum": 5, "exclusiveMaximum": True},
        5,
        (),
        "wrong-value",
        "cannot be 5",
    ),
    "no multiple": ({**WHOLE, "multipleOf": 5}, 7, (), "wrong-value", "cannot be 7"),
    "beyond 32 bits": ({**WHOLE, "format": "int32"}, 2**31, (), "wrong-value", "2147483648"),
    "too many items": (
        {"type": "array", "items": WHOLE, "maxItems": 1},
        [1, 2],
        (),
        "wrong-value",
        "has 2 items",
    ),
    "too few items": ({"type": "array", "items": WHOLE, "minItems": 1}, [], (), "wrong-value", "is empty"),
    "too many fields": (
        {"type": "object", "additionalProperties": WHOLE, "maxProperties": 1},
        {"a": 1, "b": 2},
        (),
        "wrong-value",
        "has 2 fields",
    ),
    "same key twice": (
        KEYED,
        [{"name": "a"}, {"name": "a", "n": 1}],
        (1,),
        "duplicate-item",
        "name 'a' again",
    ),
    "same item twice in a set": (
        {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        ["a", "a"],
        (1,),
        "duplicate-item",
        "again",
    ),
    "two of a oneof": (
        {**PAIR, "oneOf": ONE_OF},
        {"a": "x", "b": 1},
        (),
        "too-many-set",
        "a and b, which exclude",
    ),
    "two of one of several oneofs": (
        {**PAIR, "allOf": [{"oneOf": ONE_OF}]},
        {"a": "x", "b": 1},
        (),
        "too-many-set",
        "a and b",
    ),
    "none of a oneof that needs one": (
        {**PAIR, "oneOf": ONE_OF[1:]},
        {},
        (),
        "missing-field",
        "none of a, b",
    ),
    "any of": ({"anyOf": [TEXT, WHOLE]}, [], (), "wrong-type", "not a list"),
    "not": ({**PAIR, "not": {"required": ["a"]}}, {"a": "x"}, (), "wrong-value", "has a, which it may not"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_told_with_its_place(case: str) -> None:
    schema, value, path, code, message = BAD[case]
    (found,) = problems(schema, value)
    assert (found.path, found.code) == (path, code)
    assert message in found.message


def test_every_problem_is_told_and_the_given_path_goes_before() -> None:
    found = problems({**PAIR, "required": ["b"]}, {"a": 1, "c": 2}, ("spec", "http", 3))
    assert [(each.path, each.message) for each in found] == [
        (("spec", "http", 3, "b"), "http[3] has no 'b'"),
        (("spec", "http", 3, "a"), "a is text, not the number 1"),
        (("spec", "http", 3, "c"), "unknown field 'c'"),
    ]


HINTS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "text wanted": (TEXT, 80, "put it in quotes"),
    "number wanted": (WHOLE, "80", "write it without quotes"),
    "boolean wanted": ({"type": "boolean"}, "true", "write it without quotes"),
    "list wanted": ({"type": "array", "items": TEXT}, "a", "write a list"),
    "list of maps wanted": ({"type": "array", "items": PAIR}, {"a": "x"}, "put `- ` before each item"),
    "map wanted": (PAIR, "x", "its fields are a, b"),
    "choice": ({**TEXT, "enum": ["X", "Y"]}, "Z", "choose one of X, Y"),
    "limits": ({**WHOLE, "minimum": 1, "maximum": 5}, 6, "it is at least 1 and at most 5"),
    "unknown field": (PAIR, {"zz": 1}, "known here are a, b"),
}


@pytest.mark.parametrize("case", HINTS)
def test_a_hint_says_what_to_write(case: str) -> None:
    schema, value, hint = HINTS[case]
    (found,) = problems(schema, value)
    assert hint in found.hint


def test_a_long_text_is_cut_in_the_message() -> None:
    (found,) = problems({**TEXT, "maxLength": 9, "pattern": "^b"}, "b" * 10_000)
    assert len(found.message) < 200
    (found,) = problems(WHOLE, "b" * 10_000)
    assert len(found.message) < 200
