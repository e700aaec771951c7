"""Removal: the order, what stays and why, and the same end however often it is cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.manifest import Manifest
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Delete, Plan, Save
from meshctl.model.release import Release, Status
from meshctl.model.removal import Scope
from meshctl.stages.applying.apply import apply
from meshctl.stages.planning.plan import plan
from meshctl.stages.removing.belongings import sight
from meshctl.stages.removing.removal import removal
from meshctl.stages.removing.residue import Remainder, residue
from meshctl.stages.seeing.observe import inventory, look, observe
from tests.building import obj, part, ref, release, words
from tests.fakes import KINDS, FakeClock, FakeCluster, FakeFiles, FakeReleases, kind_of, webhooks_that_answer

NS = "istio-system"
ISTIO = {"app.kubernetes.io/part-of": "istio"}
CLASSES = kind_of("gateway.networking.k8s.io/v1", "GatewayClass", namespaced=False, plural="gatewayclasses")
GATEWAYS = kind_of("gateway.networking.k8s.io/v1", "Gateway")


def definition() -> Object:
    spec = {
        "group": "security.istio.io",
        "scope": "Namespaced",
        "names": {"kind": "PeerAuthentication", "plural": "peerauthentications"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    }
    return obj("CustomResourceDefinition", "peerauthentications.security.istio.io", labels=ISTIO, spec=spec)


def webhook(kind: str, name: str, service: str = "istiod", **meta: Any) -> Object:
    client = {"service": {"name": service, "namespace": NS, "path": "/inject"}}
    return obj(kind, name, webhooks=[{"name": "a.istio.io", "clientConfig": client}], **meta)


MESH = Manifest(
    (
        part(
            "base",
            obj("Namespace", NS),
            definition(),
            obj("ServiceAccount", "istio-reader", NS, labels=ISTIO),
        ),
        part(
            "istiod",
            obj("Deployment", "istiod", NS, labels={"app": "istiod", **ISTIO}, spec={"replicas": 1}),
            obj("Service", "istiod", NS, labels={"app": "istiod", **ISTIO}),
            obj("ClusterRole", "istiod-clusterrole-istio-system", labels=ISTIO),
            webhook("MutatingWebhookConfiguration", "istio-sidecar-injector", labels=ISTIO),
            webhook("ValidatingWebhookConfiguration", "istio-validator-istio-system", labels=ISTIO),
            needs=("base",),
        ),
        part(
            "gateway",
            obj("Deployment", "istio-ingressgateway", NS, labels=ISTIO, spec={"replicas": 1}),
            obj("Service", "istio-ingressgateway", NS, labels=ISTIO),
            needs=("istiod",),
        ),
    )
)


class World:
    """A cluster with a user's things in it, and the few steps that actions take."""

    def __init__(self, *before: Object) -> None:
        self.clock = FakeClock(tick=0.01)
        self.cluster = FakeCluster("east", kinds=(*KINDS, CLASSES, GATEWAYS), clock=self.clock)
        self.releases, self.files = FakeReleases(), FakeFiles()
        for each in (obj("Namespace", "shop"), obj("ConfigMap", "web", "shop"), *before):
            self.cluster.seed(each.content)
        self.before = inventory(self.cluster)

    def do(self, steps: Plan) -> None:
        for _ in apply(self.cluster, self.releases, self.files, self.clock, steps):
            pass

    def install(self, *, adopt: bool = False) -> None:
        given = release(status=Status.PENDING, generation=0, inventory=self.before)
        seen = replace(observe(self.cluster, self.releases, "mesh"), objects=look(self.cluster, MESH.refs))
        self.do(plan(MESH, seen, given, adopt=adopt))

    def run_for_a_while(self) -> None:
        """What istiod makes once it runs."""
        for namespace in (NS, "shop", "default"):
            self.seed(obj("ConfigMap", "istio-ca-root-cert", namespace))
        self.seed(obj("ConfigMap", "istio-leader", NS))
        self.seed(obj("Lease", "istio-gateway-deployment-default", NS))
        self.seed(obj("Secret", "istio-ca-secret", NS))
        self.seed(obj("GatewayClass", "istio", spec={"controllerName": "istio.io/gateway-controller"}))

    def seed(self, *objects: Object) -> None:
        for each in objects:
            self.cluster.seed(each.content)

    def plan(self, scope: Scope) -> Plan:
        seen = observe(self.cluster, self.releases, scope.mesh)
        refs = {each for record in seen.releases for each in record.refs}
        found = {**look(self.cluster, refs), **sight(self.cluster, seen.kinds)}
        return removal(replace(seen, objects=found), scope, inventory(self.cluster))

    def uninstall(self, **scope: Any) -> Plan:
        steps = self.plan(Scope("mesh", seconds=2, **scope))
        self.do(steps)
        return steps

    def residue(self, **scope: Any) -> tuple[Remainder, ...]:
        seen = sight(self.cluster, self.cluster.kinds())
        return residue(self.before, inventory(self.cluster), seen, Scope("mesh", **scope))


