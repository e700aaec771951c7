"""In place from one version to another with a real istiod, back when it does not come right, and rollback."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Ref
from tests.cluster.command import Audit, Command

pytestmark = pytest.mark.cluster

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
DEFINITION = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "gateways.networking.istio.io")
SETTINGS = ("--profile", "minimal", "--set", "values.pilot.traceSampling=7")


@pytest.fixture(scope="module")
def meshctl(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, where 1.31 is installed with a setting; nothing is left in the end."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("in-place"))
    command.run("uninstall", "--purge", "--force", "--yes", check=None)
    command.run("install", "--yes", "--istio-version", "1.31", *SETTINGS)
    yield command
    command.run("uninstall", "--purge", "--force", "--yes")


def images(cluster: KubeCluster) -> tuple[str, str]:
    """Versions of istiod's image and of the definitions."""
    istiod, definition = cluster.get(ISTIOD), cluster.get(DEFINITION)
    assert istiod is not None and definition is not None
    image = str(istiod.at("spec.template.spec.containers[0].image"))
    return image.rpartition(":")[2], definition.labels["app.kubernetes.io/version"]


def last(meshctl: Command) -> dict[str, str]:
    found = meshctl.json("history")[-1]
    return {key: found[key] for key in ("status", "version", "cause")}


def test_an_upgrade_that_does_not_come_right_gives_the_old_version_back(
    meshctl: Command, cluster: KubeCluster
) -> None:
    bad = "hub=registry.invalid/nothing"
    done = meshctl.run("upgrade", "--to", "1.32", "--yes", "--set", bad, "--timeout", "60s", check=1)
    assert "release 1 (Istio 1.31.0) is back" in done.stderr
    assert "registry.invalid/nothing/pilot:1.32.0" in done.stderr
    assert last(meshctl) == {"status": "deployed", "version": "1.31.0", "cause": "return from 1.32.0"}
    assert images(cluster)[0] == "1.31.0"
    assert meshctl.json("plan", *SETTINGS)["empty"]
    assert meshctl.json("status")["sound"]


def test_an_upgrade_killed_part_way_is_continued_and_keeps_all_settings(
    meshctl: Command, cluster: KubeCluster, kubeconfig: str
) -> None:
    running = meshctl.start("upgrade", "--to", "1.32", "--yes")
    deadline = time.monotonic() + 60
    while meshctl.json("history")[-1]["status"] != "pending" and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    meshctl.run("upgrade", "--to", "1.32", "--yes")
    assert last(meshctl) == {"status": "deployed", "version": "1.32.0", "cause": "upgrade from 1.31.0"}
    assert images(cluster) == ("1.32.0", "1.32.0")
    audit = Audit(kubeconfig)
    assert meshctl.json("plan", *SETTINGS)["empty"]
    meshctl.run("upgrade", "--to", "1.32", "--yes")
    assert audit.writes() == []


def test_an_install_does_not_change_the_version(meshctl: Command) -> None:
    done = meshctl.run("install", "--yes", "--istio-version", "1.31", *SETTINGS, check=2)
    assert "`meshctl rollback --to" in done.stderr


def test_a_rollback_brings_an_earlier_release_back_but_for_newer_definitions(
    meshctl: Command, cluster: KubeCluster
) -> None:
    done = meshctl.run("rollback", "--to", "1", "--yes")
    assert "custom resource definitions stay those of Istio 1.32.0" in done.stderr
    assert last(meshctl) == {"status": "deployed", "version": "1.31.0", "cause": "rollback to 1"}
    assert images(cluster) == ("1.31.0", "1.32.0")
    assert meshctl.json("rollback", "--to", "1")["changed"] is False
    assert meshctl.json("plan", *SETTINGS)["empty"]
