"""Upgrades that go wrong under traffic: each ends on the old revision again, with no request failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.versions import APP_IMAGE
from tests.cluster.command import Command, snapshot
from tests.cluster.traffic import SMALL_REQUESTS, Shape, Traffic, sidecars, traffic, until

pytestmark = [pytest.mark.cluster, pytest.mark.full("traffic between pods")]

OLD, NEW, REVISION = "1.31.0", "1.32.0", "1-32-0"
SHAPE = Shape({"bank": {"istio.io/rev": "default"}, "shop": {"istio-injection": "enabled"}})
UPGRADE = ("upgrade", "--to", "1.32", "--strategy", "canary", "--yes", "--timeout", "60s")
HOME = "istio-system"


@dataclass(frozen=True)
class Ground:
    """A mesh on the old version, and traffic in it all the time."""

    command: Command
    cluster: KubeCluster
    flowing: Traffic
    before: dict[str, Any]
    figure: Callable[[str], None] = print

    def failing(self, *words: str) -> str:
        """An upgrade that fails; what it said."""
        return self.command.run(*UPGRADE, "--gate-timeout", "45s", *words, check=1).stderr

    def aborted(self) -> None:
        """End an upgrade that stopped part-way."""
        self.command.run("upgrade", "abort", "--yes")

    def is_on_the_old_version(self, *namespaces: str) -> None:
        """Every proxy of these namespaces is; pods that are told to end have gone."""

        def versions() -> set[str]:
            return set(sidecars([pod for pod in self.flowing.pods() if pod.ref.namespace in namespaces]))

        until(lambda: versions() == {OLD}, versions)

    def taken_back(self) -> None:
        """All is as before the upgrade, and was so for those who asked."""
        self.is_on_the_old_version(*SHAPE.namespaces)
        now = snapshot(self.cluster)
        assert [name for name, content in now.items() if REVISION in f"{name} {content}"] == []
        assert {name: now.get(name) for name in self.before if _leads(name)} == {
            name: content for name, content in self.before.items() if _leads(name)
        }
        assert [name for name in now if _leads(name) and name not in self.before] == []
        assert self.labels() == {name: dict(labels) for name, labels in SHAPE.namespaces.items()}
        time.sleep(3)  # of traffic after it
        counts = self.flowing.counts()
        assert not counts.failures, str(counts)
        assert counts.answered == set(self.flowing.targets())
        self.figure(f"{counts.total} requests, {len(counts.failures)} failed")

    def labels(self) -> dict[str, dict[str, str]]:
        found = {name: self.cluster.get(Ref("v1", "Namespace", "", name)) for name in SHAPE.namespaces}
        return {
            name: {key: value for key, value in each.labels.items() if key.startswith("istio")}
            for name, each in found.items()
            if each
        }


def _leads(name: str) -> bool:
    """Whether it leads pods and configuration to a revision: webhooks and the services behind them."""
    kind, _, rest = name.partition(" ")
    return kind.endswith("WebhookConfiguration") or (kind == "Service" and rest.startswith(f"{HOME}/"))


@pytest.fixture(scope="module")
def ground(
    kubeconfig: str, cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("drills")
    command = Command(kubeconfig, folder)
    command.run("uninstall", "--purge", "--yes", check=None)
    command.run("install", "--yes", "--profile", "minimal", "--istio-version", "1.31", *SMALL_REQUESTS)
    try:
        with traffic(cluster, folder, SHAPE) as flowing:
            yield Ground(command, cluster, flowing, snapshot(cluster))
    finally:
        command.run("uninstall", "--purge", "--yes")


@pytest.fixture
def drill(ground: Ground, figure: Callable[[str], None]) -> Ground:
    """The ground, counted anew."""
    ground.command.run("upgrade", "abort", "--yes", check=None)  # what a drill that failed has left
    ground.flowing.forget()
    return replace(ground, figure=figure)


@pytest.fixture
def long(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("one of the drills that --long runs")


@pytest.fixture
def made(cluster: KubeCluster) -> Iterator[Callable[[Object], Object]]:
    """Makes objects, which go after the test."""
    objects: list[Object] = []

    def make(obj: Object) -> Object:
        objects.append(cluster.create(obj))
        return objects[-1]

    yield make
    for obj in reversed(objects):
        cluster.delete(obj.ref, grace=0)


def test_an_image_that_does_not_exist(drill: Ground, long: None) -> None:
    told = drill.failing("--set", "values.pilot.image=sandbox.meshctl.dev/none:1")
    assert "control-plane-failed" in told
    assert "sandbox.meshctl.dev/none:1" in told
    drill.taken_back()


def test_an_istiod_that_never_becomes_ready(drill: Ground, long: None) -> None:
    # The application's image answers on another port than the one that is asked whether it is ready.
    told = drill.failing("--set", f"values.pilot.image={APP_IMAGE}", "--set", "values.pilot.env.PORT=9999")
    assert "control-plane-failed" in told
    drill.taken_back()


def test_configuration_that_proxies_reject(drill: Ground, made: Callable[[Object], Object]) -> None:
    unknown = {
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/example.no.such.Filter",
        "value": {},
    }
    patch = {"operation": "INSERT_BEFORE", "value": {"name": "no-such-filter", "typed_config": unknown}}
    patches = [{"applyTo": "HTTP_FILTER", "match": {"context": "SIDECAR_INBOUND"}, "patch": patch}]
    filtered = made(
        _object(
            "networking.istio.io/v1alpha3",
            "EnvoyFilter",
            HOME,
            "no-such-filter",
            {"istio.io/rev": REVISION},  # the old istiod does not serve it
            spec={"configPatches": patches},
        )
    )
    told = drill.failing()
    assert "batch-failed" in told
    assert "no.such.Filter" in told
    drill.is_on_the_old_version(*SHAPE.namespaces)
    drill.aborted()
    drill.cluster.delete(filtered.ref)
    drill.taken_back()


def test_a_workload_whose_new_pods_stay_unready(
    drill: Ground, made: Callable[[Object], Object], long: None
) -> None:
    switch = {"name": "switch", "optional": True}
    ready = {"exec": {"command": ["sh", "-c", 'test -z "$BROKEN"']}, "periodSeconds": 1}
    web = _deployment("shop", "web", readinessProbe=ready, envFrom=[{"configMapRef": switch}])
    made(web)
    until(lambda: drill.cluster.get(web.ref).at("status.readyReplicas", 0) == 1)  # type: ignore[union-attr]
    made(_object("v1", "ConfigMap", "shop", "switch", data={"BROKEN": "yes"}))
    told = drill.failing("--timeout", "30s")
    assert "batch-failed" in told
    assert "shop/web" in told
    drill.is_on_the_old_version("shop")
    drill.aborted()
    drill.cluster.delete(web.ref, grace=0)
    until(lambda: not [pod for pod in drill.flowing.pods() if pod.labels.get("app") == "web"])
    drill.taken_back()


def test_a_disruption_budget_that_blocks(drill: Ground, made: Callable[[Object], Object], long: None) -> None:
    template = _deployment("shop", "pinned").content["spec"]
    pinned = made(_object("apps/v1", "ReplicaSet", "shop", "pinned", spec=template))
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "pinned"}}}
    made(_object("policy/v1", "PodDisruptionBudget", "shop", "pinned", spec=budget))
    until(lambda: drill.cluster.get(pinned.ref).at("status.readyReplicas", 0) == 1)  # type: ignore[union-attr]
    told = drill.failing("--timeout", "20s")
    assert "batch-failed" in told
    assert "budget" in told
    drill.is_on_the_old_version("shop")
    drill.aborted()
    drill.taken_back()


def test_a_namespace_that_is_deleted_half_way(drill: Ground, long: None) -> None:
    labels = {"istio-injection": "enabled"}
    meta = {"name": "gone", "labels": labels}
    gone = drill.cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
    web = drill.cluster.create(_deployment("gone", "web"))
    until(lambda: drill.cluster.get(web.ref).at("status.readyReplicas", 0) == 1)  # type: ignore[union-attr]
    drill.command.run(*UPGRADE, "--pause", check=4)
    going_on = drill.command.start("upgrade", "resume")

    def is_moving() -> bool:
        return NEW in sidecars(drill.cluster.list("v1", "Pod", namespace="gone"))

    until(lambda: going_on.poll() is not None or is_moving())
    drill.cluster.delete(gone.ref)
    assert going_on.wait() == 4
    drill.aborted()
    until(lambda: drill.cluster.get(gone.ref) is None)
    drill.taken_back()


def test_one_of_two_istiods_that_is_killed(drill: Ground, long: None) -> None:
    two = ("--set", "values.pilot.autoscaleEnabled=false", "--set", "values.pilot.replicaCount=2")
    drill.command.run(*UPGRADE, "--pause", *two, check=4)
    planes = drill.cluster.list("v1", "Pod", namespace=HOME, labels=f"app=istiod,istio.io/rev={REVISION}")
    assert len(planes) == 2
    drill.cluster.delete(planes[0].ref, grace=0)
    drill.command.run("upgrade", "resume", check=4)
    drill.aborted()
    drill.taken_back()


def _deployment(namespace: str, name: str, **container: Any) -> Object:
    labels = {"app": name}
    app = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent", **container}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [app]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pods}
    return _object("apps/v1", "Deployment", namespace, name, spec=spec)


def _object(
    api_version: str,
    kind: str,
    namespace: str,
    name: str,
    labels: dict[str, str] | None = None,
    **content: Any,
) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": labels or {}}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **content})
