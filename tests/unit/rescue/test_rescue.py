"""A cluster that cannot make pods, as nobody answers its webhooks, is mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.rescue import Rescue, mend, rescue
from meshctl.errors import ConflictError, FailedError
from meshctl.model.event import Done, Event, Skipped, Warned
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply, Delete
from meshctl.model.rescue import Remedy
from tests.fakes import FakeReleases
from tests.two_planes import ADMISSION, DEFAULT_TAG, DEFAULT_VALIDATOR, HOME, TwoPlanes, injector, validator

OWN, OWN_VALIDATOR = injector("istio-sidecar-injector"), validator("istio-validator-istio-system")
NO_ANSWER = FailedError("webhook-unavailable", 'failed calling webhook "namespace.sidecar-injector.istio.io"')


def found(ground: TwoPlanes, revision: str | None = None) -> Rescue:
    ground.cluster.writes.clear()
    (turn,) = rescue(ground.world, revision=revision)
    assert ground.cluster.writes == []
    return turn


def mended(ground: TwoPlanes, revision: str | None = None) -> list[Event]:
    return list(mend(ground.world, found(ground, revision)))


def remedies(turn: Rescue) -> dict[str, str]:
    return {each.ref.name: each.remedy.value for each in turn.blockers}


def foreign(name: str, *, resources: str = "pods", **more: Any) -> dict[str, Any]:
    hook = {
        "name": f"{name}.example.com",
        "clientConfig": {"service": {"name": "gone", "namespace": "gone"}},
        "rules": [{"apiGroups": [""], "resources": [resources], "operations": ["CREATE"]}],
    }
    meta = {"name": name}
    kind = "ValidatingWebhookConfiguration"
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": meta, "webhooks": [{**hook, **more}]}


def test_where_everything_answers_there_is_nothing_to_do() -> None:
    turn = found(TwoPlanes("", "b"))
    assert turn.blockers == ()
    assert turn.plan.is_empty


def test_tags_of_a_dead_control_plane_lead_to_the_living_one_and_its_own_webhooks_go() -> None:
    ground = TwoPlanes("", "b")
    ground.namespace("shop", istio_injection="enabled")
    ground.kill("")
    turn = found(ground)
    assert remedies(turn) == {
        "istio-revision-tag-default": "repoint",
        "istiod-default-validator": "repoint",
        "istio-validator-istio-system": "remove",
    }
    assert turn.target == "b"
    events = mended(ground)
    assert ground.leads(DEFAULT_TAG) == ground.leads(DEFAULT_VALIDATOR) == {"istiod-b"}
    assert ground.cluster.get(OWN_VALIDATOR) is None
    assert any(isinstance(each, Done) and "namespace shop would be made" in str(each) for each in events)
    assert found(ground).blockers == ()


def test_without_a_living_control_plane_all_of_its_webhooks_go() -> None:
    ground = TwoPlanes("")
    ground.kill("")
    mended(ground)
    assert ground.cluster.get(DEFAULT_TAG) is None
    assert ground.cluster.get(DEFAULT_VALIDATOR) is None
    assert ground.cluster.get(OWN_VALIDATOR) is None


def test_it_works_without_a_record_and_without_the_meshs_namespace() -> None:
    ground = TwoPlanes("")
    ground.fail_closed()
    for record in ground.releases.of("mesh"):
        ground.releases.forget(record)
    for obj in ground.cluster.all():
        if obj.ref.namespace == HOME:
            ground.cluster.delete(obj.ref)
    ground.cluster.delete(Ref("v1", "Namespace", "", HOME))
    mended(ground)
    assert found(ground).blockers == ()
    assert ground.cluster.get(DEFAULT_TAG) is None


def test_webhooks_are_mended_before_anything_that_others_may_stop() -> None:
    ground = TwoPlanes("", "b")
    ground.kill("")
    steps = [each for each in found(ground).plan.steps if isinstance(each, Apply | Delete)]
    kinds = [each.ref.kind == "Service" for each in steps]
    assert kinds == sorted(kinds)
    assert kinds[-1]


def test_a_lock_that_cannot_be_kept_is_gone_without() -> None:
    ground = TwoPlanes("")
    ground.kill("")
    refused = FailedError("webhook-unavailable", "a webhook does not answer")
    ground.cluster.fail("create", "Lease kube-system/meshctl-mesh", refused, times=99)
    events = mended(ground)
    assert any(isinstance(each, Warned) for each in events)
    assert ground.cluster.get(DEFAULT_TAG) is None


def test_nothing_is_mended_while_somebody_else_is_at_work() -> None:
    ground = TwoPlanes("")
    ground.kill("")
    records = FakeReleases(*ground.releases.of("mesh"))
    records.locked.add("mesh")
    with pytest.raises(ConflictError):
        list(mend(replace(ground.world, releases={"here": records}), found(ground)))
    assert ground.cluster.get(DEFAULT_TAG) is not None


def test_webhooks_of_others_are_told_with_the_command_and_left_alone() -> None:
    ground = TwoPlanes("")
    ground.cluster.seed(foreign("theirs"))
    turn = found(ground)
    (blocker,) = turn.blockers
    assert (blocker.remedy, blocker.blocks) == (Remedy.TELL, ("pods",))
    assert blocker.advice == "kubectl delete validatingwebhookconfiguration theirs"
    assert turn.plan.is_empty
    with pytest.raises(FailedError) as caught:
        list(mend(ground.world, turn))
    assert any("theirs" in each for each in caught.value.details)
    assert ground.cluster.get(validator("theirs")) is not None


@pytest.mark.parametrize(
    "more",
    [
        {"failurePolicy": "Ignore"},
        {"clientConfig": {"url": "https://there.example"}},
        {"namespaceSelector": {"matchLabels": {"istio.io/deactivated": "never-match"}}},
    ],
)
def test_what_stops_nothing_or_cannot_be_asked_is_not_told(more: dict[str, Any]) -> None:
    ground = TwoPlanes("")
    ground.cluster.seed(foreign("theirs", **more))
    assert found(ground).blockers == ()


def test_what_another_webhook_refuses_does_not_count_as_not_mended() -> None:
    ground = TwoPlanes("")
    ground.kill("")
    ground.cluster.seed(foreign("theirs"))
    refused = FailedError(
        "webhook-unavailable", "no answer", details=['calling webhook "theirs.example.com"']
    )
    ground.cluster.fail("create", "Pod default/meshctl-probe", refused, times=99)
    events: list[Event] = []
    with pytest.raises(FailedError) as caught:
        events += mend(ground.world, found(ground))
    assert [each.partition(":")[0] for each in caught.value.details] == [
        "ValidatingWebhookConfiguration theirs"
    ]


def test_it_says_so_when_pods_are_still_refused_after_a_while() -> None:
    ground = TwoPlanes("")
    ground.namespace("shop", istio_injection="enabled")
    ground.kill("")
    ground.cluster.fail("create", "Pod shop/meshctl-probe", NO_ANSWER, times=9999)
    with pytest.raises(FailedError) as caught:
        mended(ground)
    assert caught.value.code == "still-refused"
    assert any("namespace shop" in each for each in caught.value.details)


def test_an_api_server_that_hears_of_it_late_is_given_time() -> None:
    ground = TwoPlanes("")
    ground.namespace("shop", istio_injection="enabled")
    ground.kill("")
    ground.cluster.fail("create", "Pod shop/meshctl-probe", NO_ANSWER, times=3)
    assert any("namespace shop would be made" in str(each) for each in mended(ground))


def test_a_pod_that_cannot_be_tried_for_another_reason_is_told_as_that() -> None:
    ground = TwoPlanes("")
    ground.namespace("shop", istio_injection="enabled")
    ground.kill("")
    ground.cluster.fail("create", "Pod shop/meshctl-probe", FailedError("request-refused", "quota"), times=9)
    assert any(isinstance(each, Skipped) and "quota" in each.reason for each in mended(ground))


def test_a_control_plane_that_may_yet_come_is_waited_for() -> None:
    ground = TwoPlanes("", "b")
    ground.fail_closed()
    ground.answer("", ready=False)
    turn = found(ground)
    assert set(remedies(turn).values()) == {"wait"}
    assert turn.plan.is_empty
    assert "meshctl status" in turn.blockers[0].advice


def test_it_is_not_waited_for_when_another_one_is_named() -> None:
    ground = TwoPlanes("", "b")
    ground.fail_closed()
    ground.answer("", ready=False)
    mended(ground, "b")
    assert ground.leads(DEFAULT_TAG) == {"istiod-b"}


def test_a_revision_that_does_not_answer_either_is_refused() -> None:
    ground = TwoPlanes("", "b")
    ground.kill("b")
    with pytest.raises(FailedError, match="nobody answers"):
        found(ground, "b")


def test_one_that_is_scaled_to_nothing_is_gone() -> None:
    ground = TwoPlanes("", "b")
    ground.cluster.edit(Ref("apps/v1", "Deployment", HOME, "istiod"), {"spec": {"replicas": 0}})
    ground.answer("", ready=False)
    assert remedies(found(ground))["istio-revision-tag-default"] == "repoint"


def test_a_service_that_somebody_removed_is_put_back_as_it_was_recorded() -> None:
    ground = TwoPlanes("")
    service = Ref("v1", "Service", HOME, "istiod")
    ground.cluster.delete(service)
    assert set(remedies(found(ground)).values()) == {"restore"}
    mended(ground)
    assert ground.live(service).at("spec.selector") == {"app": "istiod", "istio": "pilot"}
    assert ground.cluster.get(DEFAULT_TAG) is not None


def test_only_the_entries_go_that_nobody_answers() -> None:
    ground = TwoPlanes("", "b")
    mixed = injector("istio-sidecar-injector-mixed")
    dead, alive = ({"service": {"name": name, "namespace": HOME}} for name in ("istiod-c", "istiod-b"))
    hooks = [
        {"name": "rev.namespace.sidecar-injector.istio.io", "clientConfig": dead},
        {"name": "rev.object.sidecar-injector.istio.io", "clientConfig": alive},
    ]
    meta = {"name": mixed.name, "labels": {"istio.io/rev": "mixed"}}
    ground.cluster.seed({"apiVersion": ADMISSION, "kind": mixed.kind, "metadata": meta, "webhooks": hooks})
    assert remedies(found(ground)) == {mixed.name: "trim"}
    mended(ground)
    names = [each["name"] for each in ground.live(mixed).at("webhooks")]
    assert names == ["rev.object.sidecar-injector.istio.io"]


def test_namespaces_of_an_untagged_injector_that_died_get_the_living_one() -> None:
    ground = TwoPlanes("", "b")
    ground.cluster.delete(DEFAULT_TAG)
    enabled = {"matchExpressions": [{"key": "istio-injection", "operator": "In", "values": ["enabled"]}]}
    hooks = [{**each, "namespaceSelector": enabled} for each in ground.live(OWN).at("webhooks")]
    ground.cluster.edit(OWN, {"webhooks": hooks}, manager="helm")
    ground.kill("")
    mended(ground)
    assert ground.cluster.get(OWN) is None
    assert ground.leads(DEFAULT_TAG) == {"istiod-b"}


def test_the_validator_that_a_removed_revision_left_behind_leads_to_the_living_one() -> None:
    ground = TwoPlanes("", "b")
    hook = dict(ground.live(DEFAULT_VALIDATOR).at("webhooks")[0])
    gone = {**hook["clientConfig"], "service": {**hook["clientConfig"]["service"], "name": "istiod-1-20"}}
    left = {"webhooks": [{**hook, "clientConfig": gone, "failurePolicy": "Fail"}]}
    ground.cluster.edit(DEFAULT_VALIDATOR, left, manager="helm")
    ground.cluster.edit(
        DEFAULT_VALIDATOR, {"metadata": {"labels": {"istio.io/tag": None, "istio.io/rev": "1-20"}}}
    )
    assert remedies(found(ground)) == {DEFAULT_VALIDATOR.name: "repoint"}
    mended(ground)
    assert len(ground.leads(DEFAULT_VALIDATOR)) == 1
    assert ground.leads(DEFAULT_VALIDATOR) <= {"istiod", "istiod-b"}
