"""A plan that is applied later, and changes behind our back, on a real API server with a real istiod."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests.cluster.command import Audit, Command

pytestmark = pytest.mark.cluster

NS = "istio-system"
CONFIG = Ref("v1", "ConfigMap", NS, "istio")
ISTIOD = Ref("apps/v1", "Deployment", NS, "istiod")
ACCOUNT = Ref("v1", "ServiceAccount", NS, "istio-reader-service-account")
INJECTOR = Ref(
    "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector"
)
VALIDATOR = Ref(
    "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", f"istio-validator-{NS}"
)
Other = Callable[[Ref, Mapping[str, Any]], Object]


@pytest.fixture(scope="module")
def meshctl(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, and a mesh that was installed from a plan file."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("plans"))
    command.run("uninstall", "--purge", "--yes", check=None)
    shown = command.run("plan", "--profile", "minimal", "-o", "json").stdout
    (command.folder / "plan.json").write_text(shown)
    audit = Audit(kubeconfig)
    command.run("install", "--plan", "plan.json", "--yes")
    (command.folder / "writes.json").write_text(json.dumps(audit.writes()))
    yield command
    command.run("uninstall", "--purge", "--yes")


def written(lines: list[str]) -> list[str]:
    """Names of the objects that were written, but for records, locks and what only a lock holds."""
    paths = [line.partition(" ")[2].partition("?")[0] for line in lines]
    return sorted(path.rpartition("/")[2] for path in paths if "/namespaces/kube-system/" not in path)


def planned(folder: Path, name: str = "plan.json") -> list[str]:
    phases = json.loads((folder / name).read_text())["phases"]
    steps = [step for phase in phases for step in phase["steps"]]
    return sorted(step["name"] for step in steps if step["do"] in ("create", "change", "remove"))


def test_the_writes_are_exactly_the_steps_of_the_plan(meshctl: Command) -> None:
    writes = json.loads((meshctl.folder / "writes.json").read_text())
    assert written(writes) == planned(meshctl.folder)
    assert meshctl.json("plan", "--profile", "minimal")["empty"]


def test_a_plan_that_was_applied_has_nothing_more_to_do(meshctl: Command) -> None:
    audit = Audit(meshctl.kubeconfig)
    assert "nothing was sent" in meshctl.run("install", "--plan", "plan.json", "--yes").stdout
    assert audit.writes() == []


def test_a_cluster_that_has_moved_on_is_told_by_object_and_by_whom(meshctl: Command, other: Other) -> None:
    asked = ("--profile", "minimal", "--set", "meshConfig.accessLogFile=/dev/stdout")
    (meshctl.folder / "next.json").write_text(meshctl.run("plan", *asked, "-o", "json").stdout)
    other(CONFIG, {"data": {"mesh": "trustDomain: mine"}})
    audit = Audit(meshctl.kubeconfig)
    refused = meshctl.run("install", "--plan", "next.json", "--yes", check=1)
    assert "ConfigMap istio-system/istio" in refused.stderr
    assert "by somebody" in refused.stderr
    assert audit.writes() == []
    meshctl.run("install", "--profile", "minimal", "--yes")


def test_what_was_changed_behind_our_back_is_told_with_its_author_and_put_right(
    meshctl: Command, cluster: KubeCluster, other: Other
) -> None:
    other(CONFIG, {"data": {"mesh": "trustDomain: mine"}})
    other(ISTIOD, {"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}})  # not ours to judge
    first, *rest = cluster.get(INJECTOR).at("webhooks")
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "x"}}
    other(INJECTOR, {"webhooks": [{**first, "namespaceSelector": selector}, *rest]})
    cluster.delete(ACCOUNT)

    drift = meshctl.json("status", "--drift", check=3)
    (answer,) = drift["clusters"]
    objects = {each["name"]: each for each in answer["objects"]}
    assert {name: each["fate"] for name, each in objects.items()} == {
        CONFIG.name: "changed",
        INJECTOR.name: "changed",
        ACCOUNT.name: "removed",
    }
    (field,) = objects[CONFIG.name]["fields"]
    assert (field["path"], field["seen"]) == ("data.mesh", "trustDomain: mine")
    assert [(each["manager"], each["operation"]) for each in field["by"]] == [("somebody", "Update")]
    assert field["by"][0]["time"]

    meshctl.run("install", "--profile", "minimal", "--yes")
    assert not meshctl.json("status", "--drift")["drifted"]
    assert meshctl.json("plan", "--profile", "minimal")["empty"]


def test_after_istiod_has_flipped_failure_policy_and_patched_its_bundle_nothing_is_sent(
    meshctl: Command, cluster: KubeCluster
) -> None:
    def taken_over() -> bool:
        validator, injector = cluster.get(VALIDATOR), cluster.get(INJECTOR)
        assert validator is not None and injector is not None
        flipped = validator.at("webhooks[0].failurePolicy") == "Fail"
        return flipped and all(each["clientConfig"].get("caBundle") for each in injector.at("webhooks"))

    deadline = time.monotonic() + 60
    while not taken_over() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert taken_over()
    audit = Audit(meshctl.kubeconfig)
    assert "nothing was sent" in meshctl.run("install", "--profile", "minimal", "--yes").stdout
    assert audit.writes() == []
    assert not meshctl.json("status", "--drift")["drifted"]
