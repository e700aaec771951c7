"""Processes: known before they do anything, and ended by what is known of them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from meshctl.errors import FailedError
from meshctl.sandbox.ledger import Begun, Entry, Folder, Ledger, Process
from meshctl.sandbox.process import alive, boot_id, clock, kill, lines_of, pause, run, spawn
from meshctl.sandbox.undo import undo


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "state" / "ledger.jsonl")
    found.record(Begun({}, 0, light=True))
    return found


class Refusing(Ledger):
    """A journal whose disk is full."""

    def record(self, entry: Entry) -> None:
        raise OSError("no space left on device")


def ends(process: Process) -> bool:
    end = clock() + 20
    while alive(process) and clock() < end:
        pause(0.02)
    return not alive(process)


def children() -> set[int]:
    """Numbers of this process's children; a run of all tests has those of a sandbox, too."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(each) for task in tasks for each in (task / "children").read_text().split()}


def test_a_process_is_in_the_journal_and_outlives_the_call(ledger: Ledger, tmp_path: Path) -> None:
    process = spawn(ledger, "c1/sleep", ["sleep", "60"], log=tmp_path / "logs" / "sleep.log")
    try:
        assert ledger.processes() == (process,)
        assert alive(process)
    finally:
        kill(process)
    assert ends(process)


def test_a_program_that_could_not_be_written_down_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    before = children()
    with pytest.raises(OSError, match="no space"):
        spawn(Refusing(tmp_path / "ledger"), "x", ["touch", str(trace)], log=tmp_path / "log")
    for child in children() - before:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
    assert not trace.exists()


def test_a_number_that_was_given_again_is_not_mistaken_for_the_process() -> None:
    ours = Process("self", os.getpid(), 1, boot_id())
    assert not alive(ours)
    assert not alive(replace(ours, boot="another"))
    kill(ours)  # this test would end here


def test_output_and_errors_go_to_the_log(ledger: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "both.log"
    process = spawn(ledger, "x", ["sh", "-c", "echo out; echo err >&2"], log=log)
    assert ends(process)
    assert log.read_text() == "out\nerr\n"


def test_undo_ends_processes_and_removes_everything_and_can_be_repeated(
    ledger: Ledger, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.sock"
    outside.touch()
    ledger.record(Folder(str(outside)))
    ledger.record(Folder(str(tmp_path / "never-made")))
    process = spawn(ledger, "x", ["sleep", "60"], log=ledger.path.parent / "logs" / "x.log")
    list(undo(ledger))
    assert not alive(process)
    assert not outside.exists()
    assert not ledger.path.parent.exists()
    list(undo(ledger))


def test_a_failing_program_says_its_last_words() -> None:
    with pytest.raises(FailedError) as failed:
        run(["sh", "-c", "echo first; echo last >&2; exit 3"])
    assert "code 3" in failed.value.message
    assert failed.value.details == ("last",)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(FailedError) as failed:
        run(["no-such-program-here"])
    assert failed.value.code == "program-missing"


def test_lines_come_from_both_outputs_and_a_failure_carries_them(tmp_path: Path) -> None:
    told = []
    with pytest.raises(FailedError) as failed:
        told.extend(lines_of(["sh", "-c", "echo a; echo b >&2; exit 1"], env=dict(os.environ), cwd=tmp_path))
    assert failed.value.details == ("a", "b")
    assert told == ["a", "b"]
