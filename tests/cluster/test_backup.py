"""What a user made for the mesh is saved, and comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.ports import RESTORER
from tests.cluster.command import Audit, Command

pytestmark = pytest.mark.cluster

PURGE = ("uninstall", "--purge", "--force", "--yes")
MINIMAL = ("install", "--yes", "--profile", "minimal")
SAVED = "istio-resources.yaml"


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path) -> Iterator[Command]:
    """The command, on a cluster with a mesh; whatever a test leaves is removed."""
    command = Command(kubeconfig, tmp_path)
    command.run(*PURGE, check=None)
    command.run(*MINIMAL, "--set", "pilot.traceSampling=7")
    yield command
    command.run(*PURGE)


def resource(api: str, kind: str, namespace: str, **spec: Any) -> Object:
    meta = {"name": "yours", "namespace": namespace, "annotations": {"note": "yes: no"}}
    return Object({"apiVersion": f"{api}.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec})


def yours(namespace: str) -> list[Object]:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    tls = {"mode": "SIMPLE", "credentialName": "yours"}
    server = {"port": port, "tls": tls, "hosts": ["example.com"]}
    return [
        resource("networking", "Gateway", namespace, selector={"istio": "ingressgateway"}, servers=[server]),
        resource("networking", "Sidecar", namespace, egress=[{"hosts": ["./*"]}]),
        resource("networking", "WorkloadGroup", namespace, template={"serviceAccount": "vm"}),
        resource("security", "PeerAuthentication", namespace, mtls={"mode": "STRICT"}),
        resource("telemetry", "Telemetry", namespace, accessLogging=[{"disabled": True}]),
    ]


def test_after_a_purge_a_new_install_from_the_saved_settings_and_a_restore_all_is_as_it_was(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    home = Ref("v1", "Namespace", "", namespace)
    assert cluster.patch(home, {"metadata": {"labels": {"istio.io/dataplane-mode": "none"}}})
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"tls.key": "hidden"}}
    cluster.create(Object({**secret, "metadata": {"name": "yours", "namespace": namespace}}))
    made = [cluster.create(each) for each in yours(namespace)]
    meshctl.run("backup", "before.yaml")
    text = (meshctl.folder / "before.yaml").read_text()
    assert (meshctl.folder / "before.yaml").stat().st_mode & 0o777 == 0o600
    assert f"{namespace}/yours" in text.partition("---")[0]
    assert "tls.key" not in text

    meshctl.run(*PURGE)
    assert (meshctl.folder / SAVED).read_text() == text
    early = meshctl.run("restore", SAVED, "--yes", check=2)
    assert "install the mesh first" in early.stderr

    settings = meshctl.run("restore", SAVED, "--settings").stdout
    meshctl.run("install", "-f", "-", "--yes", stdin=settings)
    meshctl.run("restore", SAVED, "--yes")
    meshctl.run("backup", "after.yaml")
    assert (meshctl.folder / "after.yaml").read_text() == text
    there = cluster.get(made[0].ref)
    assert there is not None
    assert there.uid != made[0].uid
    assert RESTORER in {each["manager"] for each in there.at("metadata.managedFields")}

    audit = Audit(meshctl.kubeconfig)
    assert "nothing to do" in meshctl.run("restore", SAVED, "--yes").stdout
    assert audit.writes() == []
    assert json.loads(meshctl.run("plan", "-f", "-", "-o", "json", stdin=settings).stdout)["empty"]


def test_what_was_changed_since_is_refused_with_its_line_and_overwritten_on_demand(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    kept = [cluster.create(each) for each in yours(namespace)]
    meshctl.run("backup", SAVED)
    strict = kept[3].ref
    assert cluster.patch(strict, {"spec": {"mtls": {"mode": "DISABLE"}}})
    refused = meshctl.run("restore", SAVED, "--yes", check=1)
    assert f"PeerAuthentication {strict.place}" in refused.stderr
    assert f"{SAVED}:" in refused.stderr
    shown = meshctl.run("restore", SAVED, "--dry-run").stdout
    assert "spec.mtls.mode: DISABLE → STRICT" in shown
    meshctl.run("restore", SAVED, "--overwrite", "--yes")
    there = cluster.get(strict)
    assert there is not None
    assert there.at("spec.mtls.mode") == "STRICT"


def test_what_the_mesh_itself_would_refuse_is_told_with_its_line_before_anything_is_sent(
    meshctl: Command, cluster: KubeCluster, namespace: str
) -> None:
    for each in yours(namespace):
        cluster.create(each)
    meshctl.run("backup", SAVED)
    for each in yours(namespace):
        cluster.delete(each.ref)
    bad = (meshctl.folder / SAVED).read_text().replace("mode: STRICT", "mode: STRICKT")
    (meshctl.folder / "bad.yaml").write_text(bad)
    line = 1 + bad[: bad.index("kind: PeerAuthentication")].count("\n") - 1
    refused = meshctl.run("restore", "bad.yaml", "--yes", check=2)
    assert f"bad.yaml:{line}" in refused.stderr
    assert "STRICKT" in refused.stderr
    assert cluster.get(yours(namespace)[0].ref) is None
