"""The commands that an administrator, and systemd, give."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from meshctl.agent.capture import command
from meshctl.agent.capture.applied import Journal
from meshctl.agent.capture.control import Capture
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.places import Places
from tests.unit.agent.capture.fake_host import FakeHost, FakeKernel, FakeTimer, FakeTools

SETTINGS = CaptureSettings(user="1337")


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture(autouse=True)
def _faked(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Capture(Journal(tmp_path), FakeTools(host), FakeKernel(host), FakeTimer(host), {})
    monkeypatch.setattr(command, "capture", lambda places: made)


def said(words: str, environment: Mapping[str, str] | None = None) -> tuple[str, int]:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(words.split()), Places(), lambda: SETTINGS, environment or {})


def test_a_day_of_capture() -> None:
    assert said("check") == ("nothing is captured", command.FOUND)
    assert said("apply")[0].startswith("traffic is captured by iptables-nft\nnote: IPv6 is not captured")
    assert said("apply")[0].startswith("traffic is captured already by iptables-nft")
    assert said("confirm") == ("nothing waits to be confirmed", 0)
    assert said("check") == ("all rules are as they were put there", 0)
    assert said("remove") == ("nothing of ours is there any more", 0)
    assert said("remove") == ("there is nothing to do", 0)


def test_a_change_for_now_says_until_when() -> None:
    assert "taken back in 30 s unless" in said("apply --confirm-within 30s")[0]
    assert said("confirm") == ("the last change stays", 0)


def test_everything_is_to_be_had_as_json() -> None:
    applied = json.loads(said("apply --confirm-within 1m -o json")[0])
    assert applied["changed"]
    assert applied["flavour"] == "iptables-nft"
    assert applied["tables"] == ["IPv4 nat"]
    assert applied["confirmWithin"] == 60
    assert json.loads(said("check -o json")[0])["findings"]
    assert json.loads(said("show -o json")[0])["tables"]["IPv4 nat"]
    assert json.loads(said("remove -o json")[0]) == {
        "changed": True,
        "flavour": "none",
        "tables": [],
        "notes": [],
        "confirmWithin": None,
    }


def test_show_changes_nothing(host: FakeHost) -> None:
    text, code = said("show")
    assert code == 0
    assert "-A MESHCTL_OUTPUT -p tcp -j REDIRECT --to-ports 15001" in text
    assert (host.steps, host.tables) == (0, {})


@pytest.mark.parametrize("time", ["0s", "61m", "3601", "-1", "1h", "", "1.5s", "٣s", "30 s"])
def test_a_time_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        command.seconds(time)


@pytest.mark.parametrize(("time", "expected"), [("1s", 1), ("45", 45), ("5m", 300), ("60m", 3600)])
def test_a_time_may_be_of_seconds_or_minutes(time: str, expected: int) -> None:
    assert command.seconds(time) == expected


@pytest.mark.parametrize(
    ("environment", "removed"),
    [
        ({}, True),
        ({"SERVICE_RESULT": ""}, True),
        ({"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0"}, True),
        ({"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}, False),
        ({"SERVICE_RESULT": "watchdog", "EXIT_CODE": "dumped", "EXIT_STATUS": "ABRT"}, False),
        ({"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}, False),
        ({"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "2"}, True),
    ],
)
def test_rules_stay_while_a_crashed_agent_is_started_again(
    host: FakeHost, environment: dict[str, str], removed: bool
) -> None:
    said("apply")
    said("remove --unless-restarting", environment)
    assert (host.tables == {}) is removed
