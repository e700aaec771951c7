"""Every workload with a proxy of a control plane is found, and told with how it can move or why it cannot."""

from __future__ import annotations

import pytest

from meshctl.model.objects import Ref
from meshctl.model.upgrade import Method
from tests.unit.moving.mesh import ENABLED, OLD, Mesh, injector


def why(mesh: Mesh, to: str | None = None) -> dict[str, str]:
    """Why each stayer stays."""
    return {each.name: each.why for each in mesh.riders(to=to).stayers}


def names(movers: tuple[object, ...]) -> list[str]:
    return [str(each.ref) for each in movers]  # type: ignore[attr-defined]


def test_pods_are_found_by_what_owns_them_at_the_end_of_the_chain(mesh: Mesh) -> None:
    mesh.namespace("shop")
    mesh.workload("Deployment", "shop", "web", pods=3)
    mesh.workload("StatefulSet", "shop", "db", pods=2)
    mesh.workload("DaemonSet", "shop", "agent")
    rollout = mesh.put("argoproj.io/v1alpha1", "Rollout", "shop", "roll")
    mesh.pod("shop", "roll-1", owner=mesh.put("apps/v1", "ReplicaSet", "shop", "roll-1", owner=rollout))
    mesh.pod("shop", "rc-1", owner=mesh.put("v1", "ReplicationController", "shop", "rc"))
    mesh.pod("shop", "kafka-1", owner=mesh.put("core.strimzi.io/v1beta2", "StrimziPodSet", "shop", "kafka"))
    found = mesh.riders()
    assert {(each.ref.kind, each.ref.name, each.method, each.pods) for each in found.movers} == {
        ("Deployment", "web", Method.RESTART, 3),
        ("StatefulSet", "db", Method.RESTART, 2),
        ("DaemonSet", "agent", Method.RESTART, 1),
        ("Rollout", "roll", Method.EVICT, 1),
        ("ReplicationController", "rc", Method.EVICT, 1),
        ("StrimziPodSet", "kafka", Method.EVICT, 1),
    }
    assert found.stayers == ()


def test_what_nothing_makes_anew_stays_and_says_why(mesh: Mesh) -> None:
    mesh.namespace("shop")
    mesh.pod("shop", "bare")
    cron = mesh.put("batch/v1", "CronJob", "shop", "nightly")
    mesh.pod("shop", "nightly-1-x", owner=mesh.put("batch/v1", "Job", "shop", "nightly-1", owner=cron))
    mesh.pod("shop", "once-x", owner=mesh.put("batch/v1", "Job", "shop", "once"))
    mesh.pod("shop", "etl", owner=Ref("example.com/v1", "Workflow", "shop", "etl"), restartPolicy="Never")
    mesh.pod("shop", "static-n1", owner=Ref("v1", "Node", "", "n1"))
    told = why(mesh)
    assert mesh.riders().movers == ()
    assert "nothing would put another pod in its place" in told["Pod shop/bare"]
    assert "next run" in told["CronJob shop/nightly"]
    assert "next run" in told["Job shop/once"]
    assert "runs to its end" in told["Workflow shop/etl"]
    assert "kubelet" in told["Node shop/n1"]


def test_pods_that_have_ended_or_are_ending_do_not_count(mesh: Mesh) -> None:
    mesh.namespace("shop")
    mesh.cluster.edit(mesh.pod("shop", "done"), {"status": {"phase": "Succeeded"}})
    ending = mesh.pod("shop", "ending")
    mesh.cluster.edit(ending, {"metadata": {"finalizers": ["example.com/wait"]}})
    mesh.cluster.delete(ending)
    found = mesh.riders()
    assert (found.movers, found.stayers) == ((), ())


def test_pods_of_another_revision_do_not_count_and_any_is_all(mesh: Mesh) -> None:
    mesh.namespace("shop")
    mesh.workload("Deployment", "shop", "web", "new")
    mesh.workload("Deployment", "shop", "old")
    assert names(mesh.riders("old").movers) == ["Deployment shop/old"]
    assert names(mesh.riders("new").movers) == ["Deployment shop/web"]
    assert len(mesh.riders(None).movers) == 2


