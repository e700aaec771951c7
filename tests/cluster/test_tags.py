"""Revision tags over two real control planes, and clusters that webhooks without an istiod have stopped."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from meshctl.adapters.kube import KubeCluster
from meshctl.errors import FailedError
from meshctl.model.labels import COMPONENT, MESH
from meshctl.model.objects import Object, Ref
from tests import upstream
from tests.cluster.command import Command

pytestmark = pytest.mark.cluster

HOME = Ref("v1", "Namespace", "", "istio-system")
PURGE = ("uninstall", "--purge", "--force", "--yes")
ADMISSION = "admissionregistration.k8s.io/v1"
FOREIGN = Ref(ADMISSION, "ValidatingWebhookConfiguration", "", "of-somebody-else")
# What istioctl's copies carry besides, or lack: whose object it is, and labels of a build without a version.
_OWN_LABELS = {
    MESH,
    COMPONENT,
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "install.operator.istio.io/owning-resource",
    "operator.istio.io/component",
}


def install(meshctl: Command, *words: str) -> None:
    meshctl.run("install", "--yes", "--profile", "minimal", *words)


@pytest.fixture(scope="module")
def meshctl(
    kubeconfig: str, tmp_path_factory: pytest.TempPathFactory, cluster: KubeCluster
) -> Iterator[Command]:
    """The command, on a cluster with the control planes `default` and `b`, for all tests in their order.

    Each leaves the mesh to the next one as it is; the last ones break it.
    """
    command = Command(kubeconfig, tmp_path_factory.mktemp("tags"))
    command.run(*PURGE, check=None)
    install(command)
    install(command, "--revision", "b")
    yield command
    cluster.delete(FOREIGN)
    command.run("check", "--rescue", "--yes", check=None)
    command.run(*PURGE)


def tags(meshctl: Command) -> dict[str, tuple[str, str]]:
    return {each["tag"]: (each["revision"], each["by"]) for each in meshctl.json("tag", "list")}


def label(cluster: KubeCluster, namespace: str, **labels: str | None) -> None:
    names = {"rev": "istio.io/rev", "injection": "istio-injection"}
    patch = {"metadata": {"labels": {names[key]: value for key, value in labels.items()}}}
    assert cluster.patch(Ref("v1", "Namespace", "", namespace), patch)


def pod(namespace: str) -> Object:
    meta = {"name": "tried", "namespace": namespace}
    spec = {"containers": [{"name": "app", "image": "app.invalid/app"}]}
    return Object({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def injected_by(cluster: KubeCluster, namespace: str) -> str:
    """The revision whose injector gives a pod of this namespace its proxy; empty when none does."""
    made = cluster.create(pod(namespace), dry_run=True)
    told = json.loads(made.annotations.get("sidecar.istio.io/status", "{}"))
    return str(told.get("revision", ""))


def awaited(cluster: KubeCluster, namespace: str, revision: str) -> None:
    """An API server hears of changed webhooks a moment after they are kept."""
    deadline = time.monotonic() + 10
    while (found := injected_by(cluster, namespace)) != revision and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == revision


def test_a_tag_is_set_moved_refused_and_removed(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    label(cluster, namespace, rev="stable")
    turn = meshctl.json("tag", "set", "stable", "-r", "b", "--dry-run")
    assert turn["moved"] == [{"namespace": namespace, "workload": None, "from": None, "to": "b"}]
    assert "stable" not in tags(meshctl)

    meshctl.run("tag", "set", "stable", "--revision", "b", "--yes")
    assert tags(meshctl)["stable"] == ("b", "meshctl")
    awaited(cluster, namespace, "b")

    refused = meshctl.run("tag", "set", "stable", "--revision", "default", check=1)
    assert "tag-exists" in refused.stderr
    meshctl.run("tag", "set", "stable", "--revision", "default", "--overwrite", "--yes")
    awaited(cluster, namespace, "default")
    assert "tag 'stable' is as asked" in meshctl.run("tag", "set", "stable", "-r", "default").stdout

    refused = meshctl.run("tag", "remove", "stable", check=1)
    assert namespace in refused.stderr
    label(cluster, namespace, rev=None)
    meshctl.run("tag", "remove", "stable", "--yes")
    assert "stable" not in tags(meshctl)


def test_the_default_moves_with_its_validator_and_no_install_moves_it_back(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    label(cluster, namespace, injection="enabled")
    assert injected_by(cluster, namespace) == "default"
    meshctl.run("tag", "set", "default", "--revision", "b", "--overwrite", "--yes")
    awaited(cluster, namespace, "b")
    assert "injects b, validates b" in meshctl.run("status").stdout
    for words in ((), ("--revision", "b")):
        assert meshctl.json("plan", "--profile", "minimal", *words)["empty"]
    meshctl.run("tag", "set", "default", "--revision", "default", "--overwrite", "--yes")
    awaited(cluster, namespace, "default")


def test_tags_equal_those_of_istioctl(meshctl: Command, cluster: KubeCluster) -> None:
    env = dict(meshctl.env)
    istioctl = [str(upstream.istioctl()), "tag"]
    for revision in ("default", "b"):
        meshctl.run("tag", "set", "mine", "--revision", revision, "--overwrite", "--yes")
        words = [*istioctl, "generate", "mine", "--revision", revision, "--overwrite"]
        text = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
        theirs = [Object(each) for each in yaml.safe_load_all(text) if each]
        assert len(theirs) == 2
        for each in theirs:
            assert _leaves(each) <= _leaves(_live(cluster, each.ref)), each.ref
    subprocess.run([*istioctl, "set", "theirs", "-r", "b"], env=env, check=True, capture_output=True)
    assert tags(meshctl)["theirs"] == ("b", "istioctl")
    for name in ("mine", "theirs"):
        meshctl.run("tag", "remove", name, "--yes")
    assert list(tags(meshctl)) == ["default"]


def _live(cluster: KubeCluster, ref: Ref) -> Object:
    found = cluster.get(ref)
    assert found is not None, ref
    return found


def _leaves(obj: Object) -> set[str]:
    """What an object says, leaf by leaf, without what each tool says of itself."""
    labels = {key: value for key, value in obj.labels.items() if key not in _OWN_LABELS}
    hooks = [_named(each) for each in obj.at("webhooks", ())]
    ports = [{key: each[key] for key in ("name", "port", "protocol")} for each in obj.at("spec.ports", ())]
    selector = dict(obj.at("spec.selector", {}))
    if selector.get("istio.io/rev") == "default":  # the unnamed one, which its other labels tell as well
        selector = {"app": "istiod", "istio": "pilot"}
    told = {"labels": labels, "webhooks": hooks, "ports": ports, "selector": selector}
    return set(_flat(told, ""))


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    client = {key: value for key, value in entry["clientConfig"].items() if key != "caBundle"}
    return {**entry, "clientConfig": client}


def _flat(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flat(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _flat(value, f"{path}[{index}]")
    else:
        yield f"{path}={tree}"


def test_a_cluster_whose_default_istiod_was_deleted_makes_pods_again_with_the_other_one(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    label(cluster, namespace, injection="enabled")
    cluster.delete(Ref("apps/v1", "Deployment", HOME.name, "istiod"))
    cluster.delete(Ref("v1", "Service", HOME.name, "istiod"))
    refused(cluster, namespace)

    meshctl.run("check", "--rescue", "--dry-run", check=3)
    meshctl.run("check", "--rescue", "--yes")
    awaited(cluster, namespace, "b")
    assert "injects b, validates b" in meshctl.run("status", check=None).stdout


def refused(cluster: KubeCluster, namespace: str) -> None:
    """Until the API server hears that the istiod is gone, it may have connections to it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            cluster.create(pod(namespace), dry_run=True)
        except FailedError as error:
            assert error.code == "webhook-unavailable"
            return
        time.sleep(0.2)
    pytest.fail("the pod is not refused")


