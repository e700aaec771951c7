"""Three real clusters on networks of their own, and the commands that a fleet's operator runs on them.

`MESHCTL_TEST_FLEET` names a sandbox to use in place of one of our own: full, with three clusters,
`--network separate`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.sandbox import Settings, down, network, preflight, status, up
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.names import ClusterLayout, Layout
from meshctl.sandbox.paths import state_root
from meshctl.sandbox.process import Inside, spawn
from tests.cluster.command import Command, snapshot
from tests.cluster.conftest import SANDBOX

CLUSTERS = 3


@dataclass(frozen=True)
class Fleet:
    """The clusters, by the names that tests give them in a mesh.yaml: `one`, `two`, `three`.

    Attributes:
        sandbox: its name.
        kubeconfig: a file with all contexts.
        doors: the way to each.
    """

    sandbox: str
    kubeconfig: str
    doors: Mapping[str, KubeCluster]

    def context(self, name: str) -> str:
        """A cluster's context."""
        return self._layout(name).context

    def snapshots(self, *names: str) -> dict[str, Any]:
        """Every object of these clusters; see `snapshot`."""
        return {name: snapshot(self.doors[name]) for name in names}

    @contextmanager
    def flat(self, *names: str) -> Iterator[None]:
        """While this is open, pods of these clusters reach each other without a gateway."""
        places = [self._layout(name) for name in names]
        routes = [(here.netns, there) for here in places for there in places if here is not there]
        for netns, there in routes:
            network.route(netns, (there.pods, there.services), there.address)
        try:
            yield
        finally:
            for netns, there in routes:
                for each in (there.pods, there.services):
                    subprocess.run(["ip", "-n", netns, "route", "delete", str(each)], check=True)

    def kill_api_server(self, name: str) -> Callable[[], None]:
        """End a cluster's API server without a word; what is given starts it again."""
        place = self._layout(name)
        (cluster,) = [each for each in status(self.sandbox).clusters if each.name == place.short]
        servers = [each for each in cluster.components if each.name == "kube-apiserver"]
        (server,) = [each for each in servers if each.alive]
        argv = Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")[:-1]
        os.kill(server.pid, signal.SIGKILL)

        def again() -> None:
            log = place.logs / "kube-apiserver.log"
            inside = Inside(place.netns, cgroup=f"{place.cgroup}/system")
            spawn(self._ledger, f"{place.short}/kube-apiserver", argv, log=log, inside=inside)

        return again

    def _layout(self, name: str) -> ClusterLayout:
        begun = self._ledger.begun()
        assert begun is not None
        number = [*self.doors].index(name) + 1
        return Layout(self.sandbox, begun.slot, self._ledger.path.parent).cluster(number)

    @property
    def _ledger(self) -> Ledger:
        return Ledger.of(state_root() / self.sandbox)


@pytest.fixture(scope="package")
def fleet() -> Iterator[Fleet]:
    """Clusters that tests may change."""
    given = os.environ.get("MESHCTL_TEST_FLEET", "")
    name = given or f"{SANDBOX}-fleet"
    if not given and (reason := preflight.why_not_full()):
        pytest.skip(f"needs three clusters with pods that run: a full sandbox is not possible ({reason})")
    if not given:
        for _ in up(Settings(name=name, clusters=CLUSTERS, network="separate")):
            pass
    found = status(name)
    names = ("one", "two", "three")
    doors = {
        short: connect(found.kubeconfig, each.context, name=short)
        for short, each in zip(names, found.clusters, strict=True)
    }
    try:
        yield Fleet(name, found.kubeconfig, doors)
    finally:
        for door in doors.values():
            door.close()
        if not given:
            for _ in down(name):
                pass


@dataclass(frozen=True)
class Operator:
    """`meshctl` beside a mesh.yaml, its root, and the passphrase of it.

    Attributes:
        command: how it is run.
        root: folder of the root.
    """

    command: Command
    root: Path

    def write(self, mesh: str) -> None:
        """Say what the fleet is to be."""
        (self.command.folder / "mesh.yaml").write_text(mesh)

    def run(self, *words: str, check: int | None = 0) -> Any:
        """A command about the fleet; see `Command.run`."""
        return self.command.run(*words, "-f", "mesh.yaml", check=check)

    def json(self, *words: str, check: int | None = 0) -> Any:
        """Its answer in JSON; that of a command that does something stands after a line for each event."""
        said = self.run(*words, "-o", "json", check=check).stdout
        return json.loads(said if said.startswith("{\n") else said.splitlines()[-1])

    def remove(self) -> None:
        """Take the mesh away, whatever state it is in."""
        if (self.command.folder / "mesh.yaml").exists():
            self.run("uninstall", "--purge", "--force", "--yes")


@pytest.fixture(scope="package")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, as `ca init` makes it; the passphrase is in the environment of every command."""
    os.environ["MESHCTL_CA_PASSPHRASE"] = "correct horse battery staple"
    folder = tmp_path_factory.mktemp("root")
    Command("", folder).run("ca", "init", "ca")
    return folder / "ca"


@pytest.fixture(scope="module")
def operator(fleet: Fleet, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator; whatever a module's tests leave is removed."""
    found = Operator(Command(fleet.kubeconfig, tmp_path_factory.mktemp("fleet")), root)
    yield found
    found.remove()
