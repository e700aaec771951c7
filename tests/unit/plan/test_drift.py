"""Drift: what was changed behind our back is told with who did it, and put right by an install."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.doing import do
from meshctl.actions.drift import drifted
from meshctl.actions.install import install
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConflictError
from meshctl.model.drift import Drift, Fate
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Plan
from meshctl.model.release import Status
from meshctl.ports import World
from meshctl.stages.settings.load import load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

NS = "istio-system"
ISTIOD = Ref("apps/v1", "Deployment", NS, "istiod")
GATEWAY = Ref("apps/v1", "Deployment", NS, "istio-ingressgateway")
CONFIG = Ref("v1", "ConfigMap", NS, "istio")
INJECTOR = Ref(
    "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector"
)
VALIDATOR = Ref(
    "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "istio-validator-istio-system"
)
FIXED = (
    "values.gateways.istio-ingressgateway.autoscaleEnabled=false",
    "values.gateways.istio-ingressgateway.replicaCount=2",
)


NO_BASE = "components.base.enabled=false"  # definitions are large, and nothing is asked of them here


class Ground:
    """A mesh in memory, as the last install left it."""

    def __init__(self, *sets: str) -> None:
        self.cluster = FakeCluster("here")
        self.sets = sets
        clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, FakeFiles())
        self.install()

    def plan(self) -> Plan:
        (wave,) = install(self.world, load(Inputs(sets=(NO_BASE, *self.sets), cluster="here")))
        return wave.plan

    def install(self) -> list[str]:
        writes = len(self.cluster.writes)
        list(do(self.world, self.plan()))
        return self.cluster.writes[writes:]

    def drift(self) -> tuple[Drift, ...]:
        (answer,) = drifted(self.world)
        return answer.objects

    def webhook(self, ref: Ref, **entry: Any) -> dict[str, Any]:
        """A patch of the first entry of a webhook configuration."""
        found = self.cluster.get(ref)
        assert found is not None
        first, *others = found.at("webhooks")
        return {"webhooks": [{**first, **entry}, *others]}


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_nothing_has_drifted_after_an_install(ground: Ground) -> None:
    assert ground.drift() == ()


def test_an_edited_field_is_told_with_what_was_sent_what_is_there_and_who_did_it(ground: Ground) -> None:
    ground.cluster.edit(CONFIG, {"data": {"mesh": "mine"}}, manager="kubectl-edit")
    (found,) = ground.drift()
    assert (found.ref, found.fate, found.part) == (CONFIG, Fate.CHANGED, "istiod")
    (change,) = found.changes
    assert (change.path, change.seen) == ("data.mesh", "mine")
    assert "trustDomain: cluster.local" in change.wanted
    assert [(each.manager, each.operation) for each in change.holders] == [("kubectl-edit", "Update")]


def test_an_install_puts_right_what_was_edited_and_says_so_before(ground: Ground) -> None:
    ground.cluster.edit(CONFIG, {"data": {"mesh": "mine"}}, manager="kubectl-edit")
    ground.install()
    assert ground.drift() == ()
    assert ground.plan().is_empty


def test_a_removed_object_is_told_and_comes_back(ground: Ground) -> None:
    ground.cluster.delete(CONFIG)
    assert [(each.ref, each.fate) for each in ground.drift()] == [(CONFIG, Fate.REMOVED)]
    ground.install()
    assert ground.drift() == ()


def test_a_field_that_somebody_removed_comes_back(ground: Ground) -> None:
    ground.cluster.edit(CONFIG, {"data": {"meshNetworks": None}}, manager="kubectl-edit")
    (found,) = ground.drift()
    assert [(each.path, each.seen) for each in found.changes] == [("data.meshNetworks", None)]
    ground.install()
    assert ground.drift() == ()


def test_what_stands_beside_is_no_drift(ground: Ground) -> None:
    ground.cluster.edit(CONFIG, {"data": {"notes": "mine"}}, manager="kubectl-edit")
    ground.cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": NS}})
    assert ground.drift() == ()


def test_what_another_tool_declares_is_told_and_refused_until_it_is_taken_over(ground: Ground) -> None:
    ground.cluster.edit(CONFIG, {"data": {"mesh": "theirs"}}, manager="argocd-controller", operation="Apply")
    (found,) = ground.drift()
    assert not found.changes[0].drifted
    with pytest.raises(ConflictError, match="argocd-controller"):
        ground.plan()


def test_after_istiod_has_flipped_failure_policy_and_patched_its_bundle_nothing_is_sent(
    ground: Ground,
) -> None:
    patch = ground.webhook(VALIDATOR, failurePolicy="Fail")
    ground.cluster.edit(VALIDATOR, patch, manager="pilot-discovery")
    for ref in (VALIDATOR, INJECTOR):
        entry = ground.cluster.get(ref).at("webhooks[0].clientConfig")
        patch = ground.webhook(ref, clientConfig={**entry, "caBundle": "QQ=="})
        ground.cluster.edit(ref, patch, manager="pilot-discovery")
    assert ground.drift() == ()
    assert ground.install() == []


def test_what_aks_does_to_selectors_of_webhooks_stays(ground: Ground) -> None:
    selector = {
        "matchExpressions": [
            {"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]}
        ]
    }
    patch = ground.webhook(INJECTOR, namespaceSelector=selector)
    ground.cluster.edit(INJECTOR, patch, manager="admissionsenforcer")
    assert ground.drift() == ()
    assert ground.install() == []


def test_the_same_selector_changed_by_a_person_is_put_right(ground: Ground) -> None:
    patch = ground.webhook(INJECTOR, namespaceSelector={"matchLabels": {"a": "b"}})
    ground.cluster.edit(INJECTOR, patch, manager="kubectl-edit")
    assert [each.ref for each in ground.drift()] == [INJECTOR]
    ground.install()
    assert ground.drift() == ()


def test_replicas_of_an_autoscaler_are_no_drift() -> None:
    ground = Ground(*FIXED, "values.pilot.autoscaleEnabled=false", "values.pilot.replicaCount=2")
    for ref in (GATEWAY, ISTIOD):
        ground.cluster.edit(ref, {"spec": {"replicas": 5}}, manager="kube-controller-manager")
    assert ground.drift() == ()
    assert ground.install() == []


def test_replicas_that_a_person_has_scaled_are_put_right() -> None:
    ground = Ground(*FIXED)
    ground.cluster.edit(GATEWAY, {"spec": {"replicas": 0}}, manager="kubectl")
    (found,) = ground.drift()
    assert [(each.path, each.seen, each.wanted) for each in found.changes] == [("spec.replicas", 0, 2)]
    ground.install()
    assert ground.cluster.get(GATEWAY).at("spec.replicas") == 2


def test_what_a_run_that_was_cut_short_has_sent_is_no_drift(ground: Ground) -> None:
    ground.sets = ("meshConfig.accessLogFile=/dev/stdout",)
    steps = ground.plan()
    for step in (each for phase in steps.phases for each in phase.steps if hasattr(each, "object")):
        ground.cluster.apply(step.object)
    desired = next(each.release for phase in steps.phases for each in phase.steps if hasattr(each, "release"))
    ground.releases.write(replace(desired, status=Status.FAILED))
    assert ground.drift() == ()
    ground.cluster.edit(CONFIG, {"data": {"mesh": "mine"}}, manager="kubectl-edit")
    assert [each.ref for each in ground.drift()] == [CONFIG]


def test_an_object_of_that_name_that_somebody_else_made_is_not_put_right_unasked(ground: Ground) -> None:
    ground.cluster.delete(CONFIG)
    anew = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": NS}}
    ground.cluster.seed({**anew, "data": {"mesh": "theirs"}}, "helm")
    assert [each.ref for each in ground.drift()] == [CONFIG]
    with pytest.raises(ConflictError, match="helm"):
        ground.plan()
