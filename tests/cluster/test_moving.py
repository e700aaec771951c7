"""Workloads that really run move to another control plane, and back, as their budgets allow."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube import KubeCluster
from meshctl.errors import FailedError
from meshctl.model.event import Changed, Event, Unchanged, Waiting
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Plan, Relabel
from meshctl.model.upgrade import Batch, Method
from meshctl.sandbox.versions import APP_IMAGE
from meshctl.stages.applying.apply import apply
from meshctl.stages.applying.readiness import unready
from meshctl.stages.moving.batches import batches
from meshctl.stages.moving.moves import back, move, touched, uninjected
from meshctl.stages.moving.workloads import Riders, found
from meshctl.stages.seeing.sync import revision_of
from tests.fakes import FakeFiles, FakeReleases

pytestmark = [pytest.mark.cluster, pytest.mark.full("pods that are injected, and come and go")]

HOME = "istio-system"
NEXT = "next"
PATIENCE = 90.0
"""Seconds until what must come has to be there; not a measure of anything."""
TIGHT, MANUAL, WEB = "tight", "manual", "web"
PODS = {TIGHT: 2, MANUAL: 1, WEB: 1}


@pytest.fixture(scope="module")
def mesh(cluster: KubeCluster, kubeconfig: str) -> Iterator[KubeCluster]:
    """A cluster with two control planes: the unnamed one, which has the default, and `next`."""
    _meshctl(kubeconfig, "install", "--profile", "minimal")
    _meshctl(kubeconfig, "install", "--profile", "minimal", "--revision", NEXT)
    yield cluster
    _meshctl(kubeconfig, "uninstall", "--purge", "--force")


@pytest.fixture(scope="module")
def shop(mesh: KubeCluster) -> Iterator[str]:
    """A namespace with one workload of each sort, all of them ready."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    ref = Ref("v1", "Namespace", "", name)
    made = {"name": name, "labels": {"istio-injection": "enabled"}}
    mesh.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": made}))
    for obj in _goods(name):
        mesh.create(obj)
    _eventually(lambda: _unready(mesh, name), lambda seen: not seen)
    yield name
    mesh.delete(ref)


def _goods(namespace: str) -> Iterator[Object]:
    two_at_once = {"rollingUpdate": {"maxUnavailable": 2, "maxSurge": 0}}
    yield _workload("Deployment", namespace, TIGHT, strategy=two_at_once)
    yield _workload("StatefulSet", namespace, MANUAL, serviceName=MANUAL, updateStrategy={"type": "OnDelete"})
    yield _workload("Deployment", namespace, WEB)
    yield _of("v1", "Pod", namespace, "bare", spec=_pods("bare")["spec"])
    once = {"template": {**_pods("once"), "spec": {**_pods("once")["spec"], "restartPolicy": "Never"}}}
    yield _of("batch/v1", "Job", namespace, "once", spec=once)
    selector = {"matchLabels": {"app": TIGHT}}
    yield _of(
        "policy/v1", "PodDisruptionBudget", namespace, TIGHT, spec={"selector": selector, "maxUnavailable": 1}
    )


def _workload(kind: str, namespace: str, name: str, **spec: Any) -> Object:
    selector = {"matchLabels": {"app": name}}
    body = {"replicas": PODS[name], "selector": selector, "template": _pods(name), **spec}
    return _of("apps/v1", kind, namespace, name, spec=body)


def _pods(app: str) -> dict[str, Any]:
    container = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}
    notes = {"proxy.istio.io/config": "terminationDrainDuration: 1s"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 2}
    return {"metadata": {"labels": {"app": app}, "annotations": notes}, "spec": spec}


def _of(api_version: str, kind: str, namespace: str, name: str, **parts: Any) -> Object:
    meta = {"namespace": namespace, "name": name}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **parts})


def _meshctl(kubeconfig: str, *words: str) -> None:
    command = [sys.executable, "-c", "from meshctl.cli import main; main()"]
    subprocess.run([*command, *words, "--yes", "--kubeconfig", kubeconfig], check=True)


def _eventually(look: Callable[[], Any], fits: Callable[[Any], object]) -> Any:
    end = time.monotonic() + PATIENCE
    while not fits(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.25)
    return seen


def _unready(cluster: KubeCluster, namespace: str) -> list[str]:
    """What is not ready, or not counted by its disruption budget."""
    kinds = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("v1", "Pod"))
    there = [obj for kind in kinds for obj in cluster.list(*kind, namespace=namespace)]
    budgets = cluster.list("policy/v1", "PodDisruptionBudget", namespace=namespace)
    waiting = [f"{obj.ref}: {why}" for obj in there if (why := unready(obj))]
    waiting += [str(each.ref) for each in budgets if each.at("status.currentHealthy", 0) < PODS[TIGHT]]
    return waiting or ([] if there else ["nothing is there"])


def _seen(cluster: KubeCluster, namespace: str, revision: str = "", to: str | None = None) -> Riders:
    return found(cluster, revision, istio_namespace=HOME, to=to)


def _batch(riders: Riders, namespace: str) -> Batch:
    (batch,) = [each for each in batches(riders) if namespace in each.namespaces]
    return batch


def _do(cluster: KubeCluster, plan: Plan) -> list[Event]:
    return list(apply(cluster, FakeReleases(), FakeFiles(), SystemClock(), plan))


def _revisions(cluster: KubeCluster, namespace: str) -> dict[str, set[str]]:
    """The revisions of the proxies of each workload that moves."""
    pods = cluster.list("v1", "Pod", namespace=namespace)
    return {
        name: {revision_of(pod) for pod in pods if pod.labels.get("app") == name and not pod.is_leaving}
        for name in PODS
    }


