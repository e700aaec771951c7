"""The user's command at the gate."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from meshctl.adapters import programs
from meshctl.errors import ConfigError, FailedError


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_it_is_told_what_it_is_run_for() -> None:
    code = "import os, sys; sys.exit(os.environ['MESHCTL_REVISION'] != '1-32-0' or 'PATH' not in os.environ)"
    programs.run(python(code), environment={"MESHCTL_REVISION": "1-32-0"}, seconds=20)


def test_its_last_lines_are_told_when_it_fails() -> None:
    many = "for n in range(5000): print('line', n, flush=True)"
    code = f"import sys\n{many}\nprint('no', file=sys.stderr); exit(3)"
    with pytest.raises(FailedError) as caught:
        programs.run(python(code), environment={}, seconds=20)
    assert "ended with 3" in caught.value.message
    assert len(caught.value.details) == 10
    assert {"no", "line 4999"} < set(caught.value.details)


def test_one_that_goes_on_is_killed_with_what_it_started() -> None:
    code = "import subprocess as s, time; print(s.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with pytest.raises(FailedError) as caught:
        programs.run(python(code), environment={}, seconds=2)
    assert "did not end within 2 s" in caught.value.message
    child = int(caught.value.details[0])
    end = time.monotonic() + 10
    while _lives(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _lives(child)


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        programs.run(("no-such-program", "x"), environment={}, seconds=2)
    assert "'no-such-program' cannot be run: No such file or directory" in caught.value.message


def test_one_that_a_signal_ends_says_so() -> None:
    with pytest.raises(FailedError) as caught:
        programs.run(python("import os; os.kill(os.getpid(), 9)"), environment={}, seconds=20)
    assert "was ended by signal 9" in caught.value.message


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
