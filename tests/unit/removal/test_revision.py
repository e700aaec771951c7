"""Removal of one control plane: what is its own goes, and what others have or share stays."""

from __future__ import annotations

from typing import Any

from meshctl.model.manifest import Manifest
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Delete, Plan, Record
from meshctl.model.release import Release, Status
from meshctl.model.removal import Scope
from meshctl.stages.removing.removal import removal
from meshctl.stages.removing.residue import residue
from tests.building import obj, part, ref, release, seen, words

NS = "istio-system"
ISTIO = {"app.kubernetes.io/part-of": "istio", "meshctl.dev/mesh": "mesh"}


def istiod(revision: str) -> Object:
    return obj(
        "Deployment", f"istiod-{revision}", NS, labels={"app": "istiod", "istio.io/rev": revision, **ISTIO}
    )


def injector(name: str, revision: str, **labels: str) -> Object:
    service = {"name": f"istiod-{revision}", "namespace": NS}
    return obj(
        "MutatingWebhookConfiguration",
        name,
        labels={"istio.io/rev": revision, **ISTIO, **labels},
        webhooks=[{"name": "a.istio.io", "clientConfig": {"service": service}}],
    )


READER = obj("ServiceAccount", "istio-reader", NS, labels=ISTIO)
LEADER, OLD_LEADER, NEW_LEADER = (
    obj("Lease", name, NS)
    for name in ("istio-leader", "istio-gateway-deployment-old", "istio-gateway-deployment-new")
)
TAG = injector("istio-revision-tag-prod", "new", **{"istio.io/tag": "prod"})
OLD_TAG = injector("istio-revision-tag-prod", "old", **{"istio.io/tag": "prod"})
CONFIG = obj("ConfigMap", "istio-old", NS, labels={"istio.io/rev": "old", **ISTIO})
ROOT = obj("ConfigMap", "istio-ca-root-cert", "shop")
HOME = obj("Namespace", NS, labels={"meshctl.dev/mesh": "mesh"})


def both(*more: Object, status: Status = Status.DEPLOYED) -> tuple[list[Object], tuple[Release, ...]]:
    """Two control planes, and the records of both."""
    old = [READER, istiod("old"), injector("istio-sidecar-injector-old", "old"), CONFIG, OLD_TAG]
    new = [READER, istiod("new"), injector("istio-sidecar-injector-new", "new")]
    live = {each.ref: each for each in (*old, *new, HOME, LEADER, OLD_LEADER, NEW_LEADER, ROOT, *more)}
    records = (
        release(Manifest((part("istiod", *old),)), 1, revision="old"),
        release(Manifest((part("istiod", *new),)), 2, revision="new", status=status),
    )
    return list(live.values()), records


def planned(live: list[Object], records: tuple[Release, ...], **scope: Any) -> Plan:
    given = Scope("mesh", **scope)
    return removal(seen(*live, releases=records), given, sorted(each.ref for each in live))


def deleted(steps: Plan) -> set[Ref]:
    return {step.ref for step in steps.steps if isinstance(step, Delete)}


def test_what_is_its_own_goes_and_what_is_shared_stays() -> None:
    steps = planned(*both(), revision="old")
    assert deleted(steps) == {
        istiod("old").ref,
        CONFIG.ref,
        OLD_LEADER.ref,
        OLD_TAG.ref,
        ref("MutatingWebhookConfiguration", "istio-sidecar-injector-old"),
    }


def test_a_tag_that_leads_elsewhere_by_now_stays_though_the_record_lists_it() -> None:
    live, records = both(TAG)
    assert TAG.ref == OLD_TAG.ref
    assert TAG.ref not in deleted(planned(live, records, revision="old"))


def test_its_records_are_kept_as_superseded_while_others_go_on() -> None:
    steps = planned(*both(), revision="old")
    assert words(steps)[:2] == ["Record what is intended", "  record 1 uninstalling"]
    assert words(steps)[-2:] == ["Keep the records as superseded", "  record 1 superseded"]


def test_once_it_is_gone_there_is_nothing_to_do() -> None:
    live, (old, new) = both()
    gone = deleted(planned(live, (old, new), revision="old"))
    left = [each for each in live if each.ref not in gone]
    superseded = release(old.manifest, 1, revision="old", status=Status.SUPERSEDED)
    assert planned(left, (superseded, new), revision="old").is_empty


def test_what_a_removed_revision_recorded_is_nobody_elses_any_more() -> None:
    live, (old, new) = both()
    superseded = release(old.manifest, 1, revision="old", status=Status.SUPERSEDED)
    steps = planned(live, (superseded, new))
    assert READER.ref in deleted(steps)
    forgotten = [step.release.generation for step in steps.steps if isinstance(step, Record) and step.forget]
    assert forgotten == [1, 2]


def test_with_the_last_control_plane_all_goes() -> None:
    mine = [READER, istiod("old"), HOME, ROOT]
    record = release(Manifest((part("istiod", READER, istiod("old")),)), 1, revision="old")
    steps = planned(mine, (record,), revision="old")
    assert {READER.ref, ROOT.ref, HOME.ref} <= deleted(steps)
    assert words(steps)[-1] == "  record 1 forget"


def test_an_installer_without_records_counts_as_another_control_plane() -> None:
    mine = [READER, istiod("old"), istiod("theirs"), HOME, ROOT]
    record = release(Manifest((part("istiod", READER, istiod("old")),)), 1, revision="old")
    gone = deleted(planned(mine, (record,), revision="old"))
    assert istiod("old").ref in gone
    assert not {ROOT.ref, HOME.ref, istiod("theirs").ref} & gone


def test_generated_gateways_of_a_revision_are_left_for_the_others_to_serve() -> None:
    made = {"gateway.istio.io/managed": "istio.io-gateway-controller", "istio.io/rev": "old"}
    gateway = obj("Deployment", "web-istio", "shop", labels=made)
    live, records = both(gateway)
    assert gateway.ref not in deleted(planned(live, records, revision="old"))


def test_residue_of_one_revision_is_what_is_left_of_it_alone() -> None:
    live, _ = both()
    objects = {each.ref: each for each in live}
    found = residue((), sorted(objects), objects, Scope("mesh", revision="old"))
    assert {each.ref for each in found} == {
        istiod("old").ref,
        CONFIG.ref,
        OLD_LEADER.ref,
        OLD_TAG.ref,
        ref("MutatingWebhookConfiguration", "istio-sidecar-injector-old"),
    }
    assert not any(each.meant for each in found)
