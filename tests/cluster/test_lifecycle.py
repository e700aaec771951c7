"""The main job on a real cluster: install, traffic, status, uninstall, nothing left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.sandbox import status
from tests.cluster.command import Audit, Command, snapshot
from tests.cluster.conftest import SANDBOX

pytestmark = pytest.mark.cluster

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "services.yaml"


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, on a cluster without a mesh; whatever a test leaves is removed."""
    command = Command(kubeconfig, tmp_path)
    command.run("uninstall", "--purge", "--force", "--yes", check=None)
    yield command
    command.run("uninstall", "--purge", "--force", "--yes")


@pytest.fixture
def services(kubeconfig: str) -> Iterator[str]:
    """The demo's services; the path of a kubectl is given."""
    kubectl = status(SANDBOX).kubectl
    yield kubectl
    subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, "delete", "--ignore-not-found", "-f", str(DEMO)],
        capture_output=True,
    )


def kubectl(path: str, kubeconfig: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([path, "--kubeconfig", kubeconfig, *words], capture_output=True, text=True)


@pytest.mark.full("pods that answer")
def test_the_main_job_ends_with_strict_mtls_all_in_sync_and_nothing_left(
    meshctl: Command, cluster: KubeCluster, services: str
) -> None:
    before = snapshot(cluster)
    meshctl.run("check", "--pre")
    meshctl.run("install", "--yes")

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return kubectl(services, meshctl.kubeconfig, *words)

    assert ask("apply", "-f", str(DEMO)).returncode == 0
    for namespace, name in (("demo", "server"), ("demo", "client"), ("outside", "client")):
        rolled = ask("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout", "120s")
        assert rolled.returncode == 0, rolled.stderr

    def call(namespace: str) -> str:
        done = ask(
            "-n",
            namespace,
            "exec",
            "deploy/client",
            "-c",
            "app",
            "--",
            "curl",
            "-sS",
            "-m5",
            "http://server.demo/",
        )
        return done.stdout + done.stderr

    deadline = time.monotonic() + 60
    while "spiffe://" not in (answer := call("demo")) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "URI=spiffe://cluster.local/ns/demo/sa/client" in answer
    assert "reset by peer" in call("outside"), "plain HTTP was let in"

    answer = meshctl.json("proxy-status")
    connected = {(each["namespace"], each["name"].rsplit("-", 2)[0]) for each in answer["proxies"]}
    assert {("demo", "server"), ("demo", "client"), ("istio-system", "istio-ingressgateway")} <= connected
    assert answer["synced"] and not answer["partial"] and not answer["missing"]
    assert meshctl.json("status")["sound"]

    assert ask("delete", "-f", str(DEMO), "--wait").returncode == 0
    removed = meshctl.run("uninstall", "--purge", "--yes")
    assert removed.stdout.strip() == "nothing of the mesh is left"
    assert snapshot(cluster) == before


@pytest.mark.parametrize("profile", ["minimal", "demo", "empty"])
def test_every_profile_installs_and_leaves_nothing(
    meshctl: Command, cluster: KubeCluster, profile: str
) -> None:
    before = snapshot(cluster)
    meshctl.run("install", "--yes", "--profile", profile)
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before


def test_a_second_install_sends_no_write(meshctl: Command) -> None:
    meshctl.run("install", "--yes")
    audit = Audit(meshctl.kubeconfig)
    said = meshctl.run("install", "--yes")
    assert "nothing was sent" in said.stdout
    assert audit.writes() == []
    assert meshctl.json("plan")["empty"]


def test_the_audit_log_does_show_our_writes(meshctl: Command) -> None:
    audit = Audit(meshctl.kubeconfig)
    meshctl.run("install", "--yes", "--profile", "minimal")
    assert any("/namespaces/istio-system" in line for line in audit.writes())


def test_a_dry_run_keeps_nothing_and_shows_the_plan(meshctl: Command, cluster: KubeCluster) -> None:
    before = snapshot(cluster)
    shown = meshctl.run("install", "--dry-run")
    assert "+ Deployment istio-system/istiod" in shown.stdout
    assert snapshot(cluster) == before


def test_a_changed_setting_changes_only_its_objects(meshctl: Command) -> None:
    meshctl.run("install", "--yes", "--profile", "minimal")
    plan = meshctl.json("plan", "--profile", "minimal", "--set", "meshConfig.accessLogFile=/dev/stdout")
    changed = {step["name"] for phase in plan["phases"] for step in phase["steps"] if step["do"] == "change"}
    assert changed == {"istio", "values"}


def test_uninstall_without_purge_keeps_definitions_and_your_resources(
    meshctl: Command, cluster: KubeCluster
) -> None:
    meshctl.run("install", "--yes", "--profile", "minimal")
    mine = Object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "mine", "namespace": "default"},
            "spec": {"hosts": ["example.com"], "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]},
        }
    )
    cluster.create(mine)
    meshctl.run("uninstall", "--yes")
    assert cluster.get(mine.ref) is not None
    assert cluster.get(Ref("apps/v1", "Deployment", "istio-system", "istiod")) is None

    meshctl.run("uninstall", "--purge", "--yes")
    assert cluster.get(mine.ref) is None
    assert "name: mine" in (meshctl.folder / "istio-resources.yaml").read_text()


def test_uninstall_ends_though_istiod_is_broken(meshctl: Command, cluster: KubeCluster) -> None:
    before = snapshot(cluster)
    meshctl.run("install", "--yes", "--profile", "minimal")
    image = {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "discovery", "image": "sandbox.meshctl.dev/none:1"}]}
            }
        }
    }
    istiod = Ref("apps/v1", "Deployment", "istio-system", "istiod")
    assert cluster.patch(istiod, image) is not None
    for pod in cluster.list("v1", "Pod", namespace="istio-system", labels="app=istiod"):
        cluster.delete(pod.ref)
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before


def test_uninstall_ends_though_the_namespace_is_already_going(meshctl: Command, cluster: KubeCluster) -> None:
    before = snapshot(cluster)
    meshctl.run("install", "--yes", "--profile", "minimal")
    cluster.delete(Ref("v1", "Namespace", "", "istio-system"))
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before


def test_an_image_that_does_not_exist_ends_the_install_early_with_its_name(meshctl: Command) -> None:
    failed = meshctl.run("install", "--yes", "--profile", "minimal", "--set", "tag=9.9.9", check=1)
    assert "9.9.9" in failed.stderr
    assert "hint:" in failed.stderr
    meshctl.run(
        "install", "--yes", "--profile", "minimal"
    )  # and the same command, put right, goes on from there
