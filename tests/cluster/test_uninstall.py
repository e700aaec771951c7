"""Uninstall in the situations that people fear: a lost record, another installer, things that are stuck,
proxies that would be left alone, and one control plane of several.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.record import NAMESPACE
from meshctl.adapters.release_codec import FORM
from meshctl.model.labels import INJECTED
from meshctl.model.objects import Object, Ref
from meshctl.sandbox import status
from meshctl.sandbox.versions import APP_IMAGE
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

PURGE = ("uninstall", "--purge", "--yes")
MINIMAL = ("install", "--yes", "--profile", "minimal")
HOME = Ref("v1", "Namespace", "", "istio-system")
APP = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, on a cluster without a mesh; whatever a test leaves is removed."""
    command = Command(kubeconfig, tmp_path)
    command.run(*PURGE, "--force", check=None)
    yield command
    command.run(*PURGE, "--force")


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
    records = cluster.list("v1", "Secret", namespace=NAMESPACE, fields=f"type={FORM.type}")
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


def test_of_two_control_planes_with_tags_one_goes_and_then_the_other_and_nothing_is_left(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    meshctl.run(*MINIMAL)
    first = snapshot(cluster)
    meshctl.run(*MINIMAL, "--revision", "canary")
    meshctl.run("tag", "set", "prod", "--revision", "default", "--yes")
    meshctl.run("tag", "set", "try", "--revision", "canary", "--yes")

    refused = meshctl.run("uninstall", "--revision", "canary", "--yes", check=1)
    assert "tags-lead-here" in refused.stderr
    assert "tag try: used by none" in refused.stderr
    meshctl.run("tag", "remove", "try", "--yes")
    removed = meshctl.run("uninstall", "--revision", "canary", "--yes")
    assert removed.stdout.strip() == "nothing of revision canary is left"
    meshctl.run("tag", "remove", "prod", "--yes")
    assert snapshot(cluster).keys() == first.keys() | {f"Secret {NAMESPACE}/meshctl.mesh.v2"}
    assert [each["status"] for each in meshctl.json("history")] == ["deployed", "superseded"]

    meshctl.run("tag", "set", "prod", "--revision", "default", "--yes")
    report = json.loads(meshctl.run(*PURGE, "-o", "json").stdout.splitlines()[-1])
    assert (report["left"], report["clean"], report["refused"]) == ([], True, [])
    assert snapshot(cluster) == before


def test_a_namespace_that_was_there_before_is_left_as_it_was(meshctl: Command, cluster: KubeCluster) -> None:
    cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME.name}}))
    try:
        before = snapshot(cluster)
        meshctl.run(*MINIMAL, "--set", "global.network=west")
        meshctl.run(*PURGE)
        assert snapshot(cluster) == before
    finally:
        cluster.delete(HOME)


def workload(namespace: str) -> Object:
    containers = [APP]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": "web", "namespace": namespace}
    return Object({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})


def bare(namespace: str) -> Object:
    meta = {"name": "bare", "namespace": namespace}
    spec = {"containers": [APP]}
    return Object({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def awaited(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what() and time.monotonic() < deadline:
        time.sleep(0.3)
    assert what()


def test_sidecars_are_taken_out_of_running_workloads_before_the_control_plane_goes(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    meshctl.run(*MINIMAL)
    home = Ref("v1", "Namespace", "", namespace)
    assert cluster.patch(home, {"metadata": {"labels": {"istio-injection": "enabled"}}})
    web = cluster.create(workload(namespace)).ref
    single = cluster.create(bare(namespace)).ref

    def ready() -> bool:
        there = cluster.get(web)
        return there is not None and there.at("status.readyReplicas") == 2

    def proxies() -> int:
        return len(cluster.list("v1", "Pod", namespace=namespace, labels=INJECTED))

    awaited(lambda: ready() and proxies() == 3)
    refused = meshctl.run("uninstall", "--yes", check=1)
    assert "proxies-attached" in refused.stderr
    assert "3 proxies" in refused.stderr
    stopped = meshctl.run("uninstall", "--uninject", "--yes", check=1)
    assert f"{single.place}: nothing would put another pod in its place" in stopped.stderr
    assert (cluster.get(web), proxies()) != (None, 0)

    cluster.delete(single, grace=0)
    awaited(lambda: cluster.get(single) is None)
    meshctl.run("uninstall", "--uninject", "--yes")
    assert ready()
    assert proxies() == 0
    assert cluster.get(Ref("apps/v1", "Deployment", HOME.name, "istiod")) is None
    there = cluster.get(home)
    assert there is not None
    assert there.labels["istio-injection"] == "enabled"