@pytest.fixture
def world() -> World:
    made = World()
    made.install()
    made.run_for_a_while()
    return made


def deleted(steps: Plan) -> set[Ref]:
    return {step.ref for step in steps.steps if isinstance(step, Delete)}


def test_a_purge_goes_from_the_outside_in_and_forgets_last(world: World) -> None:
    world.seed(obj("PeerAuthentication", "strict", "shop"))
    assert words(world.plan(Scope("mesh", purge=True))) == [
        "Record what is intended",
        "  record 1 uninstalling",
        "Save your Istio resources",
        "  save PeerAuthentication shop/strict to istio-resources.yaml",
        "Remove webhooks and admission policies",
        "  delete MutatingWebhookConfiguration istio-sidecar-injector",
        "  delete ValidatingWebhookConfiguration istio-validator-istio-system",
        "Remove workloads",
        "  delete Deployment istio-system/istio-ingressgateway",
        "  delete Deployment istio-system/istiod",
        "Remove all the rest",
        "  delete Namespace istio-system",
        "  delete Service istio-system/istio-ingressgateway",
        "  delete ClusterRole istiod-clusterrole-istio-system",
        "  delete Service istio-system/istiod",
        "  delete ServiceAccount istio-system/istio-reader",
        "  delete CustomResourceDefinition peerauthentications.security.istio.io",
        "Wait until they are gone",
        "  await Deployment istio-system/istio-ingressgateway gone",
        "  await Deployment istio-system/istiod gone",
        "  await CustomResourceDefinition peerauthentications.security.istio.io gone",
        "  await Namespace istio-system gone",
        "Remove what istiod made",
        "  delete GatewayClass istio",
        "  delete GatewayClass istio-east-west",
        "  delete GatewayClass istio-remote",
        "  delete GatewayClass istio-waypoint",
        "  delete ConfigMap default/istio-ca-crl",
        "  delete ConfigMap default/istio-ca-root-cert",
        "  delete ConfigMap kube-system/istio-ca-crl",
        "  delete ConfigMap kube-system/istio-ca-root-cert",
        "  delete ConfigMap shop/istio-ca-crl",
        "  delete ConfigMap shop/istio-ca-root-cert",
        "  delete Secret istio-system/istio-ca-secret",
        "Forget the records",
        "  record 1 forget",
    ]


def test_after_a_purge_the_cluster_is_as_it_was(world: World) -> None:
    world.seed(obj("PeerAuthentication", "strict", "shop", spec={"mtls": {"mode": "STRICT"}}))
    world.uninstall(purge=True)
    assert inventory(world.cluster) == world.before
    assert world.residue(purge=True) == ()
    assert world.releases.of("mesh") == ()
    assert "STRICT" in world.files.texts["istio-resources.yaml"]


