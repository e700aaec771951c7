"""What would keep an install from working: each fault is found, and a sound cluster passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.checks import before_install, checks, run
from meshctl.checks.rights import as_rules
from meshctl.checks.site import Site
from meshctl.errors import AccessError, UnsupportedError
from meshctl.model.check import Moment
from meshctl.model.finding import Finding
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object
from meshctl.model.right import Right
from meshctl.ports import World
from meshctl.stages.permitting.commands import Work, install
from meshctl.stages.settings.load import load
from tests.building import obj, part, release
from tests.fakes import KINDS, FakeClock, FakeCluster, FakeFiles, FakeReleases, kind_of

NS = "istio-system"
GATEWAYS = kind_of("gateway.networking.k8s.io/v1", "Gateway")
ISTIOS = kind_of("sailoperator.io/v1", "Istio", namespaced=False)
PODS = [{"resources": ["pods"]}]


def node(name: str = "n1", *, ready: bool = True, cpu: str = "4", memory: str = "8Gi", **spec: Any) -> Object:
    status = {
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "allocatable": {"cpu": cpu, "memory": memory},
    }
    return obj("Node", name, spec=spec, status=status)


def injector(name: str, namespace_selector: dict, service: str = "istiod") -> Object:
    client = {"service": {"name": service, "namespace": NS}}
    hook = {
        "name": "a.istio.io",
        "rules": PODS,
        "namespaceSelector": namespace_selector,
        "clientConfig": client,
    }
    return obj("MutatingWebhookConfiguration", name, webhooks=[hook])


ENABLED = {"matchLabels": {"istio-injection": "enabled"}}
ISTIOD = obj(
    "Deployment",
    "istiod",
    NS,
    labels={"app": "istiod"},
    spec={
        "replicas": 1,
        "template": {"spec": {"containers": [{"resources": {"requests": {"cpu": "500m", "memory": "2Gi"}}}]}},
    },
)
HOME = obj("Namespace", NS)
CRD = obj("CustomResourceDefinition", "gateways.networking.istio.io", spec={"group": "a"})
RULE = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}
MESH = Manifest(
    (
        part("base", obj("Namespace", NS), CRD, obj("ClusterRole", "istiod", rules=[RULE])),
        part(
            "istiod",
            ISTIOD,
            injector("istio-sidecar-injector", ENABLED),
            obj("Service", "ingress", NS, spec={"type": "LoadBalancer"}),
        ),
    )
)


def site(*objects: Object, nodes: tuple[Object, ...] = (node(),), **more: Any) -> Site:
    cluster = FakeCluster("east", kinds=(*KINDS, GATEWAYS, ISTIOS))
    for each in (*nodes, *objects):
        cluster.seed(each.content)
    needs = install(Work(MESH, "mesh", NS, kinds=cluster.kinds()))
    return Site(cluster, desired=MESH, kinds=cluster.kinds(), needs=needs, **more)


def ask(where: Site) -> list[Finding]:
    chosen = [each for each in checks() if each.fits(Moment.BEFORE)]
    outcomes = run(where, chosen, FakeClock())
    assert any(each.findings for each in outcomes) or all(each.passed for each in outcomes)
    return [finding for outcome in outcomes for finding in outcome.findings]


def found(where: Site) -> dict[str, str]:
    return {each.rule.code: f"{each.subject}: {each.message}" for each in ask(where)}


def test_a_sound_cluster_passes() -> None:
    assert found(site()) == {}


def test_a_kubernetes_out_of_range_is_told_with_the_range() -> None:
    def refuse(version: str) -> str:
        raise UnsupportedError("kubernetes-unsupported", f"Kubernetes {version} is outside >=1.99")

    assert found(site(require_kubernetes=refuse)) == {
        "kubernetes-in-range": "cluster east: Kubernetes v1.34.4 is outside >=1.99"
    }


def test_a_kubernetes_that_was_not_tested_is_a_warning() -> None:
    told = found(site(require_kubernetes=lambda version: f"{version} is new"))
    assert told == {"kubernetes-tested": "cluster east: v1.34.4 is new"}


def test_missing_rights_are_told_as_the_rules_that_grant_them() -> None:
    where = site()
    where.cluster.denied |= {
        ("patch", "clusterroles"),
        ("create", "clusterroles"),
        ("escalate", "clusterroles"),
    }  # type: ignore[attr-defined]
    told = found(where)
    rule = '- {apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"], '
    assert told["rights-complete"] == (
        "cluster east: 2 rights are missing; these rules grant them:\n"
        f'{rule}resourceNames: ["istiod"], verbs: ["create", "patch"]}}  # ClusterRole'
    )


def test_who_cannot_grant_what_the_mesh_s_roles_hold_is_told_what_is_missing() -> None:
    where = site()
    where.cluster.denied |= {("escalate", "clusterroles"), ("patch", "nodes")}  # type: ignore[attr-defined]
    assert found(where)["rights-to-grant"] == (
        "cluster east: to hand on ClusterRole istiod, these rules are missing:\n"
        '- {apiGroups: [""], resources: ["nodes"], verbs: ["patch"]}  # ClusterRole'
    )
    where.cluster.denied.remove(("escalate", "clusterroles"))  # type: ignore[attr-defined]
    assert found(where) == {}


def test_rights_are_asked_for_where_the_objects_are() -> None:
    asked = install(Work(Manifest((part("istiod", ISTIOD),)), "mesh", NS, kinds=KINDS)).rights
    assert Right(NS, "apps", "deployments", "patch", "istiod") in asked
    assert Right(NS, "", "pods", "watch") in asked
    assert Right("kube-system", "", "secrets", "create", "meshctl.mesh.v1") in asked
    assert as_rules([Right("a", "", "pods", "list")])[0].endswith("# Role in namespace a")


def test_a_control_plane_of_another_mesh_of_ours_is_told_as_ours() -> None:
    labels = {"app": "istiod", "operator.istio.io/component": "Pilot", "meshctl.dev/mesh": "other"}
    there = obj("Deployment", "istiod", NS, labels=labels)
    assert found(site(HOME, there))["revision-unclaimed"].endswith("installed by meshctl for mesh 'other'")


def test_a_control_plane_of_another_tool_is_told_with_that_tool() -> None:
    labels = {"app": "istiod", "operator.istio.io/component": "Pilot"}
    there = obj("Deployment", "istiod", NS, labels=labels)
    assert found(site(HOME, there))["revision-unclaimed"] == (
        f"Deployment {NS}/istiod: revision 'default' is run by it, installed by istioctl"
    )
    assert "revision-unclaimed" not in found(site(HOME, there, revision="b"))
    assert "revision-unclaimed" not in found(site(HOME, there, releases=(release(MESH),)))


def test_helm_is_named_with_its_release() -> None:
    there = obj(
        "Deployment",
        "istiod",
        NS,
        labels={"app": "istiod", "app.kubernetes.io/managed-by": "Helm"},
        annotations={"meta.helm.sh/release-name": "mesh"},
    )
    assert found(site(HOME, there))["revision-unclaimed"].endswith("installed by Helm release 'mesh'")


def test_a_webhook_that_injects_into_the_same_pods_is_told() -> None:
    service = obj("Service", "istiod", NS)
    slice_ = obj("EndpointSlice", "a", NS, labels={"kubernetes.io/service-name": "istiod"}, endpoints=[{}])
    slice_ = Object({**slice_.content, "apiVersion": "discovery.k8s.io/v1"})
    same, other = injector("tag-default", ENABLED), injector("tag-b", {"matchLabels": {"istio.io/rev": "b"}})
    assert found(site(HOME, service, slice_, same)) == {
        "injector-alone": "MutatingWebhookConfiguration tag-default: it selects the same pods: a.istio.io"
    }
    assert found(site(HOME, service, slice_, other)) == {}


def test_an_operator_that_keeps_an_istio_is_told() -> None:
    istio = Object({"apiVersion": "sailoperator.io/v1", "kind": "Istio", "metadata": {"name": "default"}})
    assert list(found(site(istio))) == ["no-operator"]


def test_definitions_of_others_are_told_with_their_owner() -> None:
    where = site()
    where.cluster.seed(CRD.content | {"spec": _serving()}, manager="helm")  # type: ignore[attr-defined]
    assert found(where)["definitions-unclaimed"] == (
        "cluster east: gateways.networking.istio.io belongs to helm, installed by an unknown tool"
    )


def _serving() -> dict[str, Any]:
    names = {"kind": "Gateway", "plural": "gateways"}
    return {
        "group": "networking.istio.io",
        "scope": "Namespaced",
        "names": names,
        "versions": [{"name": "v1", "served": True}],
    }


def test_fields_that_an_install_would_take_are_told_one_by_one() -> None:
    where = site(conflicts=lambda: (f"ConfigMap {NS}/istio: data.mesh is 'a', wanted 'b'; owned by helm",))
    assert found(where) == {
        "fields-unclaimed": f"ConfigMap {NS}/istio: data.mesh is 'a', wanted 'b'; owned by helm"
    }


def test_an_absent_gateway_api_is_told() -> None:
    where = site()
    assert list(found(replace(where, kinds=tuple(k for k in where.kinds if k != GATEWAYS)))) == [
        "gateway-api-present"
    ]


@pytest.mark.parametrize(
    ("policy", "resources", "is_told"),
    [("Fail", ["pods"], True), ("Ignore", ["pods"], False), ("Fail", ["widgets"], False)],
)
def test_a_webhook_that_nobody_answers_is_told_when_it_is_in_the_way(
    policy: str, resources: list[str], is_told: bool
) -> None:
    client = {"service": {"name": "gone", "namespace": "kube-system"}}
    hook = {
        "name": "w.example.com",
        "failurePolicy": policy,
        "rules": [{"resources": resources}],
        "clientConfig": client,
    }
    told = found(site(obj("ValidatingWebhookConfiguration", "w", webhooks=[hook])))
    assert ("webhooks-answered" in told) == is_told


def test_a_service_without_ready_endpoints_does_not_answer() -> None:
    service = obj("Service", "w", "kube-system")
    ends = [{"conditions": {"ready": False}}]
    slice_ = obj(
        "EndpointSlice", "w-1", "kube-system", labels={"kubernetes.io/service-name": "w"}, endpoints=ends
    )
    slice_ = Object({**slice_.content, "apiVersion": "discovery.k8s.io/v1"})
    client = {"service": {"name": "w", "namespace": "kube-system"}}
    hook = {"name": "w.example.com", "rules": PODS, "clientConfig": client}
    told = found(site(service, slice_, obj("ValidatingWebhookConfiguration", "w", webhooks=[hook])))
    assert told["webhooks-answered"].endswith("w.example.com: Service kube-system/w has no ready endpoint")


def test_no_ready_node_breaks_a_rule_and_the_room_is_not_asked_about() -> None:
    assert list(found(site(nodes=(node(ready=False),)))) == ["node-ready"]
    assert list(found(site(nodes=(node(unschedulable=True),)))) == ["node-ready"]
    assert list(found(site(nodes=(node(), node("n2", ready=False))))) == ["every-node-ready"]


def test_a_pod_that_fits_no_node_is_told_with_what_it_asks_for() -> None:
    told = found(site(nodes=(node(memory="1Gi"), node("n2", cpu="100m"))))
    assert told == {
        "nodes-have-room": f"Deployment {NS}/istiod: a pod of it asks for cpu 0.5 and 2048 Mi of memory, "
        "which no ready node has free"
    }


def test_what_runs_already_takes_its_room() -> None:
    spec = {"nodeName": "n1", "containers": [{"resources": {"requests": {"memory": "7Gi"}}}]}
    busy = obj("Pod", "busy", "default", spec=spec, status={"phase": "Running"})
    done = obj("Pod", "done", "default", spec=spec, status={"phase": "Succeeded"})
    assert list(found(site(busy))) == ["nodes-have-room"]
    assert found(site(done)) == {}


def test_a_namespace_being_removed_is_told() -> None:
    where = site(obj("Namespace", NS), obj("ConfigMap", "held", NS, finalizers=["a/b"]))
    where.cluster.delete(obj("Namespace", NS).ref)
    assert found(where)["namespace-stays"] == f"Namespace {NS}: it is being removed"


def test_pod_security_that_refuses_sidecars_is_told_unless_a_node_agent_sets_the_rules() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "istio-injection": "enabled"}
    where = site(obj("Namespace", "shop", labels=labels))
    assert list(found(where)) == ["sidecars-admitted"]
    with_agent = Manifest((*MESH.parts, part("cni", obj("DaemonSet", "istio-cni-node", "kube-system"))))
    assert found(replace(where, desired=with_agent)) == {}


def test_pod_security_that_refuses_node_agents_is_told() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    with_agent = Manifest((*MESH.parts, part("cni", obj("DaemonSet", "istio-cni-node", NS))))
    where = replace(site(obj("Namespace", NS, labels=labels)), desired=with_agent)
    assert found(where)["mesh-pods-admitted"].endswith(
        "it enforces 'baseline', and istio-cni-node must be privileged"
    )


def test_load_balancers_that_never_got_an_address_are_told() -> None:
    waiting = obj("Service", "lb", "default", spec={"type": "LoadBalancer"})
    served = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    other = obj("Service", "lb2", "default", spec={"type": "LoadBalancer"}, status=served)
    assert list(found(site(waiting))) == ["load-balancers-served"]
    assert found(site(waiting, other)) == {}


def test_without_rights_to_look_what_would_be_sent_is_still_asked_about() -> None:
    cluster, clock = FakeCluster("mesh"), FakeClock()
    denied = AccessError("denied", "you may not list nodes")
    cluster.list = _refusing(denied)  # type: ignore[method-assign]
    cluster.denied.add(("create", "deployments"))
    world = World({"mesh": cluster}, {"mesh": FakeReleases()}, clock, FakeFiles())
    asked = load(Inputs(profile="minimal"))
    named = tuple(replace(each, name="mesh") for each in asked.mesh.clusters)
    outcomes = {
        each.check: each
        for each in before_install(world, replace(asked, mesh=replace(asked.mesh, clusters=named)))
    }
    assert outcomes["nodes"].skipped == "you may not list nodes"
    (finding,) = outcomes["rights"].findings
    assert 'resources: ["deployments"], resourceNames: ["istiod"], verbs: ["create"]' in finding.message


def _refusing(error: AccessError) -> Any:
    def refuse(*_: object, **__: object) -> Any:
        raise error

    return refuse
