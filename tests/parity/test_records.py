"""Records keep what they were given, and tell every kind of difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity import records
from tests.parity.leaves import Leaves

pytestmark = pytest.mark.parity

CASES: dict[str, Leaves] = {
    "first": {"a": 1, "b": "x", "c[0].d": True},
    "other": {"a": 2, "b": "x", "e": {}},
    "none": {},
    "longer": {f"p{number}": number for number in range(100)},
}


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, records.Tokens]:
    records.write(tmp_path / "r.txt", CASES)
    return records.read(tmp_path / "r.txt")


@pytest.mark.parametrize("name", CASES)
def test_what_was_written_is_read(name: str, kept: dict[str, records.Tokens]) -> None:
    assert list(kept) == list(CASES)
    found = records.compare(CASES[name], kept[name])
    assert (found.shared, found.paths(), found.share) == (len(CASES[name]), set(), 1.0)


def test_another_value_is_told_at_its_path(kept: dict[str, records.Tokens]) -> None:
    found = records.compare({**CASES["first"], "a": "1"}, kept["first"])
    assert (found.missing, found.extra, found.shared) == (("a",), {"a": "1"}, 2)
    assert found.share == 0.5


def test_a_leaf_too_many_is_told_at_its_path(kept: dict[str, records.Tokens]) -> None:
    found = records.compare({**CASES["first"], "z": 0}, kept["first"])
    assert (found.missing, found.extra) == ((), {"z": 0})


def test_a_leaf_that_is_not_there_is_told_by_its_token(kept: dict[str, records.Tokens]) -> None:
    found = records.compare({"b": "x", "c[0].d": True}, kept["first"])
    assert found.missing == (records.token("a", 1),)


def test_a_map_recorded_as_empty_is_told_at_its_own_path(kept: dict[str, records.Tokens]) -> None:
    found = records.compare({"a": 2, "b": "x", "e.f": 1}, kept["other"])
    assert found.missing == ("e",)


def test_the_same_cases_give_the_same_bytes_and_none_of_their_words(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        records.write(file, {"case": {"spec.secret-word": "another-word"}})
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"word" not in files[0].read_bytes()
