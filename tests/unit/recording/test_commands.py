"""`plan --observations` as users see it: no cluster is reached, and what is wrong is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from meshctl.actions.fleet.install import Fleet
from meshctl.actions.fleet.observing import observed
from meshctl.adapters import recordings
from meshctl.adapters.releases import ClusterReleases
from meshctl.model.mesh import Inputs
from meshctl.ports import World
from meshctl.stages.settings.load import load_all
from tests.fakes import FakeClock, FakeCluster, FakeFiles

MESH = """\
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: shop}
spec:
  clusters:
    - {name: west, context: no-such, network: one, server: https://west.example:6443}
    - {name: east, context: nor-this, network: one, server: https://east.example:6443}
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what was seen of two empty clusters, beside their mesh.yaml."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "there-is-none"))
    monkeypatch.chdir(tmp_path)
    Path("mesh.yaml").write_text(MESH)
    meshes = load_all(Inputs(files=("mesh.yaml",)))
    clusters = {each.name: FakeCluster(each.name) for mesh in meshes for each in mesh.mesh.clusters}
    records = {name: ClusterReleases(door, FakeClock()) for name, door in clusters.items()}
    world = World(clusters, records, FakeClock(), FakeFiles())
    for each in observed(world, Fleet.of(meshes)):
        assert each.recording is not None
        recordings.write(tmp_path / "seen", each.recording)
    return tmp_path / "seen"


def test_a_fleet_is_planned_where_no_cluster_is_reached(meshctl, seen: Path):
    done = meshctl("plan", "-f", "mesh.yaml", "--observations", "seen", "-o", "json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [each["cluster"] for each in told["clusters"]] == ["west", "east"]
    assert not told["empty"]


def test_the_plan_of_one_cluster_is_a_plan_file(meshctl, seen: Path):
    asked = ("plan", "-f", "mesh.yaml", "--cluster", "west", "--observations", "seen", "-o", "json")
    done = meshctl(*asked)
    assert done.code == 0, done.err
    assert json.loads(done.out)["file"]["clusterID"]


def test_without_a_mesh_file_the_one_observation_is_planned_against(meshctl, seen: Path, tmp_path: Path):
    (recorded,) = recordings.read(seen, ["west"])
    recordings.write(tmp_path / "one", replace(recorded.recording, cluster="mine"))
    done = meshctl("plan", "--observations", "one")
    assert (done.code, "Deployment istio-system/istiod" in done.out) == (0, True), done.err
    several = meshctl("plan", "--observations", "seen")
    assert (several.code, "observations of east, west" in several.err) == (2, True)
    assert meshctl("plan", "--observations", "seen", "--context", "east").code == 0


def test_a_cluster_that_was_not_observed_is_told(meshctl, seen: Path):
    (seen / "east.observation.json.gz").unlink()
    done = meshctl("plan", "-f", "mesh.yaml", "--observations", "seen")
    assert done.code == 2
    assert "there is no observation of cluster 'east'" in done.err
    assert "meshctl observe" in done.err


def test_observing_needs_a_folder(meshctl):
    done = meshctl("observe")
    assert (done.code, "--out" in done.err) == (2, True)
