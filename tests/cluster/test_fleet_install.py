"""Two clusters of a mesh.yaml are installed by one command, one of them is lost meanwhile, and all is removed.

`MESHCTL_TEST_PAIR` names a light sandbox with two clusters to use in place of one of our own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.model.objects import Ref
from meshctl.sandbox import Settings, down, status, up
from tests.cluster.command import Command, snapshot
from tests.cluster.conftest import SANDBOX

pytestmark = pytest.mark.cluster

NAMES = ("west", "east")
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
FILE = ("-f", "mesh.yaml")
PATIENCE = 120.0


@dataclass(frozen=True)
class Pair:
    """Two clusters, the way to each, and the command beside a mesh.yaml of both."""

    sandbox: str
    doors: Mapping[str, KubeCluster]
    command: Command

    def kill_api_server(self, name: str) -> None:
        here = status(self.sandbox).clusters[NAMES.index(name)]
        [server] = [each for each in here.components if each.name == "kube-apiserver"]
        os.kill(server.pid, signal.SIGKILL)

    def repair(self) -> None:
        for _ in up(Settings(name=self.sandbox, clusters=2, light=True)):
            pass

    def linked(self) -> bool:
        """Whether each istiod has what it needs to read the other cluster."""
        secrets = (("west", "istio-remote-secret-east"), ("east", "istio-remote-secret-west"))
        return all(self.doors[here].get(Ref("v1", "Secret", "istio-system", name)) for here, name in secrets)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    given = os.environ.get("MESHCTL_TEST_PAIR", "")
    name = given or f"{SANDBOX}-pair"
    if not given:
        for _ in up(Settings(name=name, clusters=2, light=True)):
            pass
    found = status(name)
    contexts = dict(zip(NAMES, (each.context for each in found.clusters), strict=True))
    folder: Path = tmp_path_factory.mktemp("fleet")
    clusters = "".join(f"    - {{name: {short}, context: {each}}}\n" for short, each in contexts.items())
    (folder / "mesh.yaml").write_text(
        "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: fleet}\n"
        f"spec:\n  profile: minimal\n  clusters:\n{clusters}"
    )
    doors = {short: connect(found.kubeconfig, each, name=short) for short, each in contexts.items()}
    try:
        yield Pair(name, doors, Command(found.kubeconfig, folder))
    finally:
        for door in doors.values():
            door.close()
        if not given:
            for _ in down(name):
                pass


@pytest.fixture
def meshctl(pair: Pair) -> Iterator[Command]:
    """The command; whatever a test leaves is removed."""
    yield pair.command
    pair.command.run("uninstall", *FILE, "--purge", "--force", "--yes")


def test_one_command_installs_and_links_both_the_next_sends_nothing_and_uninstall_leaves_nothing(
    pair: Pair, meshctl: Command
) -> None:
    before = {name: snapshot(door) for name, door in pair.doors.items()}
    meshctl.run("install", *FILE, "--yes")
    assert all(door.get(ISTIOD) for door in pair.doors.values())
    assert pair.linked()
    assert meshctl.json("plan", *FILE)["empty"]
    assert "as asked; nothing was sent" in meshctl.run("install", *FILE, "--yes").stdout
    meshctl.run("uninstall", *FILE, "--purge", "--yes")
    assert {name: snapshot(door) for name, door in pair.doors.items()} == before


def test_a_cluster_that_is_lost_meanwhile_keeps_the_other_from_nothing_and_the_next_run_finishes(
    pair: Pair, meshctl: Command
) -> None:
    begun = meshctl.start("install", *FILE, "--yes")
    until = time.monotonic() + PATIENCE
    while not pair.doors["east"].get(Ref("v1", "Namespace", "", "istio-system")):
        assert time.monotonic() < until
        time.sleep(0.1)
    pair.kill_api_server("east")
    try:
        assert begun.wait(PATIENCE) == 4
        [record] = meshctl.json("status", *FILE, "--cluster", "west", check=None)["clusters"][0]["releases"]
        assert record["status"] == "deployed"
    finally:
        pair.repair()
    meshctl.run("install", *FILE, "--yes")
    assert pair.linked()
    assert meshctl.json("plan", *FILE)["empty"]
