"""Through an API server that fails requests at random, every command ends right, or stops and goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from tests.cluster.command import Command, snapshot
from tests.cluster.faults import Dice, faulty

pytestmark = pytest.mark.cluster

SEEDS = tuple(range(1, 31))
SLICE = 1
"""Of the seeds, as many are tried in every run; `--long` tries all."""
TRIES = 8
"""Runs until one ends right; each but the last may stop part-way, with exit 4."""

INSTALL = ("install", "--yes", "--profile", "minimal", "--istio-version", "1.31")
UPGRADES = (
    ("upgrade", "--yes", "--to", "1.32"),
    ("upgrade", "--yes", "--to", "1.32", "--strategy", "canary"),
)
"""The even seeds' upgrade, and that of the odd ones."""
UNINSTALL = ("uninstall", "--purge", "--yes")

IMPATIENT = """
from meshctl.adapters import kube_http
kube_http._PATIENCE = 3.0
from meshctl.cli import main
main()
"""
"""The command, giving up on an API server sooner than it does."""
AWAY = {"upgrade": (UPGRADES[1], 20), "install": (INSTALL, 20), "uninstall": (UNINSTALL, 10)}
"""Commands, and the writes after which nothing answers any more; every run tries the first, `--long` all."""

Snapshot = dict[str, Any]


class Undisturbed:
    """What undisturbed commands end in."""

    def __init__(self, command: Command, cluster: KubeCluster) -> None:
        self.command = command
        self._cluster = cluster
        command.run(*UNINSTALL, check=None)
        self.bare = snapshot(cluster)
        self._upgraded: dict[tuple[str, ...], Snapshot] = {}

    def upgraded(self, words: tuple[str, ...]) -> Snapshot:
        """The cluster after an install and this upgrade."""
        if words not in self._upgraded:
            self.command.run(*INSTALL)
            self.command.run(*words)
            settled(self.command)
            self._upgraded[words] = snapshot(self._cluster)
            self.command.run(*UNINSTALL)
        return self._upgraded[words]


@pytest.fixture(scope="module")
def undisturbed(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Undisturbed]:
    command = Command(kubeconfig, tmp_path_factory.mktemp("faults"))
    yield Undisturbed(command, cluster)
    command.run(*UNINSTALL)


def settled(command: Command) -> None:
    """Istio's controllers have made what they make: the check of the mesh says so."""
    command.run("check", "--wait", "60s")
    time.sleep(2)


def rate(seed: int) -> float:
    """Share of requests that something happens to: from 6% to 35%."""
    return 0.05 + 0.01 * seed


def ended(command: Command, *words: str) -> int:
    """Run until it ends right; how often it stopped part-way on the way there."""
    for stopped in range(TRIES):
        done = command.run(*words, check=None)
        assert done.returncode in (0, 4), f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        if done.returncode == 0:
            return stopped
    raise AssertionError(f"{words} stopped {TRIES} times")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_long = metafunc.config.getoption("--long")
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS if is_long else SEEDS[:SLICE])
    if "away" in metafunc.fixturenames:
        metafunc.parametrize("away", list(AWAY) if is_long else list(AWAY)[:1])


def test_install_upgrade_and_uninstall_come_right_whatever_the_api_server_does(
    undisturbed: Undisturbed,
    cluster: KubeCluster,
    tmp_path: Path,
    seed: int,
    figure: Callable[[str], None],
) -> None:
    command, upgrade = undisturbed.command, UPGRADES[seed % 2]
    upgraded = undisturbed.upgraded(upgrade)
    dice = Dice(seed, rate(seed))
    with faulty(command.kubeconfig, tmp_path, dice) as api:
        disturbed = Command(api.kubeconfig, tmp_path)
        stopped = ended(disturbed, *INSTALL) + ended(disturbed, *upgrade)
        settled(command)
        assert snapshot(cluster) == upgraded
        stopped += ended(disturbed, *UNINSTALL)
        assert snapshot(cluster) == undisturbed.bare
    requests, faults = sum(api.asked.values()), sum(dice.drawn.values())
    assert faults, "nothing was disturbed"
    figure(f"{faults} faults in {requests} requests, stopped part-way {stopped} times")


def test_an_api_server_that_goes_away_for_good_stops_it_and_the_same_command_ends_it_later(
    undisturbed: Undisturbed,
    cluster: KubeCluster,
    tmp_path: Path,
    away: str,
) -> None:
    command = undisturbed.command
    words, writes = AWAY[away]
    upgraded = undisturbed.upgraded(words) if words in UPGRADES else {}
    if words is not INSTALL:
        command.run(*INSTALL)
    with faulty(command.kubeconfig, tmp_path, Dice(0, 0.0)) as api:
        api.leaves_after = writes
        disturbed = Command(api.kubeconfig, tmp_path)
        program = [sys.executable, "-c", IMPATIENT, *words]
        done = subprocess.run(program, env=disturbed.env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 4, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "run the same command again; it continues" in done.stderr
        api.come_back()
        disturbed.run(*words)
    if upgraded:
        settled(command)
        assert snapshot(cluster) == upgraded
    command.run(*UNINSTALL)
    assert snapshot(cluster) == undisturbed.bare
