"""One cluster of a mesh.yaml on a real cluster: installed as its place in the topology asks, and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Ref
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: fleet}
spec:
  profile: minimal
  clusters:
    - {name: west, network: net-west, address: 192.0.2.10}
    - {name: east, network: net-east, role: remote}
"""
ASKED = ("-f", "mesh.yaml", "--cluster", "west")


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, beside a mesh.yaml; whatever a test leaves is removed."""
    (tmp_path / "mesh.yaml").write_text(MESH)
    command = Command(kubeconfig, tmp_path)
    command.run("uninstall", "--mesh", "fleet", "--purge", "--yes", check=None)
    yield command
    command.run("uninstall", "--mesh", "fleet", "--purge", "--yes")


def test_a_primary_of_a_mesh_file_is_installed_with_its_gateway_and_leaves_nothing(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    meshctl.run("install", *ASKED, "--yes")
    space = cluster.get(Ref("v1", "Namespace", "", "istio-system"))
    assert space is not None
    assert space.labels["topology.istio.io/network"] == "net-west"
    for kind, name in (
        ("Gateway", "cross-network-gateway"),
        ("Gateway", "istiod-gateway"),
        ("VirtualService", "istiod-vs"),
    ):
        assert cluster.get(Ref("networking.istio.io/v1", kind, "istio-system", name)), name
    istiod = cluster.get(Ref("apps/v1", "Deployment", "istio-system", "istiod"))
    assert istiod is not None
    env = {each["name"]: each.get("value") for each in istiod.at("spec.template.spec.containers[0].env")}
    assert (env["CLUSTER_ID"], env["EXTERNAL_ISTIOD"]) == ("west", "true")
    assert meshctl.json("plan", *ASKED)["empty"]
    meshctl.run("uninstall", "--purge", "--yes")
    assert snapshot(cluster) == before
