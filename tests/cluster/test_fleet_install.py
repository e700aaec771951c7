"""Two clusters of a mesh.yaml, installed by one command, while one of them is lost, and removed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Ref
from tests.cluster.command import Command, settled, snapshot
from tests.cluster.conftest import Pair
from tests.cluster.faults import Dice, faulty
from tests.cluster.test_faults import IMPATIENT

pytestmark = pytest.mark.cluster

NAMES = ("west", "east")
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
FILE = ("-f", "mesh.yaml")
WRITES = 20
"""Requests that change something, after which the API server of one cluster does not answer any more."""


@dataclass(frozen=True)
class Fleet:
    """Two clusters, the way to each, and the command beside a mesh.yaml of both.

    Attributes:
        doors: by name.
        contexts: in the kubeconfig, by name of the cluster.
        command: how `meshctl` is run.
    """

    doors: Mapping[str, KubeCluster]
    contexts: Mapping[str, str]
    command: Command

    def write_mesh(self, east: str = "") -> None:
        """A mesh.yaml of both; `east` says more of the second."""
        (self.command.folder / "mesh.yaml").write_text(
            "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: fleet}\n"
            "spec:\n  profile: minimal\n  clusters:\n"
            f"    - {{name: west, context: {self.contexts['west']}}}\n"
            f"    - {{name: east, context: {self.contexts['east']}{east}}}\n"
        )

    def kubeconfig_of(self, name: str, folder: Path) -> str:
        """A kubeconfig whose current context is this cluster."""
        config = json.loads(Path(self.command.kubeconfig).read_text())
        file = folder / f"{name}.kubeconfig"
        file.write_text(json.dumps({**config, "current-context": self.contexts[name]}))
        file.chmod(0o600)
        return str(file)

    def linked(self) -> bool:
        """Whether each istiod has what it needs to read the other cluster."""
        secrets = (("west", "istio-remote-secret-east"), ("east", "istio-remote-secret-west"))
        return all(self.doors[here].get(Ref("v1", "Secret", "istio-system", name)) for here, name in secrets)


@pytest.fixture(scope="module")
def pair(clusters: Pair, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The operator of both."""
    command = Command(clusters.kubeconfig, tmp_path_factory.mktemp("fleet"))
    return Fleet(clusters.doors, clusters.contexts, command)


@pytest.fixture
def meshctl(pair: Fleet) -> Iterator[Command]:
    """The command; whatever a test leaves is removed."""
    pair.write_mesh()
    yield pair.command
    pair.write_mesh()
    pair.command.run("uninstall", *FILE, "--purge", "--force", "--yes")


def test_one_command_installs_and_links_both_the_next_sends_nothing_and_uninstall_leaves_nothing(
    pair: Fleet, meshctl: Command
) -> None:
    before = settled(pair.doors)
    meshctl.run("install", *FILE, "--yes")
    assert all(door.get(ISTIOD) for door in pair.doors.values())
    assert pair.linked()
    assert meshctl.json("plan", *FILE)["empty"]
    assert "as asked; nothing was sent" in meshctl.run("install", *FILE, "--yes").stdout
    meshctl.run("uninstall", *FILE, "--purge", "--yes")
    assert {name: snapshot(door) for name, door in pair.doors.items()} == before


def test_a_cluster_that_is_lost_meanwhile_keeps_the_other_from_nothing_and_the_next_run_finishes(
    pair: Fleet, meshctl: Command, tmp_path: Path
) -> None:
    with faulty(pair.kubeconfig_of("east", tmp_path), tmp_path, Dice(0, 0.0)) as api:
        # Its istiod's peer goes on to reach it where it is; only the command goes through the faulty one.
        pair.write_mesh(f", kubeconfig: {api.kubeconfig}, server: '{pair.doors['east'].server}'")
        api.leaves_after = WRITES
        program = [sys.executable, "-c", IMPATIENT, "install", *FILE, "--yes"]
        done = subprocess.run(program, env=meshctl.env, cwd=meshctl.folder, capture_output=True, text=True)
        assert done.returncode == 4, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "stopped part-way in east" in done.stderr
        west, east = (line.split() for line in done.stdout.splitlines()[1:])
        assert (west[2], east[2]) == ("done", "stopped")
        api.come_back()
        meshctl.run("install", *FILE, "--yes")
        assert pair.linked()
        assert meshctl.json("plan", *FILE)["empty"]
