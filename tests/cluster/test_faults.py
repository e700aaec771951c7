"""Through an API server that fails requests at random, every command ends right, or stops and goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from tests.cluster.command import Command, snapshot
from tests.cluster.faults import Dice, faulty

pytestmark = pytest.mark.cluster

SEEDS = tuple(range(1, 31))
SLICE = 2
"""Of the seeds, as many are tried in every run; `--long` tries all."""
TRIES = 8
"""Runs until one ends right; each but the last may stop part-way, with exit 4."""

INSTALL = ("install", "--yes", "--profile", "minimal")
UNINSTALL = ("uninstall", "--purge", "--yes")


@pytest.fixture(scope="module")
def undisturbed(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The command, and what an undisturbed uninstall and install end in."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("faults"))
    command.run(*UNINSTALL, check=None)
    bare = snapshot(cluster)
    command.run(*INSTALL)
    settled(command)
    installed = snapshot(cluster)
    command.run(*UNINSTALL)
    yield command, bare, installed
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
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS if metafunc.config.getoption("--long") else SEEDS[:SLICE])


def test_an_install_and_an_uninstall_come_right_whatever_the_api_server_does(
    undisturbed: Any, cluster: KubeCluster, tmp_path: Path, seed: int
) -> None:
    command, bare, installed = undisturbed
    dice = Dice(seed, rate(seed))
    with faulty(command.kubeconfig, tmp_path, dice) as api:
        disturbed = Command(api.kubeconfig, tmp_path)
        ended(disturbed, *INSTALL)
        settled(command)
        assert snapshot(cluster) == installed
        ended(disturbed, *UNINSTALL)
        assert snapshot(cluster) == bare
    assert dice.drawn, "nothing was disturbed"