def test_without_purge_definitions_and_the_users_resources_stay_and_are_named(world: World) -> None:
    world.seed(obj("PeerAuthentication", "strict", "shop"))
    steps = world.uninstall()
    assert not [step for step in steps.steps if isinstance(step, Save)]
    assert [(str(each.ref), each.meant) for each in world.residue()] == [
        ("CustomResourceDefinition peerauthentications.security.istio.io", True),
        ("PeerAuthentication shop/strict", True),
    ]


def test_removing_twice_has_nothing_to_do_the_second_time(world: World) -> None:
    world.uninstall(purge=True)
    assert world.plan(Scope("mesh", purge=True)).is_empty


def count_of_writes() -> int:
    one = World()
    with webhooks_that_answer():
        one.install()
    one.run_for_a_while()
    one.cluster.writes.clear()
    one.uninstall(purge=True)
    return len(one.cluster.writes)


@pytest.mark.parametrize("cut", range(0, count_of_writes(), 2))
def test_a_removal_cut_short_anywhere_ends_the_same_when_it_is_run_again(world: World, cut: int) -> None:
    world.cluster.writes.clear()
    deletes = world.cluster.delete
    left = cut

    def dying(each: Ref, *, foreground: bool = False, grace: int | None = None) -> bool:
        nonlocal left
        if left == 0:
            raise FailedError("killed", "the process was killed")
        left -= 1
        return deletes(each, foreground=foreground, grace=grace)

    world.cluster.delete = dying  # type: ignore[method-assign]
    with pytest.raises(MeshctlError):
        world.uninstall(purge=True)
    world.cluster.delete = deletes  # type: ignore[method-assign]
    world.uninstall(purge=True)
    assert inventory(world.cluster) == world.before
    assert world.releases.of("mesh") == ()


def test_a_mesh_whose_record_is_lost_is_found_by_its_labels(world: World) -> None:
    world.releases.records.clear()
    world.uninstall(purge=True)
    assert inventory(world.cluster) == world.before


def test_a_mesh_that_istioctl_installed_is_removed_without_a_record() -> None:
    world = World()
    component = {"operator.istio.io/component": "Pilot"}
    world.seed(
        obj("Namespace", NS),
        obj("Deployment", "istiod", NS, labels={"app": "istiod", **component}),
        obj("ConfigMap", "istio", NS, labels=component),
        webhook(
            "MutatingWebhookConfiguration", "istio-revision-tag-default", labels={"istio.io/tag": "default"}
        ),
        obj("ClusterRole", "istiod-clusterrole-istio-system", labels=component),
    )
    world.run_for_a_while()
    world.uninstall(purge=True)
    assert inventory(world.cluster) == world.before


def test_what_was_there_before_the_install_stays_and_is_named() -> None:
    world = World(obj("Namespace", NS), definition())
    world.install()
    steps = world.uninstall(purge=True)
    assert inventory(world.cluster) == world.before
    assert [warning.split(" stays: ")[0] for warning in steps.warnings] == [
        "CustomResourceDefinition peerauthentications.security.istio.io",
        f"Namespace {NS}",
    ]


def test_resources_whose_definition_was_there_before_stay() -> None:
    world = World(obj("Namespace", NS), definition())
    world.install()
    mine = obj("PeerAuthentication", "strict", "shop")
    world.seed(mine)
    world.uninstall(purge=True)
    assert world.cluster.get(mine.ref) is not None


def test_a_namespace_that_holds_what_others_made_stays_and_is_named(world: World) -> None:
    world.seed(obj("Deployment", "kiali", NS), obj("Secret", "cacerts", NS))
    steps = world.uninstall(purge=True)
    assert steps.warnings == (
        f"Namespace {NS} stays: it holds what is not the mesh's: Deployment {NS}/kiali, Secret {NS}/cacerts",
    )
    assert [str(each.ref) for each in world.residue(purge=True) if each.meant] == [
        f"Deployment {NS}/kiali",
        f"Namespace {NS}",
        f"Secret {NS}/cacerts",
    ]


