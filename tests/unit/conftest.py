"""What tests of every room may use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from meshctl.cli import cli
from meshctl.cli.app import run
from meshctl.stages.applying import steps


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In clusters in memory nothing is injected or judged: their webhooks are taken to answer."""
    monkeypatch.setattr(steps, "webhook_answers", lambda *_, **__: "")


@pytest.fixture
def meshctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command in this process."""

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["meshctl", *words])
        code = run(cli)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call
