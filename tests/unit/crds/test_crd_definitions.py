"""What every definition keeps to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshctl.crds import KINDS
from meshctl.crds.declare import record, string
from meshctl.crds.schema import Array, Kind, Map, Object, Schema
from meshctl.crds.shared import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def nodes(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every node below `schema` with its path, itself first."""
    yield path, schema
    match schema:
        case Object():
            for name, field in schema.fields.items():
                yield from nodes(f"{path}.{name}", field)
        case Array():
            yield from nodes(f"{path}[]", schema.items)
        case Map():
            yield from nodes(f"{path}{{}}", schema.values)
        case _:
            pass


@each_kind
def test_every_field_says_what_it_does_in_at_most_twelve_words(kind: Kind) -> None:
    fields = [(path, node) for path, node in nodes("spec", kind.spec) if not path.endswith(("[]", "{}"))]
    fields += nodes("status", STATUS.fields["conditions"])
    wordy = [path for path, node in fields if not node.doc and not path.endswith("[]")]
    wordy += [f"{path}: {node.doc}" for path, node in fields if len(node.doc.split()) > 12]
    assert wordy == []


@each_kind
def test_every_sentence_ends(kind: Kind) -> None:
    said = [
        kind.doc,
        *(column.doc for column in kind.columns),
        *(node.doc for _, node in nodes("", kind.spec)),
    ]
    assert [doc for doc in said if doc and not doc.endswith(".")] == []


@each_kind
def test_fields_that_exclude_each_other_exist(kind: Kind) -> None:
    records = [node for _, node in nodes("spec", kind.spec) if isinstance(node, Object)]
    named = [(set(group), set(node.fields)) for node in records for group in node.oneofs + node.exclusive]
    assert [group - fields for group, fields in named if not group <= fields] == []


@each_kind
def test_etcd_holds_one_version(kind: Kind) -> None:
    assert [version.stored for version in kind.versions].count(True) == 1


def test_no_name_is_taken_twice() -> None:
    taken = [name for kind in KINDS for name in (kind.name, kind.resource, *kind.short_names)]
    taken = [name for name in taken if name != "telemetry"]  # a singular that is also its short name
    assert len(taken) == len(set(taken))


def test_a_mark_leaves_the_shared_type_as_it_was() -> None:
    shared = string("A name.")
    marked = shared.required().nullable().since("1.31").described("Another.").check("true", "never")
    assert shared == string("A name.")
    assert (marked.mandatory, marked.accepts_null, marked.first_minor, marked.doc) == (
        True,
        True,
        "1.31",
        "Another.",
    )
    assert [rule.cel for rule in marked.rules] == ["true"]


def test_names_that_python_keeps_are_written_with_an_underscore() -> None:
    assert list(record(from_=string(), exec_=string(), jwks_uri=string()).fields) == [
        "from",
        "exec",
        "jwks_uri",
    ]