def test_a_cluster_whose_mesh_was_deleted_by_namespace_makes_pods_again(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    label(cluster, namespace, injection="enabled")
    kubectl = [str(upstream.kubectl()), "delete", "namespace", HOME.name, "--timeout=60s"]
    subprocess.run(kubectl, env=dict(meshctl.env), check=True, capture_output=True)
    refused(cluster, namespace)
    # And one of somebody else's refuses exactly what meshctl keeps its lock in.
    hook = {
        "name": "leases.somebody.example.com",
        "clientConfig": {"service": {"name": "gone", "namespace": "gone"}},
        "rules": [
            {
                "operations": ["*"],
                "apiGroups": ["coordination.k8s.io"],
                "apiVersions": ["*"],
                "resources": ["leases"],
            }
        ],
        "objectSelector": {"matchExpressions": [{"key": "unused", "operator": "DoesNotExist"}]},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    meta = {"name": FOREIGN.name}
    cluster.create(
        Object({"apiVersion": ADMISSION, "kind": FOREIGN.kind, "metadata": meta, "webhooks": [hook]})
    )
    found = meshctl.json("check", "--rescue", "--dry-run", check=3)
    assert {each["name"]: each["remedy"] for each in found["blockers"]}[FOREIGN.name] == "tell"

    done = meshctl.run("check", "--rescue", "--yes", check=1)
    assert f"kubectl delete validatingwebhookconfiguration {FOREIGN.name}" in done.stderr
    assert injected_by(cluster, namespace) == ""  # made, though without a proxy: there is no control plane

    cluster.delete(FOREIGN)
    assert "is answered" in meshctl.run("check", "--rescue").stdout
