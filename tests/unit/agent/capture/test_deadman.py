"""The timer that takes a change back: systemd's, or a process that waits."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.capture.deadman import Deadman
from meshctl.agent.capture.tools import Tools
from meshctl.errors import FailedError


class Systemd(Tools):
    """A host whose programs are written down."""

    __slots__ = ("fails", "names", "ran")

    def __init__(self, *names: str, fails: bool = False) -> None:
        super().__init__()
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "ran", [])
        object.__setattr__(self, "fails", fails)

    def find(self, name: str) -> str:
        return name if name in self.names else ""

    def run(self, command: Sequence[str], text: str = "") -> str:
        self.ran.append(list(command))
        if self.fails:
            raise FailedError("tool-failed", "systemctl ended with 5")
        return ""


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: str(path) == "/run/systemd/system")


@pytest.mark.usefixtures("booted")
def test_systemd_waits_where_it_runs() -> None:
    tools = Systemd("systemd-run", "systemctl")
    Deadman(Path("/"), tools).arm("a1b2", 30)
    ((program, *options),) = tools.ran
    assert program == "systemd-run"
    assert {"--collect", "--unit=meshctl-agent-capture-a1b2", "--on-active=30.000s"} <= set(options)
    assert options[-3:] == ["/", "a1b2", "0.000"]


@pytest.mark.usefixtures("booted")
def test_a_timer_that_is_gone_needs_no_stopping() -> None:
    tools = Systemd("systemctl", fails=True)
    Deadman(Path("/"), tools).disarm("a1b2")
    assert tools.ran == [["systemctl", "stop", "meshctl-agent-capture-a1b2.timer"]]


def test_without_systemd_a_process_of_its_own_session_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[tuple[Any, Any]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: begun.append((command, how)))
    Deadman(tmp_path, Systemd()).arm("a1b2", 2.5)
    ((command, how),) = begun
    assert how["start_new_session"]
    assert command[-3:] == [str(tmp_path), "a1b2", "2.500"]


def test_what_is_started_finds_our_code_and_does_nothing_where_nothing_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: begun.append(command))
    Deadman(tmp_path, Systemd()).arm("a1b2", 0)
    monkeypatch.undo()
    done = subprocess.run(begun[0], capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in (tmp_path / "var/lib/meshctl-agent-capture").iterdir()] == ["lock"]