def test_namespaces_made_for_parts_go_where_nobody_else_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = MESH.parts
    more = (*first.objects, obj("Namespace", "edge"), obj("Namespace", "used"), obj("Namespace", "shop"))
    monkeypatch.setattr(f"{__name__}.MESH", Manifest((replace(first, objects=more), *rest)))
    world = World()
    world.install()
    world.run_for_a_while()
    world.seed(obj("ConfigMap", "istio-ca-root-cert", "edge"), obj("Deployment", "web", "used"))
    steps = world.uninstall(purge=True)
    assert {each.name for each in deleted(steps) if each.kind == "Namespace"} == {NS, "edge"}
    assert "Namespace used stays: it holds what is not the mesh's: Deployment used/web" in steps.warnings


def test_what_a_starting_istiod_has_yet_to_make_goes_too() -> None:
    world = World()
    world.install()
    steps = world.plan(Scope("mesh", purge=True))
    world.run_for_a_while()
    world.do(steps)
    assert inventory(world.cluster) == world.before


def test_an_adopted_mesh_goes_with_all_that_its_istiod_had_made_before() -> None:
    world = World()
    bare = world.before
    for each in MESH.objects:
        world.seed(each)
    world.run_for_a_while()
    world.before = inventory(world.cluster)
    world.install(adopt=True)
    world.uninstall(purge=True)
    assert inventory(world.cluster) == bare


def test_the_ca_key_stays_when_asked(world: World) -> None:
    key = ref("Secret", "istio-ca-secret", NS)
    assert key not in deleted(world.plan(Scope("mesh", keep_ca=True)))
    assert key in deleted(world.plan(Scope("mesh")))


def test_links_to_other_clusters_go_with_purge_alone(world: World) -> None:
    link = obj("Secret", "istio-remote-secret-west", NS)
    world.seed(link)
    assert link.ref not in deleted(world.plan(Scope("mesh")))
    assert link.ref in deleted(world.plan(Scope("mesh", purge=True)))


def test_generated_gateways_go_and_the_gateways_of_the_user_stay(world: World) -> None:
    made = {"gateway.istio.io/managed": "istio.io-gateway-controller"}
    generated = [
        obj(kind, "web-istio", "shop", labels=made) for kind in ("Deployment", "Service", "ServiceAccount")
    ]
    world.seed(*generated, obj("Gateway", "web", "shop", spec={"gatewayClassName": "istio"}))
    steps = world.uninstall()
    assert {each.ref for each in generated} <= deleted(steps)
    assert world.cluster.get(ref("Gateway", "web", "shop")) is not None
    assert "Gateway shop/web stays: you made it; nothing serves it any more" in steps.warnings


def test_a_webhook_that_nothing_would_answer_goes_though_nobody_lists_it(world: World) -> None:
    orphan = webhook("ValidatingWebhookConfiguration", "istiod-default-validator")
    world.seed(orphan)
    assert orphan.ref in deleted(world.plan(Scope("mesh")))


def test_another_control_plane_keeps_what_both_share(world: World) -> None:
    other = obj("Deployment", "istiod-canary", NS, labels={"app": "istiod", **ISTIO})
    service = obj("Service", "istiod-canary", NS, labels=ISTIO)
    tag = webhook("MutatingWebhookConfiguration", "istio-revision-tag-canary", "istiod-canary")
    world.seed(other, service, tag)
    steps = world.uninstall()
    assert world.cluster.get(other.ref) is not None
    assert world.cluster.get(tag.ref) is not None
    assert world.cluster.get(ref("ConfigMap", "istio-ca-root-cert", "shop")) is not None
    assert f"what control planes share stays, as these remain: {NS}/istiod-canary" in steps.warnings


def test_labels_that_meshctl_put_on_namespaces_are_put_back(world: World) -> None:
    shop = ref("Namespace", "shop")
    world.cluster.edit(shop, {"metadata": {"labels": {"istio.io/rev": "a", "istio-injection": "enabled"}}})
    (record,) = world.releases.of("mesh")
    before = (("shop", (("istio.io/rev", "old"), ("team", "web"))),)
    world.releases.write(replace(record, labelled=before))
    world.uninstall()
    there = world.cluster.get(shop)
    assert there is not None
    assert {key: value for key, value in there.labels.items() if "istio" in key} == {"istio.io/rev": "old"}


