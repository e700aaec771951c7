"""Kubeconfigs that are missing, broken, or lack what is asked of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from meshctl.adapters.kube import connect
from meshctl.errors import AccessError, ConfigError
from tests.unit.kube.api import kubeconfig

SERVER = "http://127.0.0.1:1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(str(tmp_path / "none"))
    assert caught.value.code == "kubeconfig-missing"
    assert str(tmp_path / "none") in caught.value.message


def test_a_missing_context_lists_those_there_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(kubeconfig(tmp_path, SERVER, name="production"), "prodution")
    assert caught.value.message == "unknown context 'prodution'; did you mean 'production'?"
    assert "production" in caught.value.hint


def test_no_current_context_asks_for_one(tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path, SERVER))
    content = yaml.safe_load(path.read_text())
    del content["current-context"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        connect(str(path))
    assert caught.value.code == "context-not-set"


@pytest.mark.parametrize(("text", "line"), [("contexts: [\n  {name: a\n", 3), ("- just\n- a list\n", None)])
def test_what_is_no_kubeconfig_is_refused_at_its_line(tmp_path: Path, text: str, line: int | None) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        connect(str(path))
    assert caught.value.code == "kubeconfig-invalid"
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == (str(path), line)


def test_an_entry_without_its_cluster_is_refused(tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path, SERVER))
    content = yaml.safe_load(path.read_text())
    content["clusters"] = []
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        connect(str(path))
    assert caught.value.code == "kubeconfig-invalid"


def test_the_first_of_several_files_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = kubeconfig(tmp_path / "one", "http://127.0.0.1:1", name="one")
    second = kubeconfig(tmp_path / "two", "http://127.0.0.1:2", name="two")
    assert connect(f"{first}:{second}").name == "one"
    assert connect(f"{first}:{second}", "two").name == "two"


def test_a_failing_credential_plugin_is_told_in_its_own_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", "import sys; sys.exit('please log in')"],
        "interactiveMode": "Never",
    }
    with pytest.raises(AccessError) as caught:
        connect(kubeconfig(tmp_path, SERVER, user={"exec": plugin}))
    assert caught.value.code == "credential-plugin-failed"
    assert "please log in" in "".join(caught.value.details)
    assert capfd.readouterr() == ("", "")


def test_the_cluster_is_called_as_asked(tmp_path: Path) -> None:
    cluster = connect(kubeconfig(tmp_path, SERVER), name="east")
    assert (cluster.name, cluster.server) == ("east", SERVER)
