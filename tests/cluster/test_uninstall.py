"""Uninstall in the situations that people fear: a lost record, another installer, things that are stuck."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.releases import NAMESPACE, TYPE
from meshctl.model.objects import Object, Ref
from meshctl.sandbox import status
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

PURGE = ("uninstall", "--purge", "--yes")
MINIMAL = ("install", "--yes", "--profile", "minimal")
HOME = Ref("v1", "Namespace", "", "istio-system")


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, on a cluster without a mesh; whatever a test leaves is removed."""
    command = Command(kubeconfig, tmp_path)
    command.run(*PURGE, check=None)
    yield command
    command.run(*PURGE)


@pytest.fixture
def config(cluster: KubeCluster) -> Iterator[Object]:
    """A user's ConfigMap in the mesh's namespace; it goes after the test."""
    mine = Object(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": HOME.name}}
    )
    yield mine
    cluster.delete(mine.ref)


@pytest.fixture
def unanswered(cluster: KubeCluster) -> Iterator[Object]:
    """An API of which nobody answers: while it is there, no namespace can be emptied."""
    spec = {
        "group": "gone.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "gone"},
    }
    service = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    api = Object({**service, "metadata": {"name": "v1.gone.example.com"}, "spec": spec})
    yield api
    cluster.delete(api.ref)


def authentication(**meta: object) -> Object:
    kind = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
    return Object({**kind, "metadata": {"name": "held", "namespace": "default", **meta}, "spec": {}})


def test_a_mesh_whose_record_is_lost_is_removed_all_the_same(meshctl: Command, cluster: KubeCluster) -> None:
    before = snapshot(cluster)
    meshctl.run(*MINIMAL)
    records = cluster.list("v1", "Secret", namespace=NAMESPACE, fields=f"type={TYPE}")
    assert records
    for each in records:
        cluster.delete(each.ref)
    meshctl.run(*PURGE)
    assert snapshot(cluster) == before


def test_a_mesh_that_istioctl_installed_is_removed_to_the_last_object(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    istioctl = status(Path(meshctl.kubeconfig).parent.name).istioctl
    words = ["install", "-y", "--set", "profile=minimal", "--readiness-timeout", "1s"]
    subprocess.run([istioctl, "--kubeconfig", meshctl.kubeconfig, *words], capture_output=True, check=False)
    assert cluster.get(Ref("apps/v1", "Deployment", HOME.name, "istiod")) is not None
    meshctl.run(*PURGE)
    assert snapshot(cluster) == before


def test_what_others_made_in_the_namespace_stays_with_it_and_is_named(
    meshctl: Command, cluster: KubeCluster, config: Object
) -> None:
    meshctl.run(*MINIMAL)
    cluster.create(config)
    done = meshctl.run(*PURGE)
    assert cluster.get(config.ref) is not None
    assert "ConfigMap istio-system/mine" in done.stdout
    assert cluster.get(Ref("apps/v1", "Deployment", HOME.name, "istiod")) is None

    cluster.delete(config.ref)
    assert cluster.delete(HOME)


def test_a_resource_that_a_finalizer_holds_is_named_and_goes_with_consent(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    meshctl.run(*MINIMAL)
    held = cluster.create(authentication(finalizers=["example.com/wait"]))
    stuck = meshctl.run(*PURGE, "--timeout", "5s", check=1)
    assert "PeerAuthentication default/held" in stuck.stderr
    assert "example.com/wait" in stuck.stderr
    assert cluster.get(held.ref) is not None
    meshctl.run(*PURGE, "--strip-finalizers")
    assert snapshot(cluster) == before


def test_a_namespace_that_cannot_be_emptied_is_told_with_the_cause(
    meshctl: Command, cluster: KubeCluster, unanswered: Object
) -> None:
    before = snapshot(cluster)
    meshctl.run(*MINIMAL)
    cluster.create(unanswered)
    stuck = meshctl.run(*PURGE, "--timeout", "20s", check=1)
    assert "gone.example.com" in stuck.stderr
    cluster.delete(unanswered.ref)
    meshctl.run(*PURGE)
    assert snapshot(cluster) == before
