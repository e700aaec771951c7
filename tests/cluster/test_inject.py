"""`inject` through a real istiod's webhook, against what it makes of the same settings offline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.actions.inject import asking_webhook, inject_files, settings_of_cluster, uninject_files
from meshctl.adapters.kube import KubeCluster
from meshctl.errors import FailedError
from meshctl.model.objects import Object, Ref
from meshctl.stages.injecting.documents import Changed, File, read
from meshctl.stages.injecting.inject import Verdict, by_configuration
from meshctl.stages.rendering.emit import dump

pytestmark = pytest.mark.cluster

CASES = Path(__file__).parent.parent / "cases" / "inject"
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
BAD = """\
apiVersion: v1
kind: Pod
metadata:
  name: bad
  annotations:
    sidecar.istio.io/proxyCPU: lots
spec: {containers: [{name: web, image: web:1}]}
"""


@pytest.fixture(scope="module")
def mesh(cluster: KubeCluster, kubeconfig: str) -> Iterator[KubeCluster]:
    """A cluster with Istio in it: the one that is there, or ours for as long as these tests run."""
    if cluster.get(ISTIOD) is not None:
        yield cluster
        return
    _meshctl("install", "--yes", "--kubeconfig", kubeconfig)
    try:
        yield cluster
    finally:
        _meshctl("uninstall", "--purge", "--force", "--yes", "--kubeconfig", kubeconfig)


@pytest.fixture(scope="module")
def files() -> list[File]:
    return list(read([str(CASES)]))


@pytest.fixture(scope="module")
def live(mesh: KubeCluster, files: list[File]) -> list[Changed]:
    """All our cases, as the webhook injects them."""
    return list(inject_files(files, asking_webhook(mesh, ""), "default"))


def _meshctl(*words: str, told: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from meshctl.cli import main; main()", *words]
    return subprocess.run(command, input=told, capture_output=True, check=False, text=True)


def again(changed: list[Changed], folder: Path) -> list[File]:
    """Files of what was made."""
    for each in changed:
        (folder / Path(each.name).name).write_text(dump(each.contents))
    return list(read([str(folder)]))


def test_offline_injection_by_the_cluster_s_config_maps_is_the_webhook_s(
    mesh: KubeCluster, files: list[File], live: list[Changed]
) -> None:
    injector = settings_of_cluster(mesh, "istio-system", "", None)
    offline = list(inject_files(files, by_configuration(injector), "default"))
    for ours, theirs in zip(offline, live, strict=True):
        for (workload, _, mine), (_, _, its) in zip(ours.told, theirs.told, strict=True):
            assert mine.content == its.content, str(workload)
            assert (mine.verdict, mine.reason) == (its.verdict, its.reason)
    told = [outcome.verdict for each in live for _, _, outcome in each.told]
    assert told.count(Verdict.INJECTED) > 55
    assert told.count(Verdict.LEFT_ALONE) == 3


def test_the_webhook_changes_nothing_that_is_injected_already(
    mesh: KubeCluster, live: list[Changed], tmp_path: Path
) -> None:
    second = list(inject_files(again(live, tmp_path), asking_webhook(mesh, ""), "default"))
    assert [each.name for each in second if each.is_changed] == []
    assert {outcome.verdict for each in second for _, _, outcome in each.told} == {
        Verdict.ALREADY,
        Verdict.LEFT_ALONE,
    }


def test_what_the_webhook_injected_is_taken_out_again(
    files: list[File], live: list[Changed], tmp_path: Path
) -> None:
    back = list(uninject_files(again(live, tmp_path)))
    for was, now in zip(files, back, strict=True):
        assert list(now.contents) == [each.data for each in was.documents]


def test_injected_workloads_are_taken_by_the_api_server(
    mesh: KubeCluster, live: list[Changed], namespace: str
) -> None:
    kinds = next(each for each in live if each.name.endswith("kinds.yaml"))
    for content in kinds.contents:
        if content["kind"] in ("StatefulSet", "DaemonSet", "Job"):
            placed = {**content, "metadata": {**content["metadata"], "namespace": namespace}}
            assert mesh.apply(Object(placed), dry_run=True).ref.name == content["metadata"]["name"]


def test_what_the_injector_refuses_is_told_in_its_words_with_file_and_line(
    kubeconfig: str, mesh: KubeCluster
) -> None:
    told = _meshctl("inject", "-f", "-", "--kubeconfig", kubeconfig, told="---\n" + BAD)
    assert told.returncode == 1
    assert "injector-refuses" in told.stderr
    assert "<stdin>:2" in told.stderr
    assert "sidecar.istio.io/proxyCPU" in told.stderr
    assert told.stdout == ""


def test_a_revision_that_is_not_there_is_refused_with_those_that_are(
    mesh: KubeCluster, files: list[File]
) -> None:
    with pytest.raises(FailedError, match="no injector of revision or tag 'defautl'") as caught:
        list(inject_files(files, asking_webhook(mesh, "defautl"), "default"))
    assert "default" in caught.value.hint
