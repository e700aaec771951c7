"""Two real API servers and their istiods are linked, their tokens renewed, and nothing is left of it."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters import xds
from meshctl.adapters.kube import KubeCluster, connect
from meshctl.errors import AccessError
from meshctl.model.objects import Object, Ref
from tests.cluster.command import Command, settled, snapshot
from tests.cluster.conftest import Pair

NAMES = ("west", "east")
HOME = "istio-system"


@dataclass(frozen=True)
class Mesh:
    """Two clusters, the way to each, and the operator's command beside a mesh.yaml."""

    doors: Mapping[str, KubeCluster]
    command: Command

    def run(self, *words: str, check: int | None = 0) -> str:
        return self.command.run(*words, "-f", "mesh.yaml", check=check).stdout

    def json(self, *words: str, check: int | None = 0) -> Any:
        return json.loads(self.run(*words, "-o", "json", check=check))

    def secret(self, server: str = "west", reads: str = "east") -> Object:
        found = self.doors[server].get(Ref("v1", "Secret", HOME, f"istio-remote-secret-{reads}"))
        assert found is not None
        return found

    def holders(self, reads: str = "east") -> list[str]:
        found = self.doors[reads].list("v1", "Secret", namespace=HOME, labels="meshctl.dev/reader")
        return [each.ref.name for each in found]

    @contextmanager
    def reader(self, folder: Path) -> Iterator[KubeCluster]:
        """The cluster `east`, as the istiod of `west` reaches it now."""
        file = folder / "reader.kubeconfig"
        file.write_text(base64.b64decode(self.secret().content["data"]["east"]).decode())
        file.chmod(0o600)
        door = connect(str(file), name="east")
        try:
            yield door
        finally:
            door.close()

    def services(self) -> str:
        """The services that the istiod of `west` knows."""
        door = self.doors["west"]
        [server] = xds.servers(door, HOME)
        answer = xds.ask(door, server, xds.caller(door, HOME), xds.DEBUG, ("registryz",), seconds=10)
        return b"".join(each.value for each in answer.resources).decode()


@pytest.fixture(scope="module")
def pair(clusters: Pair, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """The operator of a mesh of both."""
    folder = tmp_path_factory.mktemp("links")
    listed = "".join(f"    - {{name: {name}, context: {each}}}\n" for name, each in clusters.contexts.items())
    (folder / "mesh.yaml").write_text(
        "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: links}\n"
        f"spec:\n  profile: minimal\n  clusters:\n{listed}"
    )
    return Mesh(clusters.doors, Command(clusters.kubeconfig, folder))


@pytest.fixture(scope="module")
def before(pair: Mesh) -> dict[str, Any]:
    return settled(pair.doors)


@pytest.fixture(scope="module")
def linked(pair: Mesh, before: dict[str, Any]) -> Iterator[Mesh]:
    assert before
    pair.run("install", "--yes")
    yield pair
    pair.run("uninstall", "--purge", "--force", "--yes")


def test_links_made_and_taken_away_leave_both_clusters_as_they_were(
    pair: Mesh, before: dict[str, Any]
) -> None:
    pair.run("cluster", "link", "--yes")
    pair.run("cluster", "unlink", "west", "--yes")
    for door in pair.doors.values():
        while door.get(Ref("v1", "Namespace", "", HOME)) is not None:  # its controller takes its time
            time.sleep(0.2)
    assert {name: snapshot(door) for name, door in pair.doors.items()} == before


def test_every_istiod_is_in_sync_after_an_install_and_a_second_link_has_nothing_to_do(linked: Mesh) -> None:
    found = linked.json("cluster", "list")
    assert found["sound"], found
    assert [set(each["states"].values()) for each in found["links"]] == [{"synced"}, {"synced"}]
    assert not linked.json("cluster", "link", "--yes")["changed"]


def test_the_account_may_read_and_may_not_change_anything(linked: Mesh, tmp_path: Path) -> None:
    with linked.reader(tmp_path) as door:
        assert door.allowed("list", "", "services")
        assert not any(
            door.allowed(verb, "", kind)
            for verb in ("create", "update", "delete")
            for kind in ("secrets", "pods", "services")
        )


def test_a_former_token_is_over_and_istiod_goes_on_reading(linked: Mesh, tmp_path: Path) -> None:
    with linked.reader(tmp_path) as former:
        former.list("v1", "Service")
        linked.run("remote-secret", "rotate", "--yes")
        with pytest.raises(AccessError):
            former.list("v1", "Service")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "after-rotation", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    linked.doors["east"].create(Object(service))
    try:
        give_up = time.monotonic() + 30
        while "after-rotation" not in linked.services() and time.monotonic() < give_up:
            time.sleep(0.2)
        assert "after-rotation" in linked.services()
    finally:
        linked.doors["east"].delete(Object(service).ref)


def test_a_token_revoked_behind_our_back_is_named_and_mended(linked: Mesh) -> None:
    [holder] = linked.holders()
    linked.doors["east"].delete(Ref("v1", "Secret", HOME, holder))
    found = linked.json("cluster", "list", check=3)
    assert [each["fault"] for each in found["links"]] == ["its token was revoked", ""]
    linked.run("cluster", "link", "--yes")
    assert linked.json("cluster", "list")["sound"]


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_that_is_killed_is_finished_by_a_link(linked: Mesh, seed: int) -> None:
    at = random.Random(seed).uniform(0.8, 4.0)
    words = ("remote-secret", "rotate", "--yes", "-f", "mesh.yaml")
    process = linked.command.start(*words)
    time.sleep(at)
    process.kill()
    process.wait()
    linked.run("cluster", "link", "--yes")
    assert linked.json("cluster", "list")["sound"], f"killed after {at:.2f} s"
    assert [len(linked.holders(name)) for name in NAMES] == [1, 1]


def test_uninstall_leaves_nothing_of_links(linked: Mesh, before: dict[str, Any]) -> None:
    linked.run("uninstall", "--purge", "--force", "--yes")
    assert {name: snapshot(door) for name, door in linked.doors.items()} == before
