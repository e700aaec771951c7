"""`upgrade` and its words, over a mesh in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meshctl.cli.app import Target
from meshctl.errors import StoppedError
from meshctl.model.upgrade import Stage
from tests.unit.actions.canary_ground import Ground

Meshctl = Callable[..., Any]
CANARY = ("upgrade", "--to", "1.32", "--strategy", "canary")


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = Ground(monkeypatch, "minimal")
    monkeypatch.setattr(Target, "world", lambda self: made.world)
    monkeypatch.setattr("meshctl.actions.preflight.preflight", lambda *_, **__: iter(()))
    return made


def paused(ground: Ground) -> None:
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True)


def test_a_dry_run_tells_the_whole_story_and_sends_nothing(ground: Ground, meshctl: Meshctl) -> None:
    ground.cluster.writes.clear()
    said = meshctl(*CANARY, "--dry-run")
    assert said.code == 0
    assert ground.cluster.writes == []
    lines = said.out.splitlines()
    assert lines[0] == "default (1.31.0) → 1-32-0 (1.32.0)"
    assert "     + Deployment istio-system/istiod-1-32-0" in lines
    assert "   batch 1 of 2  (labels of bank change)" in lines
    assert "     Deployment shop/web  (restart, 2 pods)" in lines
    assert "   - Deployment istio-system/istiod" in lines
    assert any(line.startswith("3. Promotion: tags default") for line in lines)


def test_a_dry_run_as_json_has_the_same(ground: Ground, meshctl: Meshctl) -> None:
    told = json.loads(meshctl(*CANARY, "--dry-run", "--batch", "1", "-o", "json").out)
    assert told["target"] == {"version": "1.32.0", "revision": "1-32-0", "profile": "minimal"}
    assert [len(batch["workloads"]) for batch in told["batches"]] == [1, 1, 1]
    assert told["tags"] == ["default"]
    assert told["controlPlane"]["empty"] is False


def test_at_the_end_one_line_tells_how_it_went(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl(*CANARY, "--yes")
    assert said.code == 0, said.err
    assert said.out.startswith("default (1.31.0) → 1-32-0 (1.32.0) in ")
    assert "4 workloads and 0 gateways moved, the old revision is gone" in said.out


def test_the_same_command_again_has_nothing_to_do(ground: Ground, meshctl: Meshctl) -> None:
    ground.upgrade()
    ground.cluster.writes.clear()
    said = meshctl(*CANARY, "--yes")
    assert (said.code, said.err) == (0, "")
    assert said.out == "1-32-0 (1.32.0) is there already, and as asked; nothing was sent\n"
    assert ground.cluster.writes == []


def test_status_tells_what_is_moved_what_is_next_and_why_it_stopped(ground: Ground, meshctl: Meshctl) -> None:
    assert meshctl("upgrade", "status").out == "no upgrade is under way\n"
    paused(ground)
    lines = meshctl("upgrade", "status").out.splitlines()
    assert "stopped: paused, as asked, after batch 1 of 2" in lines
    assert "✓ batch 1 of 2  (labels of bank change)" in lines
    assert "→ batch 2 of 2  (labels of shop change)" in lines
    told = json.loads(meshctl("upgrade", "status", "-o", "json").out)
    assert (told["underWay"], told["stage"], told["passed"], told["next"]) == (
        True,
        Stage.WORKLOADS,
        1,
        "batch 2 of 2",
    )
    assert [each["name"] for each in told["onTarget"]] == ["teller"]


def test_the_same_command_continues_and_another_target_is_refused(ground: Ground, meshctl: Meshctl) -> None:
    paused(ground)
    other = meshctl("upgrade", "--to", "1.31", "--strategy", "canary", "--yes")
    assert other.code == 1
    assert "upgrade-under-way" in other.err
    for word in ("resume", "promote", "abort"):
        assert word in other.err
    assert meshctl("upgrade", "promote").code == 0
    assert meshctl("upgrade", "status").out == "no upgrade is under way\n"


def test_a_pause_ends_with_4_and_abort_takes_all_back(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl(*CANARY, "--yes", "--pause")
    assert said.code == 4
    assert "`meshctl upgrade resume` goes on" in said.err
    said = meshctl("upgrade", "abort", "--yes")
    assert (said.code, said.out) == (0, "all is on default (1.31.0) as before; 1-32-0 (1.32.0) is gone\n")


def test_install_refuses_while_one_is_under_way(ground: Ground, meshctl: Meshctl) -> None:
    paused(ground)
    said = meshctl("install", "--yes")
    assert said.code == 1
    assert "upgrade-under-way" in said.err


def test_options_that_would_be_lost_before_a_word_are_refused(meshctl: Meshctl) -> None:
    said = meshctl("upgrade", "-c", "elsewhere", "status")
    assert said.code == 2
    assert "options stand behind the last word: meshctl upgrade status ..." in said.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--gate-query", "up == 1"), "gate-without-prometheus"),
        (("--gate-command", "sh -c 'open"), "gate-command-invalid"),
        (("--batch", "0"), "batch-size"),
        (("--batch", "many"), "batch-size"),
    ],
)
def test_a_gate_or_a_batch_that_cannot_be_is_refused_before_anything_is_sent(
    ground: Ground, meshctl: Meshctl, options: tuple[str, ...], code: str
) -> None:
    ground.cluster.writes.clear()
    said = meshctl(*CANARY, "--yes", *options)
    assert said.code == 2
    assert code in said.err
    assert ground.cluster.writes == []


@pytest.mark.parametrize("word", ["resume", "promote", "abort"])
def test_words_for_an_upgrade_that_is_not_there_are_refused(
    ground: Ground, meshctl: Meshctl, word: str
) -> None:
    said = meshctl("upgrade", word)
    assert said.code == 2
    assert "no-upgrade" in said.err
