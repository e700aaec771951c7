"""What the program answers on a command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from meshctl.agent.commands import main


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MESHCTL_AGENT_ROOT", str(tmp_path))
    monkeypatch.setattr("meshctl.agent.commands._spare_memory", lambda: None)
    return tmp_path


COMMANDS = ("run", "status", "log-level", "drain", "csr", "certificate", "version", "capture")


@pytest.mark.parametrize("words", [(), *((each,) for each in COMMANDS), ("capture", "apply")])
def test_every_command_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "usage: meshctl-agent" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fly"], ["status", "-o", "yaml"], ["log-level"], ["certificate"]])
def test_what_is_no_command_has_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_versions_are_told_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert main(["version"]) == 0
    assert f"python: {found['python']}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["status"], ["drain"], ["log-level", "debug"]])
def test_without_an_agent_there_is_a_remedy(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: no agent answers at ")
    assert "journalctl -u meshctl-agent" in said


def test_a_signing_request_and_its_certificate_go_by_files(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "etc/meshctl-agent").mkdir(parents=True)
    (root / "etc/meshctl-agent/cluster.env").write_text("POD_NAMESPACE='shop'\nSERVICE_ACCOUNT='cart'\n")
    (root / "var/lib/meshctl-agent").mkdir(parents=True)
    assert main(["csr"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert (root / "var/lib/meshctl-agent/identity/key.pem").stat().st_mode & 0o777 == 0o600
    assert main(["certificate", str(root / "none.pem")]) == 2
    assert f"error: {root}/none.pem: the file cannot be read" in capsys.readouterr().err
    (root / "bad.pem").write_text("no certificate")
    assert main(["certificate", str(root / "bad.pem")]) == 2


def test_settings_that_are_missing_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["csr"]) == 2
    assert f"{root}/etc/meshctl-agent/cluster.env" in capsys.readouterr().err


def test_a_fault_of_ours_is_said_to_be_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("meshctl.agent.version.versions", lambda: 1 / 0)
    assert main(["version"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_running_agent_loads_neither_openssl_nor_cryptography_nor_what_else_is_large() -> None:
    code = (
        "import sys; from meshctl.agent import commands; commands._spare_memory();"
        "import meshctl.agent.main, meshctl.agent.program;"
        "print(*(name for name, found in sys.modules.items() if found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name in HEAVY}
    assert loaded == set()


HEAVY = {
    "_hashlib", "_ssl", "cryptography", "ctypes", "email", "envoy", "http.client", "http.server",
    "logging.config", "multiprocessing", "shutil", "tempfile", "urllib.request", "xml",
    "meshctl.agent.capture.rules", "meshctl.agent.identity.keys",
}  # fmt: skip
