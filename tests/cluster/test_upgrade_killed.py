"""Killed with -9 after every recorded event, an upgrade is ended by the same command run again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.releases import ClusterReleases
from tests.cluster.command import Command, snapshot
from tests.cluster.traffic import SMALL_REQUESTS, Shape, Traffic, sidecars, until

pytestmark = [pytest.mark.cluster, pytest.mark.full("sidecars that connect")]

MESH = "mesh"
SHAPE = Shape({"shop": {"istio-injection": "enabled"}}, stores=1, callers=0)
INSTALL = ("install", "--yes", "--profile", "minimal", "--istio-version", "1.31", *SMALL_REQUESTS)
UPGRADE = ("upgrade", "--to", "1.32", "--strategy", "canary", "--yes")
UNINSTALL = ("uninstall", "--purge", "--yes")
MOST = 80
"""Runs after which an upgrade that is killed again and again must have come to its end."""

State = tuple[Any, ...]


@dataclass(frozen=True)
class Ground:
    """A mesh with one workload, and what an undisturbed upgrade of it ends in."""

    command: Command
    cluster: KubeCluster
    releases: ClusterReleases
    flowing: Traffic

    def prepare(self) -> None:
        """The old version, and the workload on it."""
        self.flowing.remove()
        self.command.run(*UNINSTALL)
        self.command.run(*INSTALL)
        self.flowing.serve()

    def end(self) -> dict[str, Any]:
        """Everything there is, but for when it was, and which proxies run."""
        until(lambda: len(self.flowing.pods()) == SHAPE.sidecars)
        found = {ref: _timeless(content) for ref, content in snapshot(self.cluster).items()}
        return {**found, "proxies": dict(sidecars(self.flowing.pods()))}

    def state(self) -> State:
        """What the records of this moment say: another one is another recorded event."""
        upgrade = self.releases.upgrade(MESH)
        told = () if upgrade is None else (upgrade.stage, upgrade.passed, upgrade.attempt, upgrade.returning)
        return (*told, *((each.revision, each.version, each.status) for each in self.releases.of(MESH)))

    def is_moving(self) -> bool:
        """Whether the workload has a pod with a proxy of the new version."""
        return "1.32.0" in sidecars(self.flowing.pods())

    def killed_after_change(self, seen: set[State]) -> int | None:
        """Start, and kill once the records say what they never said before; its exit code if it ended."""
        process = self.command.start(*UPGRADE)
        while process.poll() is None:
            if (state := self.state()) not in seen:
                seen.add(state)
                process.kill()
                return None if process.wait() < 0 else process.returncode
            time.sleep(0.05)
        return process.returncode


def _timeless(content: Any) -> Any:
    """Without the moment at which pods were made anew."""
    text = json.dumps(content)
    found = json.loads(text)
    if isinstance(found, dict) and found.get("kind") in ("Deployment", "StatefulSet"):
        found["spec"]["template"]["metadata"].pop("annotations", None)
    return found


@pytest.fixture(scope="module")
def ground(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ground, dict[str, Any], str]]:
    """The ground, what an undisturbed upgrade ends in, and what a second operator was told meanwhile."""
    folder = tmp_path_factory.mktemp("upgrade-killed")
    flowing = Traffic(cluster, folder / "reports", SHAPE)
    found = Ground(Command(kubeconfig, folder), cluster, ClusterReleases(cluster, SystemClock()), flowing)
    try:
        found.prepare()
        first = found.command.start(*UPGRADE)
        until(lambda: first.poll() is not None or found.releases.upgrade(MESH) is not None)
        second = found.command.run(*UPGRADE, check=1)
        assert first.wait() == 0
        assert f"process {first.pid}" in second.stderr
        yield found, found.end(), second.stderr
    finally:
        flowing.remove()
        found.command.run(*UNINSTALL)


def test_the_second_of_two_operators_is_told_who_is_at_work(
    ground: tuple[Ground, dict[str, Any], str],
) -> None:
    _, end, told = ground
    assert "mesh-locked" in told
    assert end["proxies"] == {"1.32.0": SHAPE.sidecars}


def test_killed_after_every_recorded_event_in_turn_it_ends_as_undisturbed(
    ground: tuple[Ground, dict[str, Any], str], figure: Callable[[str], None]
) -> None:
    found, end, _ = ground
    found.prepare()
    seen: set[State] = {found.state()}
    began, kills = time.monotonic(), 0
    while (code := found.killed_after_change(seen)) is None:
        kills += 1
        assert kills < MOST, "it does not come to its end"
    seconds = time.monotonic() - began
    figure(f"an upgrade killed {kills} times, after every recorded event, ended in {seconds:.0f} s")
    assert code == 0
    assert kills > 5, "it was hardly ever killed"
    assert found.end() == end


def test_killed_after_each_recorded_event_from_scratch_it_ends_as_undisturbed(
    ground: tuple[Ground, dict[str, Any], str], pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("the matrix from scratch: --long runs it")
    found, end, _ = ground
    seen: set[State] = set()
    for _ in range(MOST):
        found.prepare()
        seen.add(found.state())
        code = found.killed_after_change(seen)
        if code is None:
            found.command.run(*UPGRADE)
        assert found.end() == end, f"killed at {max(seen, key=str)}"
        if code is not None:
            return
    raise AssertionError(f"more than {MOST} recorded events")


def test_killed_in_the_middle_of_a_batch_an_abort_takes_all_back(
    ground: tuple[Ground, dict[str, Any], str], pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("--long runs it; a unit test takes upgrades back that were killed anywhere")
    found, _, _ = ground
    found.prepare()
    before = found.end()
    process = found.command.start(*UPGRADE)
    until(lambda: process.poll() is not None or found.is_moving())
    process.kill()
    assert process.wait() < 0, "it had ended already"
    upgrade = found.releases.upgrade(MESH)
    assert upgrade is not None
    assert upgrade.passed == 0
    found.command.run("upgrade", "abort", "--yes")
    assert found.releases.upgrade(MESH) is None
    assert _lasting(found.end()) == _lasting(before)


def _lasting(found: dict[str, Any]) -> dict[str, Any]:
    """Without the records of what was done, and the definitions, which stay those of the newest Istio."""
    return {
        name: content
        for name, content in found.items()
        if not name.startswith(("CustomResourceDefinition ", "Secret kube-system/meshctl"))
    }
