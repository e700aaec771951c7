"""Meshes that istioctl and Helm have installed become ours, and leave nothing when they go."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests import upstream
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

NS = "istio-system"
ISTIOD = Ref("apps/v1", "Deployment", NS, "istiod")
SETTINGS = ("--set", "meshConfig.accessLogFile=/dev/stdout", "--set", "values.pilot.env.FOO=bar")
MINIMAL = ("--profile", "minimal")


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, on a cluster without a mesh; whatever a test leaves is removed."""
    command = Command(kubeconfig, tmp_path)
    command.run("uninstall", "--purge", "--yes", check=None)
    yield command
    command.run("uninstall", "--purge", "--yes", check=None)


def run(program: Path, kubeconfig: str, *words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [str(program), "--kubeconfig", kubeconfig, *words], input=stdin, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def by_istioctl(kubeconfig: str) -> None:
    run(
        upstream.istioctl(),
        kubeconfig,
        "install",
        "--set",
        "profile=minimal",
        *SETTINGS,
        "--skip-confirmation",
    )


def by_helm(kubeconfig: str) -> None:
    """What Helm 3 makes: labels, annotations, field manager, record; Helm 4 applies, as istioctl does."""
    text = run(upstream.istioctl(), kubeconfig, "manifest", "generate", "--set", "profile=minimal", *SETTINGS)
    made = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]
    marks = {"meta.helm.sh/release-name": "istio", "meta.helm.sh/release-namespace": NS}
    for content in made:
        meta = content["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
        meta["annotations"] = {**(meta.get("annotations") or {}), **marks}
    made.sort(key=lambda each: each["kind"] != "CustomResourceDefinition")
    run(upstream.kubectl(), kubeconfig, "create", "namespace", NS)
    manifest = yaml.dump_all(made, Dumper=yaml.CSafeDumper)
    run(upstream.kubectl(), kubeconfig, "create", "--field-manager", "helm", "-f", "-", stdin=manifest)
    run(upstream.kubectl(), kubeconfig, "create", "-f", "-", stdin=json.dumps(record(manifest)))
    words = ("rollout", "status", "deployment/istiod", "-n", NS, "--timeout", "60s")
    run(upstream.kubectl(), kubeconfig, *words)


def record(manifest: str) -> dict[str, Any]:
    packed = base64.b64encode(gzip.compress(json.dumps({"name": "istio", "manifest": manifest}).encode()))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": "sh.helm.release.v1.istio.v1",
            "namespace": NS,
            "labels": {"owner": "helm", "name": "istio", "version": "1", "status": "deployed"},
        },
        "data": {"release": base64.b64encode(packed).decode()},
    }


def holders(obj: Object) -> set[str]:
    """Who holds anything of an object but its status."""
    return {each["manager"] for each in obj.at("metadata.managedFields") if not each.get("subresource")}


def adopt(meshctl: Command, cluster: KubeCluster) -> None:
    """Adopt with the settings that are there, and see that it is ours alone."""
    bare = meshctl.json("plan", *MINIMAL, "--adopt")
    for setting in SETTINGS[1::2]:
        assert any(setting in warning for warning in bare["warnings"])
    meshctl.run("install", *MINIMAL, *SETTINGS, "--adopt", "--yes")
    istiod = cluster.get(ISTIOD)
    assert istiod is not None
    assert holders(istiod) == {"meshctl"}
    assert not {"operator.istio.io/managed", "operator.istio.io/version"} & istiod.labels.keys()
    assert "meta.helm.sh/release-name" not in istiod.annotations
    assert meshctl.json("plan", *MINIMAL, *SETTINGS)["empty"]
    assert not meshctl.json("status", "--drift")["drifted"]


def test_a_mesh_of_istioctl_is_adopted_and_leaves_nothing(
    meshctl: Command, cluster: KubeCluster, kubeconfig: str
) -> None:
    before = snapshot(cluster)
    by_istioctl(kubeconfig)
    refused = meshctl.run("install", *MINIMAL, "--yes", check=1)
    assert "installed by istioctl" in refused.stderr and "--adopt" in refused.stderr
    other = meshctl.run("install", *MINIMAL, "--adopt", "--yes", "--istio-version", "1.32", check=1)
    assert "adopts-another-version" in other.stderr
    adopt(meshctl, cluster)
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before


def test_a_mesh_of_helm_is_adopted_with_its_records_saved_and_leaves_nothing(
    meshctl: Command, cluster: KubeCluster, kubeconfig: str
) -> None:
    before = snapshot(cluster)
    by_helm(kubeconfig)
    adopt(meshctl, cluster)
    assert cluster.list("v1", "Secret", namespace=NS, labels="owner=helm") == ()
    saved = (meshctl.folder / "helm-releases-mesh.yaml").read_text()
    assert "sh.helm.release.v1.istio.v1" in saved
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before