def test_the_unnamed_revision_is_called_default_in_pods_and_labels() -> None:
    mesh = Mesh(injector("default", unnamed=True), injector("new"))
    mesh.namespace("shop")
    mesh.namespace("bank", {"istio.io/rev": "default"})
    mesh.workload("Deployment", "shop", "web", "default")
    mesh.workload("Deployment", "bank", "pay", "default")
    found = mesh.riders("")
    assert names(found.movers) == ["Deployment bank/pay", "Deployment shop/web"]
    assert set(found.namespaces) == {"bank", "shop"}


def test_namespaces_are_led_by_injection_revision_or_tag_and_the_first_wins(mesh: Mesh) -> None:
    mesh.namespace("enabled")
    mesh.namespace("revision", OLD)
    mesh.namespace("tag", {"istio.io/rev": "prod"})
    mesh.namespace("both", {"istio.io/rev": "new", "istio-injection": "enabled"})
    mesh.namespace("disabled", {"istio.io/rev": "old", "istio-injection": "disabled"})
    mesh.namespace("elsewhere", {"istio.io/rev": "new"})
    mesh.namespace("unknown", {"istio.io/rev": "nobody"})
    mesh.namespace("silent", {})
    found = mesh.riders().namespaces
    assert dict(found["both"]) == {"istio-injection": "enabled", "istio.io/rev": "new"}
    assert dict(found["tag"]) == {"istio-injection": None, "istio.io/rev": "prod"}
    assert list(found) == ["both", "enabled", "revision", "tag"]


def test_a_namespace_whose_tag_webhooks_are_gone_still_wants_the_revision_it_names(mesh: Mesh) -> None:
    mesh.namespace("shop", OLD)
    mesh.workload("Deployment", "shop", "web")
    for each in mesh.cluster.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"):
        mesh.cluster.delete(each.ref)
    assert names(mesh.riders().movers) == ["Deployment shop/web"]


def test_a_namespace_that_is_led_elsewhere_already_keeps_its_workloads_unless_that_is_where_they_go(
    mesh: Mesh,
) -> None:
    mesh.namespace("shop", {"istio.io/rev": "new"})
    mesh.workload("Deployment", "shop", "web")
    assert names(mesh.riders(to="new").movers) == ["Deployment shop/web"]
    assert "to revision new" in why(mesh, to="newer")["Deployment shop/web"]


def test_pods_whose_own_label_names_a_tag_or_asks_for_the_default_move_late(mesh: Mesh) -> None:
    mesh.namespace("quiet", {})
    mesh.workload("Deployment", "quiet", "asks", labels={"sidecar.istio.io/inject": "true"})
    mesh.workload("Deployment", "quiet", "tagged", labels={"istio.io/rev": "prod"})
    found = mesh.riders()
    assert names(found.late) == ["Deployment quiet/asks", "Deployment quiet/tagged"]
    assert "istio.io/rev=prod" in found.late[1].why
    assert (found.movers, found.stayers, found.namespaces) == ((), (), {})


def test_pods_whose_own_label_names_the_revision_stay_until_their_owner_changes_it(mesh: Mesh) -> None:
    mesh.namespace("quiet", {})
    mesh.workload("Deployment", "quiet", "pinned", labels=OLD)
    assert "istio.io/rev=old" in why(mesh)["Deployment quiet/pinned"]


def test_a_namespace_that_is_injected_by_default_is_led_as_one_with_a_label() -> None:
    mesh = Mesh(injector("default", unnamed=True, auto=True), injector("new"))
    mesh.namespace("quiet", {})
    mesh.namespace("empty", {})
    mesh.workload("Deployment", "quiet", "web", "default")
    found = mesh.riders("")
    assert names(found.movers) == ["Deployment quiet/web"]
    assert dict(found.namespaces) == {"quiet": (("istio-injection", None), ("istio.io/rev", None))}


@pytest.mark.parametrize(
    ("namespace", "labels"),
    [
        ({"istio-injection": "disabled"}, {}),
        (ENABLED, {"sidecar.istio.io/inject": "false"}),
        ({}, {}),
        ({}, {"istio.io/rev": "nobody"}),
    ],
)
def test_what_nothing_injects_any_more_is_not_moved_as_it_would_lose_its_proxy(
    mesh: Mesh, namespace: dict[str, str], labels: dict[str, str]
) -> None:
    mesh.namespace("shop", namespace)
    mesh.workload("Deployment", "shop", "web", labels=labels)
    found = mesh.riders(to="new")
    assert found.movers == ()
    assert names(found.losing) == ["Deployment shop/web"]
    assert [each.name for each in found.stayers] == ["Deployment shop/web"]


