"""Applying and waiting on a real cluster with real pods: what comes up, and what cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConflictError, FailedError, UnreachableError
from meshctl.model.event import Changed, Event, Unchanged, Waiting
from meshctl.model.manifest import Manifest, Part
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Await, Condition, Delete, Phase, Plan, Record, Save
from meshctl.model.release import Release, Status
from meshctl.stages.applying.apply import apply
from meshctl.stages.applying.awaiting import wait
from meshctl.stages.seeing.observe import inventory, look, observe
from tests.contracts.cluster_contract import config_map, definition
from tests.fakes import FakeFiles

pytestmark = pytest.mark.cluster

APP = "sandbox.meshctl.dev/app:1"
MESH = "engine-test"
GROUP = "engine.example.dev"


def workload(
    namespace: str, name: str, *, image: str = APP, pull: str = "IfNotPresent", **container: Any
) -> Object:
    labels = {"app": name}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": image, "imagePullPolicy": pull, **container}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    return Object(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
    )


@pytest.fixture
def releases(cluster: KubeCluster) -> Iterator[ClusterReleases]:
    found = ClusterReleases(cluster, SystemClock())
    yield found
    for release in found.of(MESH):
        found.forget(release)


def test_a_mesh_comes_goes_and_leaves_nothing(cluster: KubeCluster, releases: ClusterReleases) -> None:
    before = inventory(cluster)
    name = "engine-test"
    space = Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    crd, web = definition(GROUP), workload(name, "web")
    meta = {"name": "one", "namespace": name}
    gadget = Object({"apiVersion": f"{GROUP}/v1", "kind": "Gadget", "metadata": meta, "spec": {"a": 1}})
    manifest = Manifest(
        (Part("base", "base", objects=(crd, space)), Part("web", "web", objects=(gadget, web)))
    )
    pending = Release(
        MESH, "c1", 1, Status.PENDING, "1.31.1", "", "default", name, "now", manifest, {}, before
    )
    install = Plan(
        "c1",
        (
            Phase("intent", (Record(pending),)),
            Phase("base", (Apply("base", crd), Apply("base", space))),
            Phase(
                "base is there",
                (
                    Await("base", crd.ref, Condition.ESTABLISHED, 60),
                    Await("base", space.ref, Condition.READY, 60),
                ),
            ),
            Phase("web", (Apply("web", gadget), Apply("web", web))),
            Phase("web is ready", (Await("web", web.ref, Condition.READY, 120),)),
            Phase("result", (Record(replace(pending, status=Status.DEPLOYED)),)),
        ),
    )
    files = FakeFiles()
    events = list(apply(cluster, releases, files, SystemClock(), install))
    # A simulated pod may be ready before anybody looks, and then nothing is waited for.
    ready = Changed("web", f"Deployment {name}/web", "ready"), Unchanged("web", f"Deployment {name}/web")
    assert any(event in events for event in ready)
    seen = observe(cluster, releases, MESH, refs=manifest.refs)
    assert set(seen.objects) == manifest.refs
    assert [each.status for each in seen.releases] == [Status.DEPLOYED]
    assert seen.releases[0].inventory == before

    gone = [Await("x", ref, Condition.GONE, 120) for ref in (gadget.ref, web.ref, crd.ref, space.ref)]
    uninstall = Plan(
        "c1",
        (
            Phase("intent", (Record(replace(pending, status=Status.UNINSTALLING)),)),
            Phase("saved", (Save("web", (gadget.ref,), "saved.yaml"),)),
            Phase("web", (Delete("web", gadget.ref), Delete("web", web.ref))),
            Phase("web is gone", tuple(gone[:2])),
            Phase("base", (Delete("base", crd.ref), Delete("base", space.ref))),
            Phase("base is gone", tuple(gone[2:])),
            Phase("result", (Record(pending, forget=True),)),
        ),
    )
    list(apply(cluster, releases, files, SystemClock(), uninstall))
    assert "kind: Gadget" in files.texts["saved.yaml"]
    left = [ref for ref in inventory(cluster) if ref not in before]
    ours = {name, space.ref.name, crd.ref.name, f"v1.{GROUP}", f"meshctl.{MESH}.v1", f"meshctl-{MESH}"}
    assert [ref for ref in left if ref.name in ours or ref.namespace == name] == []


BROKEN: dict[str, tuple[Callable[[str, str], Object], str]] = {
    "no-image": (
        lambda n, name: workload(n, name, image="sandbox.meshctl.dev/none:1", pull="Never"),
        "image-not-there",
    ),
    "bad-name": (lambda n, name: workload(n, name, image="NOT:A:NAME"), "image-not-there"),
    "no-config": (
        lambda n, name: workload(n, name, envFrom=[{"configMapRef": {"name": "absent"}}]),
        "container-not-created",
    ),
    "crashes": (
        # Without a probe it would count as ready for the moment that it runs.
        lambda n, name: workload(
            n,
            name,
            command=["sh", "-c", "echo last words; exit 3"],
            readinessProbe={"exec": {"command": ["false"]}},
        ),
        "crash-loop",
    ),
    "too-large": (
        lambda n, name: workload(n, name, resources={"requests": {"cpu": "1000"}}),
        "unschedulable",
    ),
}


@pytest.mark.full("containers that start and crash")
def test_what_cannot_come_up_ends_early_and_says_why(cluster: KubeCluster, namespace: str) -> None:
    def attempt(name: str) -> tuple[FailedError, list[str]]:
        made = BROKEN[name][0](namespace, name)
        cluster.apply(made)
        causes: list[str] = []
        step = Await("x", made.ref, Condition.READY, 300)
        with pytest.raises(FailedError) as caught:
            wait(cluster, SystemClock(), step, causes.append, threading.Event())
        return caught.value, causes

    with ThreadPoolExecutor(len(BROKEN)) as pool:
        ends = dict(zip(BROKEN, pool.map(attempt, BROKEN), strict=True))
    assert {name: error.code for name, (error, _) in ends.items()} == {
        name: code for name, (_, code) in BROKEN.items()
    }
    assert "last words" in ends["crashes"][0].details
    assert "Insufficient cpu" in ends["too-large"][0].message
    assert all(causes for _, causes in ends.values())


def test_a_quota_that_is_used_up_is_named(cluster: KubeCluster, namespace: str) -> None:
    meta = {"name": "none", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}}
    cluster.apply(Object(quota))
    for change, obj in cluster.watch("v1", "ResourceQuota", namespace=namespace):
        if change != "DELETED" and obj.at("status.hard.pods") == "0":
            break
    made = cluster.apply(workload(namespace, "web"))
    with pytest.raises(FailedError, match="exceeded quota") as caught:
        wait(
            cluster,
            SystemClock(),
            Await("x", made.ref, Condition.READY, 120),
            lambda _: None,
            threading.Event(),
        )
    assert caught.value.code == "quota-exceeded"


@pytest.mark.full("images that are pulled")
def test_a_new_image_is_waited_for_though_the_old_pods_serve(cluster: KubeCluster, namespace: str) -> None:
    def ready(made: Object) -> bool:
        cluster.apply(made)
        step = Await("x", made.ref, Condition.READY, 120)
        return wait(cluster, SystemClock(), step, lambda _: None, threading.Event())

    assert ready(workload(namespace, "web"))
    with pytest.raises(FailedError) as caught:
        ready(workload(namespace, "web", image="sandbox.meshctl.dev/none:1", pull="Never"))
    assert caught.value.code == "image-not-there"
    assert ready(workload(namespace, "web", env=[{"name": "A", "value": "b"}]))


def test_an_object_that_is_held_names_its_finalizer(cluster: KubeCluster, namespace: str) -> None:
    content = config_map(namespace, "held").content
    held = Object({**content, "metadata": {**content["metadata"], "finalizers": ["example.dev/hold"]}})
    cluster.apply(held)
    plan = Plan(
        "c1",
        (Phase("", (Delete("a", held.ref),)), Phase("", (Await("a", held.ref, Condition.GONE, 60),))),
    )
    events: list[Event] = []
    for event in apply(cluster, ClusterReleases(cluster, SystemClock()), FakeFiles(), SystemClock(), plan):
        events.append(event)
        if isinstance(event, Waiting):
            assert event.cause == "held by finalizer example.dev/hold"
            cluster.patch(held.ref, {"metadata": {"finalizers": None}})
    assert Changed("a", f"ConfigMap {namespace}/held", "gone") in events


@pytest.mark.full("pods that answer")
def test_a_pods_port_is_reached_by_many_connections(cluster: KubeCluster, namespace: str) -> None:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    made = cluster.apply(workload(namespace, "web", readinessProbe=probe))
    wait(
        cluster, SystemClock(), Await("x", made.ref, Condition.READY, 120), lambda _: None, threading.Event()
    )
    pod = cluster.list("v1", "Pod", namespace=namespace, labels="app=web")[0].ref.name

    def fetch(address: tuple[str, int]) -> int:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/", timeout=20) as answer:
            answer.read()
            return int(answer.status)

    with cluster.forward(namespace, pod, 8080) as address, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fetch, [address] * 24)) == [200] * 24
    with pytest.raises(OSError):
        fetch(address)


def test_forwarding_to_a_pod_that_is_not_there_says_so(cluster: KubeCluster, namespace: str) -> None:
    with pytest.raises(UnreachableError), cluster.forward(namespace, "absent", 8080):
        pass


HOLD = """
import sys, time
from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube import connect
from meshctl.adapters.releases import ClusterReleases
with ClusterReleases(connect(sys.argv[1]), SystemClock()).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_runs_lock_is_taken_at_once_and_a_living_ones_is_not(
    cluster: KubeCluster, releases: ClusterReleases, kubeconfig: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, kubeconfig, MESH], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {holder.pid}"), releases.lock(MESH):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    began = time.monotonic()
    with releases.lock(MESH):
        taken = time.monotonic() - began
    assert taken < ClusterReleases.lock_seconds
    lease = Ref("coordination.k8s.io/v1", "Lease", "kube-system", f"meshctl-{MESH}")
    assert look(cluster, [lease]) == {}
