"""The story of a canary upgrade, over a cluster in memory whose pods roll."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.canary.upgrade import Summary, abort, begin, go_on
from meshctl.actions.install import install
from meshctl.errors import ConfigError, ConflictError, FailedError, StoppedError, UnreachableError
from meshctl.model.event import Done, Event
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Status
from meshctl.model.upgrade import Stage
from meshctl.stages.settings.load import load
from tests.unit.actions.canary_ground import SETS, Ground, ended

OLD, NEW = "default", "1-32-0"
SHOP, BANK, YARD = (Ref("v1", "Namespace", "", name) for name in ("shop", "bank", "yard"))
LOST = UnreachableError("no-answer", "the API server does not answer")


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(monkeypatch)


def test_everybody_ends_on_the_new_revision_and_nothing_is_left_of_the_old_one(ground: Ground) -> None:
    before = {each: ground.labels(each) for each in (SHOP, BANK, YARD)}
    summary = ground.upgrade()
    assert ground.places() == {"web": {NEW}, "db": {NEW}, "teller": {NEW}, "tied": {NEW}}
    assert ground.cluster.on("istio-system", "istio-ingressgateway") == {NEW}
    assert ground.cluster.get(Ref("apps/v1", "Deployment", "istio-system", "istiod")) is None
    assert {each: ground.labels(each) for each in before} == before
    assert ground.releases.upgrade("mesh") is None
    assert (summary.workloads, summary.gateways, summary.is_back) == (4, 1, False)


def test_afterwards_the_record_is_whole_and_an_install_has_nothing_to_do(ground: Ground) -> None:
    ground.upgrade()
    deployed = [each for each in ground.releases.of("mesh") if each.status is Status.DEPLOYED]
    assert [(each.version, each.revision, each.cause) for each in deployed] == [
        ("1.32.0", NEW, "upgrade from 1.31.0")
    ]
    parts = {part.name for part in deployed[0].manifest.parts}
    assert {"istiod", "tag", "gateway/istio-ingressgateway"} <= parts
    asked = load(Inputs(profile="default", sets=SETS, version="1.32.0", revision=NEW, cluster="here"))
    [wave] = install(ground.world, asked)
    assert wave.plan.is_empty


def test_the_gateway_is_changed_in_place_and_never_taken_away(ground: Ground) -> None:
    ground.cluster.writes.clear()
    ground.upgrade()
    assert not [each for each in ground.cluster.writes if each.startswith("delete") and "ingress" in each]


def test_a_preview_sends_nothing_and_tells_all(ground: Ground) -> None:
    ground.cluster.bare_pod("shop", "alone")
    ground.cluster.writes.clear()
    planned = ground.preview(size="1")
    assert ground.cluster.writes == []
    names = [mover.ref.name for batch in planned.upgrade.batches for mover in batch.workloads]
    assert names == ["teller", "web", "db", "istio-ingressgateway"] or sorted(names) == sorted(
        ["teller", "web", "db", "istio-ingressgateway"]
    )
    assert [each.name for each in planned.stayers] == ["Pod shop/alone"]
    assert planned.upgrade.tags == (("default", ""),)
    assert Ref("apps/v1", "Deployment", "istio-system", "istiod") in planned.retired


def test_a_bare_pod_keeps_the_old_revision_and_is_named(ground: Ground) -> None:
    ground.cluster.bare_pod("shop", "alone")
    with pytest.raises(StoppedError) as caught:
        ground.upgrade()
    assert caught.value.code == "still-attached"
    assert caught.value.exit_code == 4
    assert any("shop/alone" in line and "nothing" in line for line in caught.value.details)
    assert ground.under_way.stage is Stage.RETIREMENT
    ground.cluster.delete(Ref("v1", "Pod", "shop", "alone"))
    ground.resume()
    assert ground.cluster.get(Ref("apps/v1", "Deployment", "istio-system", "istiod")) is None


def test_a_batch_that_does_not_pass_goes_back_and_the_rest_stays_where_it_is(ground: Ground) -> None:
    ground.refused["batch 2 of 2"] = 1
    with pytest.raises(FailedError) as caught:
        ground.upgrade()
    assert caught.value.code == "batch-failed"
    assert "web-1 rejected" in caught.value.message
    assert ground.places()["teller"] == {NEW}
    assert (ground.places()["web"], ground.places()["db"]) == ({OLD}, {OLD})
    assert ground.labels(SHOP) == {"istio-injection": "enabled"}
    assert ground.judged[-1] == ("batch 2 of 2, back", "")
    assert (ground.under_way.passed, ground.under_way.returning) == (1, False)
    assert "web-1 rejected" in ground.under_way.reason


def test_resume_tries_the_batch_that_failed_again(ground: Ground) -> None:
    ground.refused["batch 2 of 2"] = 1
    with pytest.raises(FailedError):
        ground.upgrade()
    ground.resume()
    assert set.union(*ground.places().values()) == {NEW}


def test_a_gateway_that_does_not_pass_is_as_it_was(ground: Ground) -> None:
    before = ground.snapshot()["Deployment istio-system/istio-ingressgateway"]
    ground.refused["gateway/istio-ingressgateway"] = 1
    with pytest.raises(FailedError):
        ground.upgrade()
    assert ground.snapshot()["Deployment istio-system/istio-ingressgateway"] == before
    assert ground.under_way.stage is Stage.GATEWAYS
    assert ground.cluster.on("istio-system", "istio-ingressgateway") == {OLD}
    ground.resume()
    assert ground.cluster.on("istio-system", "istio-ingressgateway") == {NEW}


def test_a_new_control_plane_that_does_not_come_right_is_taken_away_again(ground: Ground) -> None:
    before = ground.snapshot()
    ground.silent = True
    with pytest.raises(FailedError) as caught:
        ground.upgrade()
    assert caught.value.code == "control-plane-failed"
    assert "do not answer as they should: nobody answers" in caught.value.message
    assert ground.snapshot() == before
    assert ground.releases.upgrade("mesh") is None


@pytest.mark.parametrize("passed", range(4))
def test_abort_leaves_every_object_label_and_tag_as_before(ground: Ground, passed: int) -> None:
    before = ground.snapshot()
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True)
    for _ in range(passed):
        with pytest.raises(StoppedError):
            if passed == 3:  # somebody stays, so that it stops at the very end
                ground.cluster.bare_pod("shop", "alone") if not ground.cluster.on("shop", "alone") else None
            ground.resume()
    summary = ground.abort()
    ground.cluster.delete(Ref("v1", "Pod", "shop", "alone"))
    assert ground.snapshot() == before
    assert summary.is_back
    assert ground.releases.upgrade("mesh") is None
    deployed = [each for each in ground.releases.of("mesh") if each.status is Status.DEPLOYED]
    assert [(each.version, each.revision) for each in deployed] == [("1.31.0", "")]


def test_a_pause_comes_after_each_batch_and_promote_ends_them(ground: Ground) -> None:
    with pytest.raises(StoppedError) as caught:
        ground.upgrade(pause=True)
    assert caught.value.code == "upgrade-paused"
    assert (ground.places()["teller"], ground.places()["web"]) == ({NEW}, {OLD})
    with pytest.raises(StoppedError):
        ground.resume()
    assert ground.places()["web"] == {NEW}
    ground.resume(pause=False)
    assert ground.releases.upgrade("mesh") is None


def test_while_it_is_paused_nobody_is_locked_out(ground: Ground) -> None:
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True)
    with ground.releases.lock("mesh"):
        pass


def test_the_second_operator_is_told_that_somebody_is_at_work(ground: Ground) -> None:
    story = begin(ground.run, ground.preview())
    next(story)
    with pytest.raises(ConflictError) as caught:
        ended(go_on(ground.run, "mesh"))
    assert caught.value.code == "mesh-locked"
    story.close()


def test_what_was_planned_before_somebody_else_changed_the_mesh_is_refused(ground: Ground) -> None:
    planned = ground.preview()
    newest = ground.releases.of("mesh")[-1]
    ground.releases.write(replace(newest, generation=newest.generation + 1))
    with pytest.raises(ConflictError) as caught:
        ended(begin(ground.run, planned))
    assert caught.value.code == "plan-outdated"
    assert ground.releases.upgrade("mesh") is None


def test_a_namespace_that_goes_half_way_is_no_failure_of_the_rest(ground: Ground) -> None:
    story = begin(ground.run, ground.preview())
    for event in story:
        if isinstance(event, Done) and event.group == "batch 1 of 2":
            break
    ground.cluster.delete(BANK)
    ended(story)
    assert ground.places() == {"web": {NEW}, "db": {NEW}, "teller": set(), "tied": {NEW}}


def test_what_comes_to_the_old_revision_meanwhile_is_moved_too(ground: Ground) -> None:
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True)
    ground.cluster.seed(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "later", "labels": {"istio-injection": "enabled"}},
        }
    )
    ground.cluster.workload("Deployment", "later", "guest")
    ground.resume(pause=False)
    assert ground.cluster.on("later", "guest") == {NEW}


def test_labels_that_somebody_keeps_reverting_end_it_and_are_named(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Ref("v1", "Namespace", "", "idle")
    meta = {"name": "idle", "labels": {"istio.io/rev": OLD}}
    ground.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    patch = ground.cluster.patch

    def reverted(ref: Ref, change: Mapping[str, Any]) -> Object | None:
        done = patch(ref, change)
        return patch(ref, {"metadata": {"labels": meta["labels"]}}) if ref == idle else done

    with monkeypatch.context() as somebody:
        somebody.setattr(ground.cluster, "patch", reverted)
        with pytest.raises(StoppedError) as caught:
            ground.upgrade()
    assert caught.value.code == "labels-reverted"
    assert caught.value.message.endswith("what has moved: Namespace idle")
    assert f"set it to {NEW}" in caught.value.hint
    assert ground.under_way.reason == caught.value.message
    ground.resume()
    assert ground.releases.upgrade("mesh") is None


def test_what_keeps_gateways_from_the_unnamed_istiod_is_put_back_when_that_is_gone(ground: Ground) -> None:
    ground.cluster.seed(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "shop"},
        }
    )
    ground.cluster.bare_pod("bank", "alone")
    with pytest.raises(StoppedError):
        ground.upgrade()
    assert (ground.labels(SHOP), ground.labels(BANK)) == ({"istio.io/rev": NEW}, {"istio.io/rev": OLD})
    ground.cluster.delete(Ref("v1", "Pod", "bank", "alone"))
    ground.resume()
    assert ground.labels(SHOP) == {"istio-injection": "enabled"}


def test_an_upgrade_to_a_revision_that_stands_is_refused(ground: Ground) -> None:
    with pytest.raises(ConfigError) as caught:
        ground.preview(revision="default")
    assert caught.value.code == "revision-taken"


def test_an_upgrade_to_the_unnamed_revision_or_to_the_name_of_a_tag_is_refused(ground: Ground) -> None:
    ground.upgrade()
    ground.cluster.seed(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "t", "labels": {"istio.io/tag": "prod", "istio.io/rev": NEW}},
            "webhooks": [],
        }
    )
    for revision, code in (("default", "revision-unnamed"), ("prod", "revision-taken")):
        with pytest.raises(ConfigError) as caught:
            ground.preview(revision=revision)
        assert caught.value.code == code
        assert "--revision" in caught.value.hint


def test_abort_has_nothing_to_take_back_where_none_is_under_way(ground: Ground) -> None:
    with pytest.raises(ConfigError) as caught:
        ground.abort()
    assert caught.value.code == "no-upgrade"


def test_a_lost_connection_stops_it_and_the_same_command_continues(ground: Ground) -> None:
    ground.cluster.fail("patch", "Deployment shop/web", LOST)
    with pytest.raises(StoppedError):
        ground.upgrade()
    assert ground.under_way.stage is Stage.WORKLOADS
    ended(go_on(ground.run, "mesh"))
    assert set.union(*ground.places().values()) == {NEW}


class TestKilledAfterEachEvent:
    """A run that ends anywhere is continued by the same command, to the same end."""

    def test_of_an_upgrade(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Ground(monkeypatch, "minimal")
        events = list(begin(whole.run, whole.preview()))
        end = whole.snapshot()
        for count in _points(len(events)):
            ground = Ground(monkeypatch, "minimal")
            _killed(begin(ground.run, ground.preview()), count)
            if ground.releases.upgrade("mesh") is None:
                continue  # nothing had begun
            ended(go_on(ground.run, "mesh"))
            assert ground.snapshot() == end, f"killed after event {count}: {events[count]}"

    def test_of_an_abort(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def paused() -> Ground:
            ground = Ground(monkeypatch, "minimal")
            with pytest.raises(StoppedError):
                ground.upgrade(pause=True)
            return ground

        whole = paused()
        events = list(abort(whole.run, "mesh"))
        end = whole.snapshot()
        for count in _points(len(events)):
            ground = paused()
            _killed(abort(ground.run, "mesh"), count)
            if ground.releases.upgrade("mesh") is not None:
                ground.abort()
            assert ground.snapshot() == end, f"killed after event {count}: {events[count]}"

    def test_of_an_upgrade_that_is_then_taken_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Ground(monkeypatch, "minimal")
        before = whole.snapshot()
        events = list(begin(whole.run, whole.preview()))
        taken_back = 0
        for count in _points(len(events), 6):
            ground = Ground(monkeypatch, "minimal")
            _killed(begin(ground.run, ground.preview()), count)
            if ground.releases.upgrade("mesh") is None:
                continue  # nothing had begun, or all had ended
            try:
                ground.abort()
            except ConflictError as error:
                assert error.code == "too-late-to-abort"
            else:
                assert ground.snapshot() == before, f"killed after event {count}: {events[count]}"
                taken_back += 1
        assert taken_back > 3, "it was hardly ever taken back"

    def test_of_a_batch_that_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Ground(monkeypatch, "minimal")
        whole.refused["batch 2 of 2"] = 1
        told: list[Event] = []
        with pytest.raises(FailedError):
            told.extend(begin(whole.run, whole.preview()))
        end = whole.snapshot()
        begun = next(at for at, each in enumerate(told) if getattr(each, "group", "") == "batch 2 of 2")
        for count in range(begun, len(told), 4):
            ground = Ground(monkeypatch, "minimal")
            ground.refused["batch 2 of 2"] = 1
            _killed(begin(ground.run, ground.preview()), count)
            if ground.under_way.returning or ground.refused["batch 2 of 2"]:
                with pytest.raises(FailedError):
                    ended(go_on(ground.run, "mesh"))
            assert ground.snapshot() == end, f"killed after event {count}: {told[count]}"


def _points(count: int, most: int = 12) -> Iterator[int]:
    """Events to kill after: a dozen, so that it does not take long; the cluster tests take them all."""
    yield from range(0, count, max(1, count // most))


def _killed(story: Generator[Event, None, Summary], count: int) -> None:
    list(itertools.islice(story, count + 1))
    story.close()
