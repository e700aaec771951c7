"""Killed with -9 at random moments, install and uninstall are ended by the same command run again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

SEED = 1899
ALL = 10
SLICE = 2
"""Of the moments, as many are tried in every run; `--long` tries all."""

INSTALL = ("install", "--yes", "--profile", "minimal")
UNINSTALL = ("uninstall", "--purge", "--yes")


def moments(salt: str) -> list[float]:
    """Shares of an undisturbed run's time, spread over all of it: one in each tenth."""
    chance = random.Random(f"{SEED} {salt}")
    return [(tenth + chance.random()) / ALL for tenth in chance.sample(range(ALL), ALL)]


@pytest.fixture(scope="module")
def undisturbed(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The command, what an undisturbed install and uninstall end in, and how long each takes."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("killed"))
    command.run(*UNINSTALL, check=None)
    bare = snapshot(cluster)
    began = time.monotonic()
    command.run(*INSTALL)
    installing = time.monotonic() - began
    settled(command)
    installed = snapshot(cluster)
    began = time.monotonic()
    command.run(*UNINSTALL)
    yield command, bare, installed, installing, time.monotonic() - began
    command.run(*UNINSTALL)


def settled(command: Command) -> None:
    """Istio's controllers have made what they make: the check of the mesh says so."""
    command.run("check", "--wait", "60s")
    time.sleep(2)


def chosen(config: pytest.Config, salt: str) -> list[float]:
    found = moments(salt)
    return found if config.getoption("--long") else found[:SLICE]


def kill_at(command: Command, words: tuple[str, ...], seconds: float) -> bool:
    """Start, and kill after `seconds`; whether it was still at work."""
    process = command.start(*words)
    time.sleep(seconds)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def test_a_killed_install_is_ended_by_the_same_command(
    undisturbed: Any, cluster: KubeCluster, pytestconfig: pytest.Config
) -> None:
    command, _, installed, seconds, _ = undisturbed
    cut = 0
    for share in chosen(pytestconfig, "install"):
        cut += kill_at(command, INSTALL, share * seconds)
        command.run(*INSTALL)
        settled(command)
        assert snapshot(cluster) == installed, f"killed at {share:.0%}"
        command.run(*UNINSTALL)
    assert cut, "no run was cut short"


def test_a_killed_uninstall_is_ended_by_the_same_command(
    undisturbed: Any, cluster: KubeCluster, pytestconfig: pytest.Config
) -> None:
    command, bare, _, _, seconds = undisturbed
    cut = 0
    for share in chosen(pytestconfig, "uninstall"):
        command.run(*INSTALL)
        cut += kill_at(command, UNINSTALL, share * seconds)
        command.run(*UNINSTALL)
        assert snapshot(cluster) == bare, f"killed at {share:.0%}"
    assert cut, "no run was cut short"
