"""The cache: whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.model.event import Changed, Event
from meshctl.sandbox import cache


def test_an_entry_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    with cache.filling(path) as part:
        (part / "file").write_text("x")
        assert not path.exists()
    assert (path / "file").read_text() == "x"
    assert [found.name for found in tmp_path.iterdir()] == ["entry"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), cache.filling(tmp_path / "entry") as part:
        (part / "file").write_text("x")
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_half_filled_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "entry.1.part"
    left.mkdir()
    (left / "half").touch()
    with cache.filling(tmp_path / "entry"):
        pass
    assert [found.name for found in tmp_path.iterdir()] == ["entry"]


def test_keys_tell_apart_where_one_part_ends_and_the_next_begins() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("a", b"b") == cache.key("a", "b")


def test_the_lock_is_held_while_the_work_is_done_and_free_after(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def work() -> list[Event]:
        return list(cache.locked(lock, "x", iter([Changed("x", "done")])))

    assert work() == [Changed("x", "done")]
    assert work() == [Changed("x", "done")]
