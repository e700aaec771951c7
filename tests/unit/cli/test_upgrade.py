"""`upgrade` and its words, over a mesh in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshctl.cli.app import Target
from meshctl.errors import StoppedError
from meshctl.model.upgrade import Gate, Stage
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


@pytest.fixture
def older_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue's default is not the version that the upgrade leads to."""
    monkeypatch.setattr("meshctl.stages.settings.versions.default_version", lambda: "1.31")


@pytest.mark.usefixtures("older_default")
def test_it_is_continued_without_a_version_and_with_that_of_its_file(
    ground: Ground, meshctl: Meshctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshctl.adapters.world.world", lambda *_: ground.world)
    paused(ground)
    assert meshctl("upgrade", "--strategy", "canary", "--dry-run").code == 0
    file = tmp_path / "mesh.yaml"
    head = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: mesh}\n"
    file.write_text(f"{head}spec: {{version: '1.31', profile: minimal, clusters: [{{name: here}}]}}\n")
    said = meshctl("upgrade", "-f", str(file), "--strategy", "canary", "--yes")
    assert (said.code, "upgrade-under-way" in said.err) == (1, True)
    file.write_text(f"{head}spec: {{version: '1.32', profile: minimal, clusters: [{{name: here}}]}}\n")
    said = meshctl("upgrade", "-f", str(file), "--strategy", "canary", "--yes")
    assert said.code == 4, said.err
    assert "paused, as asked, after batch 2 of 2" in said.err


def test_what_is_not_applied_when_it_is_continued_is_told(ground: Ground, meshctl: Meshctl) -> None:
    paused(ground)
    said = meshctl(
        *CANARY, "--yes", "--set", "values.pilot.traceSampling=5", "--soak", "1m", "--gate-timeout", "2m"
    )
    assert "it is continued as it was begun" in said.err
    assert "! --set, --soak: not applied; `meshctl upgrade abort` first, to begin anew with that" in said.err


def test_what_says_the_same_as_the_record_is_not_told_as_lost(ground: Ground, meshctl: Meshctl) -> None:
    paused(ground)
    assert "not applied" not in meshctl(*CANARY, "--yes", "--gate-timeout", "2m").err


def test_a_pause_asked_for_when_it_is_continued_is_made(ground: Ground, meshctl: Meshctl) -> None:
    assert meshctl(*CANARY, "--yes", "--pause").code == 4
    assert ground.under_way.passed == 1
    ground.releases.write_upgrade(replace(ground.under_way, pause=False))
    assert meshctl(*CANARY, "--yes", "--pause").code == 4
    assert ground.under_way.passed == 2


@pytest.mark.usefixtures("older_default")
def test_a_revision_that_nobody_names_is_named_after_the_version_that_comes(
    ground: Ground, meshctl: Meshctl
) -> None:
    said = meshctl(
        "upgrade",
        "--to",
        "1.32",
        "--strategy",
        "canary",
        "--revision",
        "next",
        "--yes",
        "--set",
        "hub=example.com/istio",
    )
    assert said.code == 0, said.err
    said = meshctl("upgrade", "--strategy", "canary", "--set", "hub=example.com/mirror", "--dry-run")
    assert said.out.splitlines()[0] == "next (1.32.0) → 1-32-0 (1.32.0)"


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
        (("--ignore", "webhooks-answred"), "did you mean 'webhooks-answered'?"),
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


def test_a_code_that_no_check_has_is_refused_before_any_cluster_is_asked(
    meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_: Target) -> Any:
        raise AssertionError("a cluster was asked")

    monkeypatch.setattr(Target, "world", nowhere)
    said = meshctl("upgrade", "--to", "1.32", "--ignore", "everything")
    assert said.code == 2
    assert "no check has the code 'everything'" in said.err


def test_of_the_command_of_a_gate_only_what_is_called_is_shown(ground: Ground, meshctl: Meshctl) -> None:
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True, gate=Gate(command=("smoke-test", "--token", "hush")))
    said = meshctl("upgrade", "status", "-o", "json")
    assert json.loads(said.out)["gate"]["command"] == ["smoke-test"]
    assert "hush" not in said.out
    assert ground.under_way.gate.command == ("smoke-test", "--token", "hush")


def test_a_dry_run_of_a_removal_shows_the_labels_that_are_put_back_first(
    ground: Ground, meshctl: Meshctl
) -> None:
    paused(ground)
    ground.cluster.writes.clear()
    said = meshctl("uninstall", "--dry-run", "--force", "-o", "json")
    assert said.code == 0
    (phase,) = json.loads(said.out)["labels"]["phases"]
    back = {"istio-injection": None, "istio.io/rev": "default"}
    assert [(each["name"], each["labels"]) for each in phase["steps"]] == [("bank", back)]
    shown = meshctl("uninstall", "--dry-run", "--force").err
    assert "labels that the upgrade has changed are put back" in shown
    assert ground.cluster.writes == []