def test_a_namespace_that_stays_loses_the_labels_that_only_our_install_gave_it() -> None:
    world = World(obj("Namespace", NS, labels={"team": "web"}))
    home = ref("Namespace", NS)
    network = {"topology.istio.io/network": "west"}
    sent = obj(
        "Namespace", NS, labels={"meshctl.dev/mesh": "mesh", "meshctl.dev/component": "base", **network}
    )
    world.install()
    world.cluster.apply(sent)
    world.cluster.edit(home, {"metadata": {"labels": {"later": "theirs"}}}, manager="somebody")
    assert "it is still labelled as part of the mesh" in {each.why for each in world.residue()}
    world.uninstall(purge=True)
    there = world.cluster.get(home)
    assert there is not None
    assert set(there.labels) - {"kubernetes.io/metadata.name"} == {"team", "later"}
    assert world.residue(purge=True) == ()


def test_namespaces_that_the_user_labelled_are_named_and_left(world: World) -> None:
    world.cluster.edit(ref("Namespace", "shop"), {"metadata": {"labels": {"istio-injection": "enabled"}}})
    steps = world.uninstall(purge=True)
    assert any("you labelled it istio-injection=enabled" in warning for warning in steps.warnings)
    assert [str(each.ref) for each in world.residue(purge=True)] == ["Namespace shop"]


def test_a_namespace_already_terminating_is_only_awaited(world: World) -> None:
    stuck = obj("ConfigMap", "held", NS, finalizers=["example.com/wait"])
    world.seed(stuck)
    world.cluster.delete(ref("Namespace", NS))
    steps = world.plan(Scope("mesh", purge=True))
    assert ref("Namespace", NS) not in deleted(steps)
    assert f"  await Namespace {NS} gone" in words(steps)


def test_finalizers_of_the_users_resources_are_named(world: World) -> None:
    world.seed(obj("PeerAuthentication", "held", "shop", finalizers=["example.com/wait"]))
    steps = world.plan(Scope("mesh", purge=True))
    assert any(
        "PeerAuthentication shop/held" in each and "example.com/wait" in each for each in steps.warnings
    )


def test_with_consent_finalizers_are_stripped_after_the_resource_is_saved(world: World) -> None:
    world.seed(obj("PeerAuthentication", "held", "shop", finalizers=["example.com/wait"]))
    world.uninstall(purge=True, strip=True)
    assert inventory(world.cluster) == world.before
    assert "name: held" in world.files.texts["istio-resources.yaml"]


def test_what_the_removal_missed_is_told_as_residue(world: World) -> None:
    left: Sequence[Object] = (
        obj("ConfigMap", "istio-ca-root-cert", "shop"),
        obj("ClusterRole", "istiod-clusterrole-b-istio-system"),
        obj("NetworkPolicy", "istiod", "shop", labels=ISTIO),
    )
    world.uninstall(purge=True)
    world.seed(*left, obj("ConfigMap", "mine", "shop"))
    found = world.residue(purge=True)
    assert {each.ref for each in found} == {each.ref for each in left}
    assert not any(each.meant for each in found)


def test_one_revision_goes_and_what_others_have_stays() -> None:
    world = World()
    shared, mine = obj("ClusterRole", "shared", labels=ISTIO), obj("ConfigMap", "istio-b", NS, labels=ISTIO)
    world.seed(obj("Namespace", NS), shared, mine)
    for record in (
        release(Manifest((part("istiod", shared),)), 1),
        release(Manifest((part("istiod", shared, mine),)), 2, revision="b"),
    ):
        world.releases.write(record)
    steps = world.plan(Scope("mesh", revision="b"))
    assert deleted(steps) == {mine.ref}
    forgotten: list[Release] = [step.release for step in steps.phases[-1].steps]  # type: ignore[union-attr]
    assert [each.generation for each in forgotten] == [2]
