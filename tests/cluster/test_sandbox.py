"""The sandbox itself: up, down, killed at any moment, and nothing left of it.

Needs root, network namespaces and control groups; each test uses a sandbox of its own name.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from meshctl.errors import ConflictError, FailedError
from meshctl.model.event import Unchanged
from meshctl.sandbox import Settings, Status, cgroups, controlplane, down, status, up
from meshctl.sandbox.network import NAMESPACES
from meshctl.sandbox.paths import state_root

pytestmark = [pytest.mark.cluster, pytest.mark.full("network namespaces and control groups")]

T = TypeVar("T")

NAME = "t-sandbox"
BRING_UP = f"from meshctl.sandbox import Settings, up; list(up(Settings(name={NAME!r}, hosts=1)))"
TAKE_DOWN = f"from meshctl.sandbox import down; list(down({NAME!r}))"


@dataclass(frozen=True)
class World:
    """Everything of this sandbox that a machine could be left with."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]


def look() -> World:
    """What there is of the sandbox now.

    Other sandboxes come and go on the same machine, so a thing counts when it bears this one's name.
    """
    links = [path for path in Path("/sys/class/net").iterdir() if NAME in (path / "ifalias").read_text()]
    names = [path.name for path in NAMESPACES.iterdir()] if NAMESPACES.is_dir() else []
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    groups = {str(path) for root in cgroups.hierarchies() for path in root.rglob(f"meshctl-{NAME}*")}
    files = [path for path in [*Path("/run").glob(f"*{NAME}*"), state_root() / NAME] if path.exists()]
    return World(
        processes=frozenset(_processes()),
        mounts=frozenset(line for line in mounts if NAME in line),
        namespaces=frozenset(name for name in names if name.startswith(f"{NAME}-")),
        links=frozenset(link.name for link in links),
        cgroups=frozenset(groups),
        files=frozenset(map(str, files)),
    )


