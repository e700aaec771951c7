"""A real cluster for the tests: the one that MESHCTL_TEST_KUBECONFIG names, or a sandbox of our own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.model.objects import Object, Ref

SANDBOX = "test"


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """A kubeconfig whose current context is a cluster that tests may change."""
    if given := os.environ.get("MESHCTL_TEST_KUBECONFIG"):
        yield given
        return
    from meshctl.sandbox import Settings, down, status, up

    for _ in up(Settings(name=SANDBOX)):
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


@pytest.fixture
def namespace(cluster: KubeCluster) -> Iterator[str]:
    """A namespace that goes with the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    ref = Ref("v1", "Namespace", "", name)
    cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    yield name
    cluster.delete(ref)


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
