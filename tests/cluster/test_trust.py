"""A mesh whose trust is managed, on a real cluster: from the root to the certificates in live proxies."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.root import RootFolders
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.versions import APP_IMAGE
from meshctl.stages.trusting import cacerts
from tests.cluster.command import Command, snapshot

pytestmark = pytest.mark.cluster

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: trusted}
spec:
  profile: minimal
  trust: {ca: managed, nameConstraints: true}
  clusters:
    - {name: west}
"""
ASKED = ("-f", "mesh.yaml")
HOME = "istio-system"
PATIENCE = 180.0
"""Seconds until what must come has to be there; a kubelet takes up to a minute to refresh a Secret."""


@pytest.fixture
def meshctl(kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command, beside a mesh.yaml and the folder of its root; whatever a test leaves is removed."""
    monkeypatch.setenv("MESHCTL_CA_PASSPHRASE", "open sesame")
    (tmp_path / "mesh.yaml").write_text(MESH)
    command = Command(kubeconfig, tmp_path)
    command.run("uninstall", "--mesh", "trusted", "--purge", "--yes", check=None)
    command.run("ca", "init")
    yield command
    command.run("uninstall", "--mesh", "trusted", "--purge", "--yes", check=None)


def eventually(look: Callable[[], Any], well: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not well(seen := look()) and time.monotonic() < deadline:
        time.sleep(2)
    assert well(seen), seen
    return seen


def authority(cluster: KubeCluster) -> Object:
    found = cluster.get(cacerts.ref(HOME))
    assert found is not None
    return found


def test_a_cluster_gets_its_authority_and_loses_it_with_the_mesh(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    said = meshctl.run("install", *ASKED, "--yes")
    assert "PRIVATE" not in said.stdout + said.stderr
    status = eventually(lambda: meshctl.json("ca", "status", *ASKED, check=None), lambda each: each["sound"])
    [west] = status["clusters"]
    assert west["authority"]["by"] == "meshctl"
    assert west["authority"]["certificate"]["permitted"] == ["cluster.local"]
    assert west["authority"]["root"] == status["roots"][0]["sha256"]
    assert [each["issuer"] for each in west["inUse"] if each["kind"] == "istiod"] == [
        west["authority"]["certificate"]["sha256"]
    ]
    assert [each["roots"] for each in west["published"]] == [[status["roots"][0]["sha256"]]]
    assert "nothing was sent" in meshctl.run("install", *ASKED, "--yes").stdout
    meshctl.run("uninstall", "--mesh", "trusted", "--purge", "--yes")
    assert snapshot(cluster) == before


def test_an_authority_that_ends_soon_is_renewed_and_istiod_works_with_it_unless_it_was_restarted(
    meshctl: Command, cluster: KubeCluster
) -> None:
    meshctl.run("install", *ASKED, "--yes")
    root = RootFolders(lambda _: b"open sesame")
    folder = str(meshctl.folder / "ca")
    key, long_ago = pki.new_key(), datetime.now(UTC) - timedelta(days=600)
    [certificate] = root.roots(folder)
    signer = pki.fingerprint(certificate)
    due = root.sign(
        pki.signing_request(key, pki.Subject("due")),
        long_ago,
        folder=folder,
        root=signer,
        days=730,
        permitted=("cluster.local",),
    )
    planted = {cacerts.CERTIFICATE: due, cacerts.KEY: key, cacerts.CHAIN: due, cacerts.ROOTS: certificate}
    cluster.apply(cacerts.secret(HOME, "trusted", planted), take_over=True)
    istiods = [each.ref for each in cluster.list("v1", "Pod", namespace=HOME, labels="app=istiod")]

    planned = meshctl.run("plan", *ASKED).stdout
    assert f"Secret {HOME}/{cacerts.CACERTS}" in planned
    assert "its authority ends on" in planned
    meshctl.run("install", *ASKED, "--yes")
    assert pki.facts(cacerts.files_of(authority(cluster))[cacerts.CERTIFICATE]).ends > datetime.now(
        UTC
    ) + timedelta(days=700)
    eventually(lambda: meshctl.json("ca", "status", *ASKED, check=None), lambda each: each["sound"])
    assert [each.ref for each in cluster.list("v1", "Pod", namespace=HOME, labels="app=istiod")] == istiods


def test_another_root_is_not_put_in_place_in_one_step(meshctl: Command, cluster: KubeCluster) -> None:
    meshctl.run("install", *ASKED, "--yes")
    before = authority(cluster)
    (meshctl.folder / "ca").rename(meshctl.folder / "ca-old")
    meshctl.run("ca", "init")
    said = meshctl.run("install", *ASKED, "--yes", check=1)
    assert "another-root" in said.stderr
    assert authority(cluster).content == before.content
    found = meshctl.json("ca", "status", *ASKED, check=3)["clusters"][0]["findings"]
    assert [each["code"] for each in found] == ["authority-kept"]


@pytest.mark.full("pods that are injected")
def test_a_live_proxy_shows_a_certificate_of_the_authority_though_names_are_constrained(
    meshctl: Command, cluster: KubeCluster, going: list[Ref]
) -> None:
    meshctl.run("install", *ASKED, "--yes")
    name = f"test-{uuid.uuid4().hex[:8]}"
    home = {"name": name, "labels": {"istio-injection": "enabled"}}
    cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": home}))
    try:
        containers = [{"name": "app", "image": APP_IMAGE}]
        meta = {"name": "web", "namespace": name, "labels": {"app": "web"}}
        spec = {"containers": containers, "terminationGracePeriodSeconds": 0}
        cluster.create(Object({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))

        def shown() -> list[Any]:
            status = meshctl.json("ca", "status", *ASKED, "-n", name, check=None)
            return [
                (each["root"] == status["roots"][0]["sha256"], each["certificate"]["uris"])
                for each in status["clusters"][0]["inUse"]
                if each["kind"] == "envoy" and each["certificate"]
            ]

        uris = [f"spiffe://cluster.local/ns/{name}/sa/default"]
        eventually(shown, lambda found: found == [(True, uris)])
    finally:
        ref = Ref("v1", "Namespace", "", name)
        cluster.delete(ref)
        going.append(ref)
