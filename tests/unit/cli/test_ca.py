"""`ca init` and `ca issue`, as they are typed; `ca status` is shown by tests/unit/trusting."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from tests.unit.trusting.trust_ground import root

Meshctl = Callable[..., Any]

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: prod}
spec:
  trust: {ca: managed}
  clusters:
    - {name: west, context: west}
    - {name: east, context: east, role: remote}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESHCTL_CA_PASSPHRASE", raising=False)
    (tmp_path / "pass").write_text("open sesame\n")
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "mesh.yaml").write_text(MESH)
    return tmp_path


def test_a_root_is_made_and_signs_for_a_cluster_from_beside_its_mesh_file(
    folder: Path, meshctl: Meshctl
) -> None:
    said = meshctl("ca", "init", "mesh/ca", "--name", "Our Root", "--passphrase-file", "pass", "-o", "json")
    made = json.loads(said.out)
    assert (said.code, made["root"]["name"], made["root"]["pathLength"]) == (0, "CN=Our Root", 1)

    words = ("ca", "issue", "-f", "mesh/mesh.yaml", "--cluster", "west", "--out", "out")
    issued = meshctl(*words, "--passphrase-file", "pass", "-o", "json")
    assert issued.code == 0
    data = json.loads(issued.out)
    assert data["roots"][0]["sha256"] == made["root"]["sha256"]
    assert {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder / "out").iterdir()
    } == dict.fromkeys(data["files"], 0o600)
    assert "PRIVATE" not in issued.out + issued.err
    certificate, key = ((folder / "out" / name).read_bytes() for name in ("ca-cert.pem", "ca-key.pem"))
    assert pki.fits(certificate, key)

    again = meshctl(*words, "--passphrase-file", "pass")
    assert (again.code, "file-there" in again.err) == (2, True)
    assert (folder / "out" / "ca-key.pem").read_bytes() == key


def test_the_passphrase_may_come_from_the_environment(
    meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCTL_CA_PASSPHRASE", "open sesame")
    assert meshctl("ca", "init", "mesh/ca").code == 0
    words = ("ca", "issue", "-f", "mesh/mesh.yaml", "--cluster", "west", "--out")
    assert meshctl(*words, "out").code == 0
    monkeypatch.setenv("MESHCTL_CA_PASSPHRASE", "wrong")
    said = meshctl(*words, "out2")
    assert (said.code, "wrong-passphrase" in said.err, Path("out2").exists()) == (2, True, False)


def test_a_second_root_is_made_only_when_it_is_wanted(folder: Path, meshctl: Meshctl) -> None:
    assert meshctl("ca", "init", "--passphrase-file", "pass").code == 0
    before = (folder / "ca" / "root-1.pem").read_bytes()
    said = meshctl("ca", "init", "--passphrase-file", "pass")
    assert (said.code, "root-there" in said.err) == (2, True)
    assert meshctl("ca", "init", "--another", "--passphrase-file", "pass").code == 0
    assert (folder / "ca" / "root-1.pem").read_bytes() == before
    names = [pki.facts((folder / "ca" / f"root-{number}.pem").read_bytes()).name for number in (1, 2)]
    assert names == ["CN=Mesh Root CA", "CN=Mesh Root CA 2"]


def test_a_root_of_the_users_is_named_and_its_key_stays_where_it_is(folder: Path, meshctl: Meshctl) -> None:
    (folder / "mine.pem").write_bytes(root().pair.certificate)
    (folder / "mine.key").write_bytes(root().pair.key)
    said = meshctl("ca", "init", "--certificate", "mine.pem", "--key", "mine.key")
    assert (said.code, "which stays there" in said.out) == (0, True)
    assert not list((folder / "ca").glob("*.key"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ca", "init", "--key", "mine.key"), "incomplete-root"),
        (("ca", "init", "--key", "a", "--certificate", "b", "--days", "9"), "no-effect"),
        (("ca", "init", "--key", "a", "--certificate", "b"), "file-not-read"),
        (("ca", "init", "--name", "x" * 65, "--passphrase-file", "pass"), "wrong-value"),
        (("ca", "init", "--passphrase-file", "none"), "file-not-read"),
        (("ca", "init"), "nobody-to-ask"),
        (("ca", "issue", "-f", "mesh/mesh.yaml", "--out", "o"), "several-clusters"),
        (("ca", "issue", "-f", "mesh/mesh.yaml", "--cluster", "west", "--out", "o"), "no-root"),
        (("ca", "issue", "-f", "mesh/mesh.yaml", "--cluster", "east", "--out", "o"), "no-authority-needed"),
        (("ca", "issue", "--out", "o"), "trust-not-managed"),
    ],
)
def test_what_cannot_be_done_is_refused_with_nothing_made(
    words: tuple[str, ...], code: str, folder: Path, meshctl: Meshctl
) -> None:
    there = sorted(folder.rglob("*"))
    said = meshctl(*words)
    assert said.code == 2, said.err
    assert f"error: {code}" in said.err
    assert sorted(folder.rglob("*")) == there


def test_an_empty_passphrase_file_does_not_make_a_key_that_anybody_can_open(
    folder: Path, meshctl: Meshctl
) -> None:
    (folder / "pass").write_text("\n")
    said = meshctl("ca", "init", "--passphrase-file", "pass")
    assert (said.code, "no-passphrase" in said.err, (folder / "ca").exists()) == (2, True, False)
