"""A real cluster for the tests: the one that MESHCTL_TEST_KUBECONFIG names, or a sandbox of our own.

The sandbox is full where this machine and user allow it, else light. `MESHCTL_TEST_LIGHT=1` asks for a
light one where a full one is possible too. A test that needs what only a full sandbox has says so, as
`@pytest.mark.full("pods that answer")`, and is skipped in light mode; all others run in both.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.model.objects import Object, Ref
from meshctl.sandbox import Settings, down, preflight, status, up

SANDBOX = "-".join(filter(None, ("test", os.environ.get("PYTEST_XDIST_WORKER"))))
"""Each process of a run has a sandbox of its own."""

GOING = 120.0
"""Seconds until a namespace has to be gone, of which Kubernetes takes 5 for an empty one."""


def why_light() -> str:
    """Why the sandbox of these tests is a light one; empty when it is full, or the cluster is given."""
    if os.environ.get("MESHCTL_TEST_KUBECONFIG"):
        return ""
    if os.environ.get("MESHCTL_TEST_LIGHT"):
        return "as MESHCTL_TEST_LIGHT asks"
    return preflight.why_not_full()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a full sandbox where there is none."""
    needy = [(item, mark.args[0]) for item in items if (mark := item.get_closest_marker("full"))]
    if needy and (reason := why_light()):
        for item, need in needy:
            item.add_marker(pytest.mark.skip(f"needs {need}: the sandbox is in light mode ({reason})"))


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """A kubeconfig whose current context is a cluster that tests may change."""
    if given := os.environ.get("MESHCTL_TEST_KUBECONFIG"):
        yield given
        return
    for _ in up(Settings(name=SANDBOX, light=True if why_light() else None)):
        pass
    try:
        yield str(status(SANDBOX).kubeconfig)
    finally:
        for _ in down(SANDBOX):
            pass


@pytest.fixture(scope="session")
def cluster(kubeconfig: str) -> Iterator[KubeCluster]:
    found = connect(kubeconfig)
    yield found
    found.close()


@dataclass(frozen=True)
class Pair:
    """Two clusters, `west` and `east`.

    Attributes:
        kubeconfig: a file with both contexts.
        contexts: in it, by name of the cluster.
        doors: the way to each.
    """

    kubeconfig: str
    contexts: Mapping[str, str]
    doors: Mapping[str, KubeCluster]


@pytest.fixture(scope="module")
def clusters() -> Iterator[Pair]:
    """Two clusters that tests may change: a light sandbox, named by MESHCTL_TEST_PAIR or our own."""
    given = os.environ.get("MESHCTL_TEST_PAIR", "")
    name = given or f"{SANDBOX}-pair"
    if not given:
        for _ in up(Settings(name=name, clusters=2, light=True)):
            pass
    found = status(name)
    contexts = dict(zip(("west", "east"), (each.context for each in found.clusters), strict=True))
    doors = {short: connect(found.kubeconfig, each, name=short) for short, each in contexts.items()}
    try:
        yield Pair(str(found.kubeconfig), contexts, doors)
    finally:
        for door in doors.values():
            door.close()
        if not given:
            for _ in down(name):
                pass


@pytest.fixture(scope="module")
def going(cluster: KubeCluster) -> Iterator[list[Ref]]:
    """Namespaces that a module's tests are done with: they are gone before another looks at what is there."""
    refs: list[Ref] = []
    yield refs
    deadline = time.monotonic() + GOING
    while (left := [ref for ref in refs if cluster.get(ref)]) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []


@pytest.fixture
def namespace(cluster: KubeCluster, going: list[Ref]) -> Iterator[str]:
    """A namespace that goes with the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    ref = Ref("v1", "Namespace", "", name)
    cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    yield name
    cluster.delete(ref)
    going.append(ref)


@pytest.fixture
def other(
    cluster: KubeCluster, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Ref, Mapping[str, Any]], Object]:
    """Changes an object as field manager `somebody`."""

    def change(ref: Ref, patch: Mapping[str, Any]) -> Object:
        with monkeypatch.context() as patched:
            patched.setattr("meshctl.adapters.kube.MANAGER", "somebody")
            done = cluster.patch(ref, patch)
        assert done is not None
        return done

    return change