def test_workloads_of_a_namespace_that_is_being_deleted_stay(mesh: Mesh) -> None:
    mesh.namespace("shop")
    web = mesh.workload("Deployment", "shop", "web")
    for each in mesh.cluster.all():
        if each.ref.namespace == "shop":
            mesh.cluster.edit(each.ref, {"metadata": {"finalizers": ["example.com/wait"]}})
    mesh.cluster.delete(Ref("v1", "Namespace", "", "shop"))
    found = mesh.riders()
    assert web not in [each.ref for each in found.movers]
    assert found.namespaces == {}


def test_gateways_are_told_apart_and_the_meshs_own_are_left_out(mesh: Mesh) -> None:
    mesh.namespace("edge")
    mesh.workload("Deployment", "edge", "ingress", role="router")
    ours = mesh.workload("Deployment", "edge", "ours", role="router")
    mesh.cluster.edit(ours, {"metadata": {"labels": {"meshctl.dev/mesh": "m"}}})
    found = mesh.riders()
    assert names(found.gateways) == ["Deployment edge/ingress"]
    assert (found.movers, found.stayers) == ((), ())


def test_a_proxy_that_nobody_injected_is_left_to_its_installer(mesh: Mesh) -> None:
    mesh.namespace("edge")
    ref = mesh.workload("Deployment", "edge", "ingress", role="router")
    for each in mesh.cluster.list("v1", "Pod", namespace="edge"):
        mesh.cluster.edit(each.ref, {"metadata": {"annotations": None}})
        mesh.cluster.edit(each.ref, {"metadata": {"annotations": {"istio.io/rev": "old"}}})
    assert "whoever installed it" in why(mesh)[str(ref)]


def test_a_proxy_put_into_the_template_by_hand_is_told(mesh: Mesh) -> None:
    mesh.namespace("shop", {})
    ref = mesh.workload("Deployment", "shop", "web")
    notes = {"sidecar.istio.io/status": "{}"}
    mesh.cluster.edit(ref, {"spec": {"template": {"metadata": {"annotations": notes}}}})
    assert "by hand" in why(mesh)[str(ref)]


def test_what_istiod_makes_for_a_gateway_follows_its_namespace_where_a_label_leads_that(mesh: Mesh) -> None:
    mesh.namespace("edge")
    mesh.namespace("quiet", {})
    mesh.gateway("edge", "led")
    mesh.gateway("quiet", "free")
    mesh.gateway("edge", "pinned", **{"istio__io_rev": "old"})
    found = mesh.riders()
    assert names(found.movers) == ["Deployment edge/led-istio"]
    assert names(found.gateways) == ["Deployment edge/pinned-istio", "Deployment quiet/free-istio"]
    assert {each.method for each in found.moving} == {Method.FOLLOW}


def test_machines_that_are_connected_to_an_istiod_of_the_revision_stay(mesh: Mesh) -> None:
    mesh.namespace("istio-system", {})
    mesh.namespace("vms")
    for revision in ("old", "new"):
        mesh.put(
            "v1",
            "Pod",
            "istio-system",
            f"istiod-{revision}",
            labels={"app": "istiod", "istio.io/rev": revision},
        )
        notes = {"istio.io/workloadController": f"istiod-{revision}", "istio.io/connectedAt": "now"}
        mesh.put("networking.istio.io/v1", "WorkloadEntry", "vms", f"vm-{revision}", annotations=notes)
    assert list(why(mesh)) == ["machine vms/vm-old"]


def test_a_workload_that_is_not_ready_is_told_before_it_moves(mesh: Mesh) -> None:
    mesh.namespace("shop")
    ref = mesh.workload("Deployment", "shop", "web", pods=2)
    mesh.pod("shop", "rc-1", owner=mesh.put("v1", "ReplicationController", "shop", "rc"), ready=False)
    mesh.cluster._settles = False
    mesh.cluster.edit(ref, {"status": {"availableReplicas": 1}})
    told = {str(ref): cause for ref, cause in mesh.riders().unready.items()}
    assert told["Deployment shop/web"] == "1 of 2 replicas are available"
    assert "ReplicationController shop/rc" in told


def test_a_gateway_whose_label_names_another_control_plane_is_left_to_its_owner(mesh: Mesh) -> None:
    mesh.namespace("edge")
    mesh.gateway("edge", "gw", **{"istio__io_rev": "third"})
    assert "revision third" in why(mesh, to="new")["Deployment edge/gw-istio"]
