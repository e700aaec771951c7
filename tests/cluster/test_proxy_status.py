"""`proxy-status` and `status` against a real istiod."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import pytest

from meshctl.actions.proxies import proxy_status
from meshctl.actions.status import status
from meshctl.adapters.clock import SystemClock
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.kube import KubeCluster
from meshctl.errors import MeshctlError
from meshctl.model.objects import Object, Ref
from meshctl.model.proxy import Carrier, ProxyStatus, Sync
from meshctl.model.standing import MeshStatus
from meshctl.ports import World
from meshctl.sandbox.versions import APP_IMAGE
from tests.cluster.ads_proxy import AdsProxy

pytestmark = pytest.mark.cluster

T = TypeVar("T")

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
PATIENCE = 90.0
"""Seconds until what must come has to be there; not a measure of anything."""


@pytest.fixture(scope="module")
def world(cluster: KubeCluster, kubeconfig: str) -> Iterator[World]:
    """A cluster with Istio in it: the one that is there, or ours for as long as these tests run."""
    found = World({cluster.name: cluster}, {}, SystemClock(), LocalFiles())
    if cluster.get(ISTIOD) is not None:
        yield found
        return
    _meshctl("install", "--yes", "--kubeconfig", kubeconfig)
    try:
        yield found
    finally:
        _meshctl("uninstall", "--purge", "--force", "--yes", "--kubeconfig", kubeconfig)


@pytest.fixture
def home(cluster: KubeCluster, namespace: str) -> str:
    """A namespace whose pods get a sidecar."""
    ref = Ref("v1", "Namespace", "", namespace)
    cluster.patch(ref, {"metadata": {"labels": {"istio-injection": "enabled"}}})
    return namespace


def _meshctl(*words: str) -> None:
    subprocess.run([sys.executable, "-c", "from meshctl.cli import main; main()", *words], check=True)


def eventually(look: Callable[[], T], fits: Callable[[T], object]) -> T:
    """What `look` gives once it fits, or at the end of patience."""
    end = time.monotonic() + PATIENCE
    while not fits(found := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def pod(namespace: str, name: str, container: str, **labels: str) -> Object:
    meta = {"namespace": namespace, "name": name, "labels": {"sidecar.istio.io/inject": "false", **labels}}
    app = {"name": container, "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}
    spec = {"containers": [app], "terminationGracePeriodSeconds": 0}
    return Object({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


@contextmanager
def running(cluster: KubeCluster, made: Object) -> Iterator[None]:
    """A pod that runs while the context is open."""
    cluster.create(made)
    try:
        eventually(lambda: cluster.get(made.ref), lambda seen: seen and seen.at("status.phase") == "Running")
        yield
    finally:
        cluster.delete(made.ref)


def deployment(namespace: str, name: str, replicas: int) -> Object:
    labels = {"app": name}
    app = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [app], "terminationGracePeriodSeconds": 0}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pods}
    meta = {"namespace": namespace, "name": name}
    return Object({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})


@pytest.mark.full("sidecars that connect")
def test_every_injected_pod_is_in_sync_and_found_by_its_deployment(world: World, home: str) -> None:
    (cluster,) = world.clusters.values()
    cluster.create(deployment(home, "web", 2))
    told = eventually(
        lambda: proxy_status(world, namespace=home), lambda seen: seen.is_synced and len(seen.proxies) == 2
    )
    pods = {each.ref.name for each in cluster.list("v1", "Pod", namespace=home, labels="app=web")}
    assert {each.name for each in told.proxies} == pods
    assert {each.carrier for each in told.proxies} == {Carrier.SIDECAR}
    for proxy in told.proxies:
        assert {"CDS", "LDS", "EDS", "RDS"} <= set(proxy.states)
    by_workload = proxy_status(world, workload=f"deployment/web.{home}")
    assert {each.name for each in by_workload.proxies} == pods


def test_every_gateway_of_the_mesh_is_in_sync(world: World) -> None:
    def gateways() -> tuple[ProxyStatus, int]:
        plane = status(world).clusters[0].data_plane
        return proxy_status(world, namespace="istio-system"), plane.gateways if plane else -1

    told, count = eventually(gateways, lambda seen: seen[0].is_synced and len(seen[0].proxies) == seen[1])
    assert [each.carrier for each in told.proxies] == [Carrier.GATEWAY] * count


def test_a_pod_with_a_proxy_that_never_connects_is_missing(world: World, namespace: str) -> None:
    (cluster,) = world.clusters.values()
    idle = pod(namespace, "idle", "istio-proxy", **{"service.istio.io/canonical-name": "idle"})
    with running(cluster, idle):
        told = proxy_status(world, namespace=namespace)
    assert [(each.name, each.carrier) for each in told.missing] == [("idle", Carrier.SIDECAR)]


def test_an_istiod_that_does_not_answer_is_named_and_the_rest_is_told(world: World) -> None:
    (cluster,) = world.clusters.values()
    # Labelled as istiod is, and nothing listens: as a replica that hangs before it serves.
    dead = pod("istio-system", "istiod-dead", "discovery", app="istiod", **{"istio.io/rev": "default"})
    with running(cluster, dead):
        told = proxy_status(world, seconds=5)
    assert told.is_partial
    assert [each.name for each in told.failed] == ["istiod-dead"]
    assert len(told.istiods) > 1


def test_what_a_proxy_answers_is_what_is_told(world: World, namespace: str) -> None:
    with connected(world, namespace, ack="ack-1", nack="nack-1", silent="silent-1"):
        told = eventually(lambda: proxy_status(world, namespace=namespace), _settled)
    assert {each.name: (each.worst, each.carrier) for each in told.proxies} == {
        "ack-1": (Sync.SYNCED, Carrier.GONE),
        "nack-1": (Sync.ERROR, Carrier.GONE),
        "silent-1": (Sync.STALE, Carrier.GONE),
    }
    rejected = next(each for each in told.proxies if each.name == "nack-1")
    assert rejected.states["CDS"].error == "no such filter"


def test_an_unlike_name_gets_the_nearest_as_a_hint(world: World, namespace: str) -> None:
    with connected(world, namespace, ack="checkout-1"), pytest.raises(MeshctlError) as caught:
        proxy_status(world, workload="chekout-1")
    assert caught.value.hint == "did you mean checkout-1?"


def test_a_ready_mesh_is_sound(world: World) -> None:
    told = eventually(lambda: status(world), lambda seen: seen.is_sound)
    assert told.is_sound, told.findings
    (one,) = told.clusters
    assert one.installations[0].ref == ISTIOD
    assert one.webhooks
    assert all(hook.is_alive and hook.has_bundle and hook.trusts_root for hook in one.webhooks)
    assert {age.name for age in one.certificates} == {"mesh root", "signing CA"}


def test_a_mesh_without_istiod_is_told_from_the_api_server_alone(world: World) -> None:
    (cluster,) = world.clusters.values()
    plane = cluster.get(ISTIOD)
    assert plane is not None
    cluster.patch(ISTIOD, {"spec": {"replicas": 0}})
    try:
        told = eventually(lambda: status(world), lambda seen: "webhook-served" in codes(seen))
        with pytest.raises(MeshctlError) as caught:
            proxy_status(world, seconds=2)
    finally:
        cluster.patch(ISTIOD, {"spec": {"replicas": plane.at("spec.replicas", 1)}})
        eventually(lambda: status(world), lambda seen: seen.is_sound)
    assert {"control-plane-ready", "webhook-served"} <= codes(told)
    assert caught.value.code == "no-istiod"


def codes(told: MeshStatus) -> set[str]:
    return {finding.rule.code for finding in told.findings}


def _settled(told: ProxyStatus) -> bool:
    return {each.worst for each in told.proxies} == {Sync.SYNCED, Sync.ERROR, Sync.STALE}


@contextmanager
def connected(world: World, namespace: str, **names: str) -> Iterator[None]:
    """ADS streams to istiod as proxies named so, each of which replies as its key says."""
    (cluster,) = world.clusters.values()
    account = Ref("v1", "ServiceAccount", namespace, "default")
    eventually(lambda: cluster.get(account), lambda seen: seen)  # made a little after its namespace
    root = cluster.get(Ref("v1", "ConfigMap", "istio-system", "istio-ca-root-cert"))
    assert root is not None
    given: dict[str, Any] = {
        "root": root.at("data.root-cert\\.pem").encode(),
        "token": cluster.token(namespace, "default", audiences=("istio-ca",), seconds=600),
        "namespace": namespace,
    }
    pods = cluster.list(
        "v1", "Pod", namespace="istio-system", labels="app=istiod", fields="status.phase=Running"
    )
    with ExitStack() as stack:
        host, port = stack.enter_context(cluster.forward("istio-system", pods[0].ref.name, 15012))
        for reply, name in names.items():
            stack.enter_context(AdsProxy(f"{host}:{port}", name=name, reply=reply, **given))
        yield