def _processes() -> Iterator[str]:
    """Processes that name the sandbox or are in its groups, as those of its pods are."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_text().replace("\0", " ")
            groups = (folder / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if not line:
            continue  # it has ended, and its parent has not asked for it yet
        if int(folder.name) != os.getpid() and (f"/{NAME}/" in line or f"meshctl-{NAME}/" in groups):
            yield line


@pytest.fixture
def before() -> Iterator[World]:
    """The machine before the test; whatever the test did, the sandbox is taken down after it."""
    list(down(NAME))
    yield look()
    list(down(NAME))


def kubectl(found: Status, *argv: str) -> str:
    """The output of a kubectl command on the first cluster."""
    command = [found.kubectl, f"--kubeconfig={found.kubeconfig}", f"--context={NAME}-c1", *argv]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_up_gives_a_cluster_and_a_host_and_down_leaves_nothing(before: World) -> None:
    list(up(Settings(name=NAME, hosts=1)))
    found = status(NAME)
    assert found.state == "running"
    assert [(one.context, one.ready) for one in found.clusters] == [(f"{NAME}-c1", True)]
    assert all(one.alive for one in found.clusters[0].components)
    assert [one.state for one in found.hosts] == ["running"]
    assert json.dumps(found.to_json())
    assert Path(found.kubeconfig).stat().st_mode & 0o777 == 0o600
    list(up(Settings(name=NAME, hosts=1)))
    during = look()
    assert during.processes and during.namespaces and during.links and during.cgroups
    list(down(NAME))
    assert look() == before
    assert status(NAME).state == "absent"


def test_pods_services_and_load_balancers_work_and_go_with_the_sandbox(before: World) -> None:
    list(up(Settings(name=NAME)))
    found = status(NAME)
    kubectl(found, "create", "deployment", "echo", "--image=sandbox.meshctl.dev/app:1", "--replicas=2")
    kubectl(found, "expose", "deployment", "echo", "--type=LoadBalancer", "--port=80", "--target-port=8080")
    kubectl(found, "rollout", "status", "deployment/echo", "--timeout=90s")
    address = eventually(
        lambda: kubectl(
            found, "get", "service", "echo", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"
        )
    )
    ask = ["curl", "--silent", "--fail", "--max-time", "5"]
    in_pod = ["exec", "deployment/echo", "--", *ask]
    assert '"path": "/by-name"' in eventually(lambda: kubectl(found, *in_pod, "http://echo/by-name"))
    outside = subprocess.run([*ask, f"http://{address}/outside"], check=True, capture_output=True, text=True)
    assert '"path": "/outside"' in outside.stdout
    list(down(NAME))
    assert look() == before


def test_a_second_up_changes_nothing_and_another_shape_is_refused(before: World) -> None:
    list(up(Settings(name=NAME)))
    earlier = status(NAME)
    assert [type(event) for event in up(Settings(name=NAME))] == [Unchanged]
    assert status(NAME) == earlier
    with pytest.raises(ConflictError):
        list(up(Settings(name=NAME, clusters=2)))
    assert status(NAME) == earlier


def test_a_process_that_ended_is_seen_and_up_repairs_it(before: World) -> None:
    list(up(Settings(name=NAME)))
    server = next(one for one in status(NAME).clusters[0].components if one.name == "kube-apiserver")
    os.kill(server.pid, signal.SIGKILL)
    broken = eventually(lambda: (found := status(NAME)).state == "broken" and found)
    assert not broken.clusters[0].ready
    assert broken.clusters[0].cause
    list(up(Settings(name=NAME)))
    assert status(NAME).clusters[0].ready


def test_writes_are_in_the_audit_log_with_who_wrote(before: World) -> None:
    list(up(Settings(name=NAME)))
    found = status(NAME)
    kubectl(found, "create", "namespace", "audited")
    lines = (state_root() / NAME / "c1" / "audit.log").read_text().splitlines()
    writes = [
        (event["user"]["username"], event["objectRef"]["name"])
        for event in map(json.loads, lines)
        if event["verb"] == "create" and event["objectRef"]["resource"] == "namespaces"
    ]
    assert ("meshctl-sandbox-admin", "audited") in writes


def test_a_component_that_does_not_come_up_is_an_error_with_its_last_words_and_nothing_stays(
    before: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = controlplane.api_server_command
    monkeypatch.setattr(controlplane, "api_server_command", lambda plane: [*command(plane), "--no-such-flag"])
    with pytest.raises(FailedError) as failed:
        list(up(Settings(name=NAME, hosts=1)))
    assert "kube-apiserver" in failed.value.message
    assert any("no-such-flag" in line for line in failed.value.details)
    assert list(Path(failed.value.hint.rsplit(" ", 1)[1]).glob("c1/kube-apiserver.log"))
    assert look() == before


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.originalname == "test_after_a_kill_at_any_moment_up_works_and_down_leaves_nothing":
        count = 6 if metafunc.config.getoption("--long") else 2
        moments = [round(random.Random(seed).uniform(0.1, 4.5), 2) for seed in range(count)]
        metafunc.parametrize("moment", moments)


def test_after_a_kill_at_any_moment_up_works_and_down_leaves_nothing(before: World, moment: float) -> None:
    killed_after(moment, BRING_UP)
    list(up(Settings(name=NAME, hosts=1)))
    assert status(NAME).clusters[0].ready
    killed_after(moment / 15, TAKE_DOWN)
    list(down(NAME))
    assert look() == before


@pytest.mark.parametrize("moment", [0.3, 1.2, 2.4])
def test_after_a_kill_down_alone_leaves_nothing(before: World, moment: float) -> None:
    killed_after(moment, BRING_UP)
    list(down(NAME))
    assert look() == before


def killed_after(seconds: float, code: str) -> None:
    """Run `code` in a process of its own and kill it where it stands."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", code], **silent)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def eventually(ask: Callable[[], T], seconds: float = 30) -> T:
    """The first answer that is not empty; errors of kubectl and curl count as none."""
    end = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except subprocess.CalledProcessError:
            pass
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)
