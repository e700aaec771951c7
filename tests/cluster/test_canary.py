"""From one version to the next under traffic: nobody notices, and nothing of the old one stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Ref
from tests.cluster.command import Command, snapshot
from tests.cluster.traffic import SMALL_REQUESTS, Shape, sidecars, traffic

pytestmark = [pytest.mark.cluster, pytest.mark.full("traffic between pods, and through gateways")]

OLD, NEW, REVISION = "1.31", "1.32", "1-32-0"
SHAPE = Shape(
    {
        "shop": {"istio-injection": "enabled"},
        "bank": {"istio.io/rev": "default"},
        "mail": {"istio-injection": "enabled"},
    },
    stores=4,
    queues=2,
    callers=1,
    gateways=True,
)
"""Three namespaces, twenty-one sidecars; two gateways, one of ours and one of the user's."""


@pytest.fixture(scope="module")
def meshctl(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Command, dict[str, Any]]]:
    """The command, with the old version installed; and the cluster as it was before."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("canary"))
    command.run("uninstall", "--purge", "--yes", check=None)
    before = snapshot(cluster)
    command.run("install", "--yes", "--istio-version", OLD, *SMALL_REQUESTS)
    yield command, before
    command.run("uninstall", "--purge", "--yes")


def test_a_canary_under_traffic_fails_no_request_and_leaves_nothing_of_the_old_revision(
    meshctl: tuple[Command, dict[str, Any]],
    cluster: KubeCluster,
    tmp_path: Path,
    figure: Callable[[str], None],
) -> None:
    command, before = meshctl
    old = {f"{kind} istio-system/istiod" for kind in ("Deployment", "Service", "ServiceAccount")}
    with traffic(cluster, tmp_path, SHAPE) as flowing:
        assert sidecars(flowing.pods()) == {f"{OLD}.0": SHAPE.sidecars + 1}
        labels = {name: namespace_labels(cluster, name) for name in SHAPE.namespaces}
        began = time.monotonic()
        command.run("upgrade", "--to", NEW, "--strategy", "canary", "--yes")
        seconds = time.monotonic() - began
        time.sleep(5)  # of traffic without the old revision
        assert sidecars(flowing.pods()) == {f"{NEW}.0": SHAPE.sidecars + 1}
        assert {name: namespace_labels(cluster, name) for name in SHAPE.namespaces} == labels
        counts = flowing.end()
        figure(
            f"{counts.total} requests, {len(counts.failures)} failed, while {SHAPE.sidecars} sidecars and "
            f"2 gateways moved in {seconds:.0f} s"
        )
        assert not counts.failures, str(counts)
        assert counts.answered == set(flowing.targets())
        assert "nothing to do" in command.run("plan", *SMALL_REQUESTS).stdout
    assert not old & set(snapshot(cluster))
    assert set(command.json("status")["clusters"][0]["dataPlane"]["versions"]) == {f"{NEW}.0"}
    command.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before


def namespace_labels(cluster: KubeCluster, name: str) -> dict[str, str]:
    found = cluster.get(Ref("v1", "Namespace", "", name))
    return dict(found.labels) if found else {}
