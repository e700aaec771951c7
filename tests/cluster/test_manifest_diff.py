"""`manifest diff --live`: what the API server itself says an install would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.versions import ISTIO_TAGS
from tests.cluster.command import Audit, Command

pytestmark = pytest.mark.cluster

VERSION = ("--istio-version", ISTIO_TAGS[-1])
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
Change = Callable[[Ref, Mapping[str, Any]], Object]


@pytest.fixture(scope="module")
def meshctl(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, on a cluster with a mesh."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("diff"))
    command.run("uninstall", "--purge", "--yes", check=None)
    command.run("install", "--yes", *VERSION)
    yield command
    command.run("uninstall", "--purge", "--yes")


def test_a_mesh_that_was_just_installed_has_no_difference(meshctl: Command) -> None:
    audit = Audit(meshctl.kubeconfig)
    told = meshctl.json("manifest", "diff", "--live", *VERSION)
    assert (told["equal"], told["notes"]) == (True, [])
    assert told["same"] > 30
    assert audit.writes() == []


def test_what_a_controller_has_taken_over_is_no_difference(meshctl: Command, other: Change) -> None:
    other(Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway"), {"spec": {"replicas": 2}})
    meshctl.run("manifest", "diff", "--live", *VERSION)


def test_a_field_that_somebody_changed_is_told_with_both_values(meshctl: Command, other: Change) -> None:
    config = Ref("v1", "ConfigMap", "istio-system", "istio")
    other(config, {"data": {"mesh": "rootNamespace: elsewhere\n"}})
    other(ISTIOD, {"metadata": {"labels": {"app": "mine"}}, "spec": {"minReadySeconds": 7}})
    told = meshctl.json("manifest", "diff", "--live", "--select", "Deployment,ConfigMap", *VERSION, check=3)
    fields = {
        (each["name"], field["path"]): (field["left"], field["right"])
        for each in told["changed"]
        for field in each["fields"]
    }
    assert fields["istiod", "metadata.labels.app"] == ("mine", "istiod")
    assert fields["istio", "data.mesh:rootNamespace"] == ("elsewhere", "istio-system")
    assert ("istiod", "spec.minReadySeconds") not in fields  # nobody asked for it, so an install leaves it
    meshctl.run("install", "--yes", "--take-over", *VERSION)
    meshctl.run("manifest", "diff", "--live", *VERSION)


def test_another_profile_is_compared_with_what_is_there(meshctl: Command) -> None:
    told = meshctl.json("manifest", "diff", "--live", "--profile", "minimal", *VERSION, check=3)
    gone = {(each["kind"], each["name"]) for each in told["onlyLeft"]}
    assert ("Deployment", "istio-ingressgateway") in gone
    assert told["onlyRight"] == []


def test_a_cluster_without_a_mesh_has_all_of_it_only_on_the_right(
    meshctl: Command, cluster: KubeCluster
) -> None:
    meshctl.run("uninstall", "--purge", "--yes")
    told = meshctl.json("manifest", "diff", "--live", *VERSION, check=3)
    assert told["changed"] == told["onlyLeft"] == []
    assert {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "istio-system",
        "name": "istiod",
    } in told["onlyRight"]
    assert cluster.get(ISTIOD) is None
