"""The kubeconfig: a file of its own, for its owner only."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import yaml

from meshctl.pki import Pair
from meshctl.sandbox import kubeconfig
from meshctl.sandbox.kubeconfig import Access


class _Opaque(Pair):
    """A pair whose content does not matter."""

    def __repr__(self) -> str:
        return "pair"


TWO = [
    Access(f"ci-c{n}", f"https://10.0.0.{n}:6443", b"authority", _Opaque(b"certificate", b"key"))
    for n in (1, 2)
]


def test_there_is_a_context_for_each_cluster_and_the_first_is_current() -> None:
    config = yaml.safe_load(kubeconfig.render(TWO))
    assert [one["name"] for one in config["contexts"]] == ["ci-c1", "ci-c2"]
    assert config["current-context"] == "ci-c1"
    assert config["clusters"][1]["cluster"]["server"] == "https://10.0.0.2:6443"
    assert b64decode(config["users"][0]["user"]["client-key-data"]) == b"key"


def test_the_same_clusters_give_the_same_bytes() -> None:
    assert kubeconfig.render(TWO) == kubeconfig.render(list(TWO))


def test_only_the_owner_can_read_it_even_over_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("old")
    path.chmod(0o644)
    kubeconfig.write(path, TWO)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["kubeconfig"]
    assert json.loads(path.read_text())["kind"] == "Config"


def test_the_server_of_a_context_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, TWO)
    assert kubeconfig.read_server(path, "ci-c2") == "https://10.0.0.2:6443"
    assert kubeconfig.read_server(path, "other") == ""
    assert kubeconfig.read_server(tmp_path / "none", "ci-c1") == ""
