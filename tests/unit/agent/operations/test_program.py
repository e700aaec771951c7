"""The whole agent, without istiod and with a stand-in for Envoy: it runs, says how it is, obeys, and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ENVOY = """#!/bin/sh
exec sleep 1000
"""
CLUSTER = """POD_NAMESPACE='shop'
SERVICE_ACCOUNT='cart'
ISTIO_SERVICE='cart.shop'
CA_ADDR='127.0.0.1:1'
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's file system, with settings of an istiod that is not there."""
    for folder in ("etc/meshctl-agent", "var/lib/meshctl-agent", "run/meshctl-agent"):
        (tmp_path / folder).mkdir(parents=True)
    envoy = tmp_path / "envoy"
    envoy.write_text(ENVOY)
    envoy.chmod(0o755)
    (tmp_path / "etc/meshctl-agent/cluster.env").write_text(CLUSTER)
    settle(tmp_path, {"log": {"level": "debug"}})
    return tmp_path


def settle(root: Path, agent: dict[str, object]) -> None:
    """Write proxy.json; every run has a port of its own."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    own = {"envoy": {"path": str(root / "envoy"), "termination": 0.1}, "server": {"port": port}}
    said = {"proxyConfig": {"discoveryAddress": "127.0.0.1:1"}, "agent": {**own, **agent}}
    (root / "etc/meshctl-agent/proxy.json").write_text(json.dumps(said, indent=1))


def command(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "meshctl.agent", *words]
    return subprocess.run(argv, env=environment(root), capture_output=True, text=True, timeout=60)


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "MESHCTL_AGENT_ROOT": str(root)}


class Running:
    """An agent that runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        with self.log.open("w") as log:
            argv = [sys.executable, "-m", "meshctl.agent", "run"]
            self.process = subprocess.Popen(argv, env=environment(root), stderr=log, stdout=log)

    def until_said(self, text: str) -> None:
        end = time.monotonic() + 60
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"no {text!r} in {self.log.read_text()}"
            time.sleep(0.05)

    def children(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()


@pytest.fixture
def agent(root: Path) -> Iterator[Running]:
    found = Running(root)
    try:
        found.until_said("there is no new certificate")
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def test_without_istiod_it_runs_says_why_it_is_not_ready_and_goes_on(agent: Running) -> None:
    done = command(agent.root, "status")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("not ready: Envoy does not answer")
    assert "certificate  none yet; " in done.stdout
    found = json.loads(command(agent.root, "status", "-o", "json").stdout)
    assert found["workload"]["namespace"] == "shop"
    assert {part["name"] for part in found["parts"]} >= {"identity", "sds", "ads", "dns", "envoy", "health"}
    assert [part for part in found["parts"] if part["failures"]] == []
    assert agent.process.poll() is None


def test_told_to_end_it_ends_and_takes_envoy_with_it(agent: Running) -> None:
    agent.until_said("not ready")
    children = agent.children()
    assert children
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(30) == 0, agent.log.read_text()
    assert [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()] == []
    assert "Traceback" not in agent.log.read_text()


def test_killed_it_takes_envoy_with_it_and_starts_again_over_what_it_left(agent: Running) -> None:
    agent.until_said("does not answer")
    children = agent.children()
    agent.process.kill()
    agent.process.wait()
    end = time.monotonic() + 20
    while [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()] and time.monotonic() < end:
        time.sleep(0.05)
    assert [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()] == []
    again = Running(agent.root)
    try:
        again.until_said("there is no new certificate")
        assert command(agent.root, "status").returncode == 3
    finally:
        again.process.kill()
        again.process.wait()


def test_levels_of_the_log_change_by_an_order_and_what_is_wrong_is_refused(agent: Running) -> None:
    done = command(agent.root, "log-level", "warning", "ads=debug")
    assert (done.returncode, done.stdout) == (0, "the agent logs from warning on, ads logs from debug on\n")
    refused = command(agent.root, "log-level", "loud")
    assert refused.returncode == 1
    assert "there is no log level 'loud'; use one of debug, info, warning, error" in refused.stderr


def test_told_to_reload_it_takes_what_it_can_and_names_what_has_to_wait(agent: Running) -> None:
    settle(agent.root, {"log": {"level": "info"}, "identity": {"ratio": 0.4}})
    agent.process.send_signal(signal.SIGHUP)
    agent.until_said("restart the service for changed settings of identity")
    (agent.root / "etc/meshctl-agent/proxy.json").write_text("{")
    agent.process.send_signal(signal.SIGHUP)
    agent.until_said("settings stay as they are: ")
    assert agent.process.poll() is None


def test_settings_that_are_wrong_end_it_with_their_place_and_the_code_that_systemd_does_not_retry(
    root: Path,
) -> None:
    settle(root, {"dns": {"prot": 53}, "log": {"level": "loud"}})
    done = command(root, "run")
    assert done.returncode == 2
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert len(said) == 2
    assert all("proxy.json:" in line["where"] for line in said)
    assert "did you mean" in done.stderr


def test_an_envoy_that_is_not_there_is_told_at_once(root: Path) -> None:
    (root / "envoy").unlink()
    done = command(root, "run")
    assert done.returncode == 2
    assert "there is no program" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_envoy_that_this_host_cannot_run_is_told_and_not_tried_for_ever(root: Path) -> None:
    (root / "envoy").write_bytes(b"\x7fELF of another architecture")
    done = command(root, "run")
    assert done.returncode == 2
    assert "Exec format error" in done.stderr
    assert "Traceback" not in done.stderr
