"""Bad input is told with its place, the nearest known name and a remedy; nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: none}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
current-context: here
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kubeconfig whose cluster nobody may reach: an answer proves that nobody tried."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path


OPERATOR = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n"

CASES = {
    "unknown profile": (["--profile", "dmeo"], "", ["--profile", "did you mean 'demo'"]),
    "unknown value": (["--set", "pilot.traceSamplin=5"], "", ["--set", "did you mean 'traceSampling'"]),
    "unknown value in a file": (
        ["-f", "in.yaml"],
        OPERATOR + "  values:\n    pilot:\n      traceSamplin: 5\n",
        ["in.yaml:6", "spec.values.pilot.traceSamplin", "did you mean 'traceSampling'"],
    ),
    "unknown component": (
        ["-f", "in.yaml"],
        OPERATOR + "  components:\n    pilott: {enabled: true}\n",
        ["in.yaml:5", "did you mean 'pilot'"],
    ),
    "wrong type": (
        ["-f", "in.yaml"],
        "pilot:\n  autoscaleMin: many\n",
        ["in.yaml:2", "a whole number, not 'many'"],
    ),
    "bad YAML": (["-f", "in.yaml"], "a: [1\nb: 2\n", ["in.yaml:2", "not YAML"]),
    "two documents": (["-f", "in.yaml"], "pilot: {}\n---\npilot: {}\n", ["in.yaml:3", "2 documents"]),
    "no such file": (["-f", "away.yaml"], "", ["away.yaml", "no such file"]),
    "a setting without a value": (["--set", "hub"], "", ["--set", "no '='"]),
    "missing context": (["--context", "hrer"], "", ["unknown context 'hrer'", "here"]),
    "missing kubeconfig": (["--kubeconfig", "away"], "", ["no kubeconfig file 'away'"]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", ["install", "plan"])
def test_it_is_told_where_what_and_what_to_do(
    name: str, command: str, folder: Path, meshctl: Callable[..., object]
) -> None:
    words, text, expected = CASES[name]
    (folder / "in.yaml").write_text(text)
    said = meshctl(command, *words)
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "\n  hint: " in said.err
    for each in expected:
        assert each in said.err, said.err


def test_all_problems_of_one_input_are_told_at_once(folder: Path, meshctl: Callable[..., object]) -> None:
    (folder / "in.yaml").write_text("pilot:\n  traceSamplin: 5\n  autoscaleMin: many\n")
    said = meshctl("plan", "-f", "in.yaml", "--profile", "dmeo")
    assert said.err.count("error: ") == 3


def test_an_error_can_be_read_by_a_program(meshctl: Callable[..., object]) -> None:
    said = meshctl("plan", "--profile", "dmeo", "-o", "json")
    error = json.loads(said.err)["error"]
    assert error["code"] == "unknown-profile"
    assert error["where"]["file"] == "--profile"


def test_a_cluster_that_does_not_answer_is_named(meshctl: Callable[..., object]) -> None:
    said = meshctl("status")
    assert said.code == 1
    assert "127.0.0.1:1" in said.err


def test_an_unknown_command_offers_the_nearest(meshctl: Callable[..., object]) -> None:
    said = meshctl("instal")
    assert said.code == 2
    assert "did you mean 'install'?" in said.err


def test_without_a_terminal_nobody_is_asked(
    meshctl: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshctl.cli.app import App
    from meshctl.cli.report import Text
    from meshctl.errors import ConfigError

    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="no terminal"):
        App(Text()).confirm("Go on?")
    App(Text(), assume_yes=True).confirm("Go on?")