def _changes(events: list[Event], what: str) -> list[str]:
    return [each.subject for each in events if isinstance(each, Changed) and each.detail == what]


def _go(cluster: KubeCluster, namespace: str, moment: str) -> list[Event]:
    riders = _seen(cluster, namespace, to=NEXT)
    batch = _batch(riders, namespace)
    return _do(cluster, move(cluster.name, batch, riders, to=NEXT, moment=moment, seconds=PATIENCE))


def test_each_workload_is_found_with_how_it_moves_or_why_it_stays(mesh: KubeCluster, shop: str) -> None:
    riders = _seen(mesh, shop)
    movers = {each.ref.name: each for each in riders.movers if each.ref.namespace == shop}
    assert {name: (each.method, each.pods) for name, each in movers.items()} == {
        TIGHT: (Method.EVICT, 2),
        MANUAL: (Method.EVICT, 1),
        WEB: (Method.RESTART, 1),
    }
    assert "PodDisruptionBudget tight" in movers[TIGHT].why
    assert {each.name for each in riders.stayers} >= {f"Pod {shop}/bare", f"Job {shop}/once"}


def test_a_batch_moves_to_the_other_control_plane_and_back(mesh: KubeCluster, shop: str) -> None:
    before = mesh.get(Ref("v1", "Namespace", "", shop))
    riders = _seen(mesh, shop, to=NEXT)
    batch = _batch(riders, shop)
    labelled = touched(batch, riders)

    events = _go(mesh, shop, "2026-01-01T12:00:00+00:00")
    assert _revisions(mesh, shop) == {name: {NEXT} for name in PODS}
    assert len(_changes(events, "evicted")) == PODS[TIGHT] + PODS[MANUAL]
    first, second = (
        number
        for number, each in enumerate(events)
        if isinstance(each, Changed) and each.detail == "evicted" and TIGHT in each.subject
    )
    between = [each.subject for each in events[first:second] if isinstance(each, Changed | Unchanged)]
    assert f"Deployment {shop}/{TIGHT}" in between
    assert _changes(events, "restarted") == [f"Deployment {shop}/{WEB}"]
    assert _unready(mesh, shop) == []

    left = _seen(mesh, shop, to=NEXT)
    again = move(mesh.name, batch, left, to=NEXT, moment="2026-01-01T12:00:00+00:00", seconds=PATIENCE)
    assert [phase.title for phase in again.phases] == ["Wait for workloads"]

    now = _seen(mesh, shop, NEXT, to="")
    _do(mesh, back(mesh.name, batch, now, labelled, moment="2026-01-01T12:01:00+00:00", seconds=PATIENCE))
    assert _revisions(mesh, shop) == {name: {"default"} for name in PODS}
    after = mesh.get(Ref("v1", "Namespace", "", shop))
    assert before is not None
    assert after is not None
    assert after.labels == before.labels


def test_a_budget_that_allows_nothing_stops_the_move_and_is_named(mesh: KubeCluster, shop: str) -> None:
    budget = Ref("policy/v1", "PodDisruptionBudget", shop, TIGHT)
    mesh.patch(budget, {"spec": {"maxUnavailable": 0}})
    _eventually(lambda: mesh.get(budget), lambda seen: seen.at("status.disruptionsAllowed") == 0)
    riders = _seen(mesh, shop, to=NEXT)
    batch = _batch(riders, shop)
    plan = move(mesh.name, batch, riders, to=NEXT, moment="2026-01-01T12:02:00+00:00", seconds=3)
    events: list[Event] = []
    with pytest.raises(FailedError) as caught:
        for event in apply(mesh, FakeReleases(), FakeFiles(), SystemClock(), plan):
            events.append(event)
    mesh.patch(budget, {"spec": {"maxUnavailable": 1}})
    assert caught.value.code == "budget-exhausted"
    assert TIGHT in caught.value.message
    assert any(isinstance(each, Waiting) and "disruption budget" in each.cause for each in events)
    assert len(_revisions(mesh, shop)[TIGHT]) == 1
    mesh.patch(
        Ref("v1", "Namespace", "", shop), {"metadata": {"labels": dict(dict(touched(batch, riders))[shop])}}
    )


def test_sidecars_leave_running_workloads(mesh: KubeCluster, shop: str) -> None:
    riders = found(mesh, None, istio_namespace=HOME)  # some of them have moved before they were stopped
    plan = uninjected(mesh.name, riders, moment="2026-01-01T12:03:00+00:00", seconds=PATIENCE)
    assert f"Namespace {shop}" in [str(each.ref) for each in plan.steps if isinstance(each, Relabel)]
    _do(mesh, plan)
    assert _revisions(mesh, shop) == {name: {""} for name in PODS}
    left = found(mesh, None, istio_namespace=HOME)
    assert {each.name for each in left.stayers} >= {f"Pod {shop}/bare", f"Job {shop}/once"}


def test_a_namespace_that_is_deleted_while_it_moves_holds_nobody_up(mesh: KubeCluster) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    made = {"name": name, "labels": {"istio-injection": "enabled"}}
    mesh.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": made}))
    mesh.create(_workload("Deployment", name, WEB))
    _eventually(lambda: mesh.get(Ref("apps/v1", "Deployment", name, WEB)), lambda seen: not unready(seen))
    riders = _seen(mesh, name, to=NEXT)
    batch = _batch(riders, name)
    plan = move(mesh.name, batch, riders, to=NEXT, moment="2026-01-01T12:04:00+00:00", seconds=PATIENCE)
    for event in apply(mesh, FakeReleases(), FakeFiles(), SystemClock(), plan):
        if isinstance(event, Changed) and event.detail == "labels set":
            mesh.delete(Ref("v1", "Namespace", "", name))
    assert mesh.get(Ref("apps/v1", "Deployment", name, WEB)) is None
