"""What a cluster says no to is told before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshctl.adapters.kube import KubeCluster
from meshctl.crds import crds
from meshctl.model.objects import Object, Ref
from tests.cluster.command import Audit, Command

pytestmark = pytest.mark.cluster


@pytest.fixture
def bare(kubeconfig: str, tmp_path: Path) -> Command:
    """The command, on a cluster without a mesh."""
    command = Command(kubeconfig, tmp_path)
    command.run("uninstall", "--purge", "--yes", check=None)
    return command


def as_user(kubeconfig: str, folder: Path, token: str) -> Command:
    """The command with somebody else's credentials."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    other = folder / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    return Command(str(other), folder)


def test_a_user_without_rights_is_told_every_rule_that_is_missing(
    bare: Command, cluster: KubeCluster, namespace: str, tmp_path: Path
) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody", "namespace": namespace},
    }
    cluster.create(Object(account))
    token = cluster.token(namespace, "nobody", audiences=[], seconds=600)
    audit = Audit(bare.kubeconfig)
    said = as_user(bare.kubeconfig, tmp_path, token).run("install", "--yes", check=1)
    assert "error: rights-missing" in said.stderr
    assert 'apiGroups: ["apps"], resources: ["deployments"]' in said.stderr
    assert 'resources: ["customresourcedefinitions"]' in said.stderr
    assert audit.writes() == []


def test_credentials_that_are_not_accepted_are_told_as_such(bare: Command, tmp_path: Path) -> None:
    said = as_user(bare.kubeconfig, tmp_path, "expired").run("install", "--yes", check=1)
    assert said.stderr.startswith("error: ")
    assert "credentials" in said.stderr
    assert "hint:" in said.stderr


def test_a_definition_of_another_owner_is_told_with_its_owner_and_kept(
    bare: Command, cluster: KubeCluster
) -> None:
    definition = next(each for each in crds("1.31") if each["spec"]["names"]["kind"] == "Sidecar")
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = [
        {"name": "Other", "type": "string", "jsonPath": ".metadata.name"}
    ]
    theirs = Object(definition)
    path = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "sidecars.networking.istio.io")
    cluster.create(theirs, manager="somebody")
    try:
        audit = Audit(bare.kubeconfig)
        said = bare.run("install", "--yes", check=1)
        assert "fields-owned-by-others" in said.stderr
        assert "sidecars.networking.istio.io" in said.stderr
        assert "somebody" in said.stderr
        assert "--take-over" in said.stderr
        assert audit.writes() == []
        assert bare.run("check", "--pre", "--fail-on", "warning", check=3).stdout.count(
            "sidecars.networking.istio.io"
        )
    finally:
        cluster.delete(path)
