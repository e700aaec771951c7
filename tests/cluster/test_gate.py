"""The gate and the probe against a real istiod and real Envoys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from meshctl.actions.canary import gate
from meshctl.adapters.clock import SystemClock
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.kube import KubeCluster
from meshctl.errors import FailedError
from meshctl.model.event import Done, Event, Waiting
from meshctl.model.objects import Object, Ref
from meshctl.model.upgrade import Gate, Method, Mover
from meshctl.ports import World
from meshctl.sandbox.versions import APP_IMAGE
from meshctl.stages.gating.probe import webhook_answers
from tests.cluster.command import Command

pytestmark = pytest.mark.cluster

T = TypeVar("T")

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
INGRESS = Mover(Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway"), Method.RESTART, 1)
PATIENCE = 90.0
"""Seconds until what must come has to be there; not a measure of anything."""


@pytest.fixture(scope="module")
def world(cluster: KubeCluster, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster with Istio in it: the one that is there, or ours for as long as these tests run."""
    found = World({cluster.name: cluster}, {}, SystemClock(), LocalFiles())
    if cluster.get(ISTIOD) is not None:
        yield found
        return
    meshctl = Command(kubeconfig, tmp_path_factory.mktemp("gate"))
    meshctl.run("install", "--yes")
    try:
        yield found
    finally:
        meshctl.run("uninstall", "--purge", "--yes")


@pytest.fixture
def home(cluster: KubeCluster, namespace: str) -> str:
    """A namespace whose pods get a sidecar."""
    ref = Ref("v1", "Namespace", "", namespace)
    cluster.patch(ref, {"metadata": {"labels": {"istio-injection": "enabled"}}})
    return namespace


def eventually(look: Callable[[], T]) -> T:
    """What `look` gives once it is true, or at the end of patience."""
    end = time.monotonic() + PATIENCE
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def workload(cluster: KubeCluster, namespace: str, name: str) -> Mover:
    """A Deployment of one pod, once the pod is there."""
    labels = {"app": name}
    app = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [app], "terminationGracePeriodSeconds": 0}}
    meta = {"namespace": namespace, "name": name}
    spec = {"selector": {"matchLabels": labels}, "template": pods}
    made = cluster.create(
        Object({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    )
    mover = Mover(made.ref, Method.RESTART, 1)
    assert eventually(lambda: gate.pods_of(cluster, [mover]))
    return mover


def rejected_filter(namespace: str) -> Object:
    """Configuration that istiod hands on and no Envoy takes: an HTTP filter that there is not."""
    unknown: Mapping[str, Any] = {
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/example.no.such.Filter",
        "value": {},
    }
    patch = {"operation": "INSERT_BEFORE", "value": {"name": "no-such-filter", "typed_config": unknown}}
    spec = {
        "configPatches": [{"applyTo": "HTTP_FILTER", "match": {"context": "SIDECAR_INBOUND"}, "patch": patch}]
    }
    meta = {"name": "no-such-filter", "namespace": namespace}
    content = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": meta,
        "spec": spec,
    }
    return Object(content)


def passing(world: World, mover: Mover, revision: str = "", **terms: Any) -> list[Event]:
    ((name, cluster),) = world.clusters.items()
    asked = Gate(**{"seconds": PATIENCE, **terms})
    return list(
        gate.pass_through(
            world, name, revision=revision, pods=lambda: gate.pods_of(cluster, [mover]), gate=asked
        )
    )


def test_the_meshs_own_gateway_passes_with_its_real_certificate(world: World) -> None:
    assert isinstance(passing(world, INGRESS)[-1], Done)


@pytest.mark.full("sidecars that connect")
def test_a_new_sidecar_passes_once_it_is_connected(world: World, cluster: KubeCluster, home: str) -> None:
    events = passing(world, workload(cluster, home, "web"), soak=2.0)
    assert any(isinstance(each, Waiting) and "must hold" in each.cause for each in events)
    assert events[-1].summary == "1 proxies passed on revision default"  # type: ignore[union-attr]


@pytest.mark.full("sidecars that reject configuration")
def test_a_filter_that_envoy_rejects_fails_the_gate_in_envoys_words(
    world: World, cluster: KubeCluster, home: str
) -> None:
    cluster.create(rejected_filter(home))
    with pytest.raises(FailedError) as caught:
        passing(world, workload(cluster, home, "web"))
    assert caught.value.code == "gate-failed"
    assert any("it rejected LDS" in each and "no.such.Filter" in each for each in caught.value.details)


@pytest.mark.full("sidecars that reject configuration")
def test_a_running_sidecar_that_rejects_once_passes_when_it_is_mended(
    world: World, cluster: KubeCluster, home: str
) -> None:
    mover = workload(cluster, home, "web")
    passing(world, mover)
    bad = rejected_filter(home)
    cluster.create(bad)
    mended = False
    (name,) = world.clusters
    pods = gate.pods_of(cluster, [mover])
    for event in gate.pass_through(world, name, revision="", pods=pods, gate=Gate(PATIENCE, soak=15.0)):
        if isinstance(event, Waiting) and "rejected" in event.cause and not mended:
            mended = cluster.delete(bad.ref)
    assert mended


def test_a_pod_without_a_proxy_never_passes(world: World, cluster: KubeCluster, namespace: str) -> None:
    mover = workload(cluster, namespace, "plain")  # no sidecar: nobody asked for one
    with pytest.raises(FailedError) as caught:
        passing(world, mover, seconds=3.0)
    assert "it has no proxy" in caught.value.message


def test_a_revision_that_is_not_there_fails_the_gate(world: World) -> None:
    with pytest.raises(FailedError) as caught:
        passing(world, INGRESS, "no-such", seconds=3.0)
    assert "no istiod of revision 'no-such' runs" in caught.value.message


def test_the_webhooks_of_the_revision_that_is_there_answer_and_no_others(
    cluster: KubeCluster, namespace: str
) -> None:
    assert webhook_answers(cluster, revision="", namespace=namespace) == ""
    words = webhook_answers(cluster, revision="no-such", namespace=namespace)
    assert words == "no injector gives a proxy to a pod with the label istio.io/rev=no-such"
    assert cluster.list("v1", "Pod", namespace=namespace) == ()


def test_a_webhook_whose_istiod_is_gone_does_not_answer(
    world: World, cluster: KubeCluster, namespace: str
) -> None:
    cluster.patch(ISTIOD, {"spec": {"replicas": 0}})
    try:
        assert eventually(
            lambda: not cluster.list("v1", "Pod", namespace="istio-system", labels="app=istiod")
        )
        assert webhook_answers(cluster, revision="", namespace=namespace).startswith(
            "the injector does not answer: "
        )
    finally:
        cluster.patch(ISTIOD, {"spec": {"replicas": 1}})
    assert eventually(lambda: webhook_answers(cluster, revision="", namespace=namespace) == "")


def test_the_gateway_is_attached_to_the_revision_that_serves_it(world: World) -> None:
    ((name, cluster),) = world.clusters.items()
    (pod,) = gate.pods_of(cluster, [INGRESS])
    assert "/".join(pod) in gate.attached(world, name, revision="")
    assert gate.attached(world, name, revision="no-such") == ()
