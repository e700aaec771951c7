"""Commands that take a mesh.yaml: all its clusters, or one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.stages.settings.document import LOADER

Meshctl = Callable[..., Any]

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: prod}
spec:
  profile: minimal
  clusters:
    - {name: west, network: n1, context: west}
    - {name: east, network: n2, context: east}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.yaml").write_text(MESH)
    contexts = ", ".join(f"{{name: {name}, context: {{cluster: c, user: u}}}}" for name in ("other", "west"))
    (tmp_path / "config").write_text(
        "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], "
        f"users: [{{name: u, user: {{token: none}}}}], contexts: [{contexts}], current-context: other}}"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path


def test_every_cluster_is_rendered_into_its_own_folder(folder: Path, meshctl: Meshctl) -> None:
    said = meshctl("manifest", "generate", "-f", "mesh.yaml", "--out", "clusters")
    assert (said.code, said.out, said.err) == (0, "", "")
    for name, network in (("west", "n1"), ("east", "n2")):
        objects = list(yaml.load_all((folder / "clusters" / name / "manifest.yaml").read_text(), LOADER))
        (gateway,) = (
            each
            for each in objects
            if each["kind"] == "Service" and each["metadata"]["name"] == "istio-eastwestgateway"
        )
        assert gateway["metadata"]["labels"]["topology.istio.io/network"] == network


def test_manifests_of_several_clusters_do_not_go_to_one_stream(meshctl: Meshctl) -> None:
    said = meshctl("manifest", "generate", "-f", "mesh.yaml")
    assert (said.code, said.out) == (2, "")
    assert "name a folder with -o or --out, or one cluster with --cluster" in said.err


def test_one_cluster_of_a_mesh_goes_to_standard_output_or_to_a_file(folder: Path, meshctl: Meshctl) -> None:
    said = meshctl("manifest", "generate", "-f", "mesh.yaml", "--cluster", "east")
    assert "topology.istio.io/network: n2" in said.out
    assert (
        meshctl("manifest", "generate", "-f", "mesh.yaml", "--cluster", "east", "--out", "east.yaml").code
        == 0
    )
    assert (folder / "east.yaml").read_text() == said.out


def test_json_tells_objects_by_cluster(meshctl: Meshctl) -> None:
    found = json.loads(meshctl("manifest", "generate", "-f", "mesh.yaml", "-o", "json").out)
    assert [each["cluster"] for each in found] == ["west", "east"]
    assert {each["kind"] for each in found[0]["objects"]} >= {"Deployment", "CustomResourceDefinition"}
    one = json.loads(
        meshctl("manifest", "generate", "-f", "mesh.yaml", "--cluster", "west", "-o", "json").out
    )
    assert one == found[0]["objects"]


def test_a_folder_that_cannot_be_written_is_told(folder: Path, meshctl: Meshctl) -> None:
    (folder / "taken").write_text("")
    said = meshctl("manifest", "generate", "-f", "mesh.yaml", "--out", "taken")
    assert said.code == 2
    assert "file-not-written" in said.err


def test_values_of_one_cluster_are_explained_and_of_several_refused(meshctl: Meshctl) -> None:
    said = meshctl("values", "-f", "mesh.yaml", "--cluster", "east", "--explain", "global.network")
    assert said.out.startswith("n2  mesh.yaml:9  values.global.network")
    said = meshctl("values", "-f", "mesh.yaml", "--explain", "global.network")
    assert said.code == 2
    assert "choose one of west, east" in said.err


@pytest.mark.parametrize("command", ["plan", "install"])
def test_a_live_command_wants_the_context_of_every_cluster_it_is_for(command: str, meshctl: Meshctl) -> None:
    for words in ((), ("--cluster", "east")):
        said = meshctl(command, "-f", "mesh.yaml", *words)
        assert (said.code, "unknown context 'east'" in said.err) == (2, True)


def test_every_context_that_is_not_there_is_told_with_its_line(folder: Path, meshctl: Meshctl) -> None:
    (folder / "mesh.yaml").write_text(MESH.replace("context: west", "context: wets"))
    said = meshctl("install", "-f", "mesh.yaml")
    assert said.code == 2
    for line, name, cluster in ((8, "wets", "west"), (9, "east", "east")):
        assert f"mesh.yaml:{line}" in said.err
        assert f"unknown context {name!r}" in said.err
        assert f"of cluster {cluster!r}" in said.err


def test_a_live_command_goes_to_the_cluster_it_was_told(meshctl: Meshctl) -> None:
    said = meshctl("plan", "-f", "mesh.yaml", "--cluster", "west")
    assert (said.code, "127.0.0.1:1" in said.err) == (1, True)


def test_a_context_given_with_the_command_beats_that_of_the_file(meshctl: Meshctl) -> None:
    said = meshctl("plan", "-f", "mesh.yaml", "--cluster", "east", "--context", "other")
    assert (said.code, "127.0.0.1:1" in said.err) == (1, True)


def test_starting_files_are_listed_with_the_profiles(meshctl: Meshctl) -> None:
    assert "primary-remote" in meshctl("profile", "list").out


def test_a_name_that_nothing_has_is_told_with_the_profiles_and_topologies(meshctl: Meshctl) -> None:
    said = meshctl("profile", "dump", "multi-primry")
    assert (said.code, "did you mean 'multi-primary'" in said.err, "--profile" in said.err) == (
        2,
        True,
        False,
    )


def test_a_topology_is_no_profile_to_compare_with(meshctl: Meshctl) -> None:
    said = meshctl("profile", "diff", "default", "multi-primary")
    assert (said.code, "unknown profile 'multi-primary'" in said.err) == (2, True)
