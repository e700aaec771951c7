"""The journal: what a killed run leaves must be readable, and nothing is made before it is written."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from meshctl.sandbox.ledger import (
    Begun,
    ControlGroup,
    Entry,
    Folder,
    Ledger,
    Link,
    Mount,
    NetworkNamespace,
    Process,
    Ready,
)

ENTRIES: tuple[Entry, ...] = (
    Begun({"name": "x"}, slot=3, light=False),
    ControlGroup("meshctl-x"),
    NetworkNamespace("x-c1"),
    Link("m3c1"),
    Mount("/somewhere with a blank"),
    Folder("/run/x.sock"),
    Process("c1/etcd", 4711, 99, "boot"),
    Ready(),
)


def written(folder: Path) -> Ledger:
    ledger = Ledger(folder / "state" / "ledger.jsonl")
    for entry in ENTRIES:
        ledger.record(entry)
    return ledger


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert written(tmp_path).entries() == ENTRIES


def test_another_process_reads_the_same_journal(tmp_path: Path) -> None:
    again = Ledger(written(tmp_path).path)
    assert again.entries() == ENTRIES
    assert again.begun() == ENTRIES[0]
    assert again.is_ready()
    assert [one.name for one in again.processes()] == ["c1/etcd"]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none" / "ledger.jsonl")
    assert ledger.entries() == ()
    assert ledger.begun() is None
    assert not ledger.is_ready()


@given(cut=st.integers(min_value=0))
def test_a_journal_cut_anywhere_gives_whole_entries_and_can_be_continued(tmp_path_factory, cut: int) -> None:
    ledger = written(tmp_path_factory.mktemp("cut"))
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[: cut % (len(whole) + 1)])
    left = ledger.entries()
    assert left == ENTRIES[: len(left)]
    ledger.record(Link("later"))
    assert ledger.entries() == (*left, Link("later"))


def test_the_folder_of_the_journal_is_the_owners_alone(tmp_path: Path) -> None:
    assert written(tmp_path).path.parent.stat().st_mode & 0o077 == 0
