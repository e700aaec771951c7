"""What tests of every room may use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from meshctl.cli import cli
from meshctl.cli.app import run
from tests.fakes import webhooks_that_answer


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def webhooks() -> Iterator[None]:
    """Webhooks of clusters in memory answer."""
    with webhooks_that_answer():
        yield


@pytest.fixture
def meshctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command in this process."""

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["meshctl", *words])
        code = run(cli)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call
