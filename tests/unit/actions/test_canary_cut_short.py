"""What an upgrade by a second control plane says and does when it is cut short at an awkward moment."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.canary import batches as canary_batches
from meshctl.actions.canary.upgrade import Summary, abort, begin, go_on
from meshctl.errors import ConflictError, FailedError, StoppedError
from meshctl.model.event import Event
from meshctl.model.objects import Ref
from meshctl.model.release import Status
from meshctl.model.upgrade import Stage
from tests.unit.actions.canary_ground import Ground, ended

OLD, NEW = "default", "1-32-0"
LAST = "what follows the tags"


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(monkeypatch, "minimal")


def killed_once(story: Generator[Event, None, Summary], is_so: Callable[[], bool]) -> None:
    for _ in story:
        if is_so():
            story.close()
            return
    raise AssertionError("it was never so")


def failed(story: Generator[Event, None, Summary]) -> FailedError:
    with pytest.raises(FailedError) as caught:
        ended(story)
    return caught.value


class TestWhoFollowsTheTags:
    def test_stays_where_it_is_when_it_does_not_pass_and_keeps_the_old_revision(self, ground: Ground) -> None:
        before = ground.snapshot()
        ground.refused[LAST] = 2
        error = failed(begin(ground.run, ground.preview()))
        assert error.code == "promotion-failed"
        assert "web-1 rejected what it was sent; it was not moved back" in error.message
        assert "resume` tries it again" in error.hint
        assert "abort` takes all back" in error.hint
        assert ground.places()["tied"] == {NEW}
        assert ground.under_way.stage is Stage.PROMOTION
        assert "web-1 rejected" in ground.under_way.reason
        assert failed(go_on(ground.run, "mesh", again=True)).code == "promotion-failed"
        ground.abort()
        assert ground.snapshot() == before

    def test_is_judged_by_the_next_run_when_the_first_was_killed_before(self, ground: Ground) -> None:
        story = begin(ground.run, ground.preview())
        killed_once(story, lambda: ground.places()["tied"] == {NEW})
        assert (LAST, NEW) not in ground.judged
        ground.refused[LAST] = 1
        assert failed(go_on(ground.run, "mesh")).code == "promotion-failed"
        assert ground.cluster.get(Ref("apps/v1", "Deployment", "istio-system", "istiod")) is not None
        ground.resume()
        assert ground.judged[-1] == (LAST, NEW)
        assert ground.releases.upgrade("mesh") is None


def test_a_batch_of_which_something_goes_at_every_try_has_not_passed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = [ground.cluster.workload("Deployment", "shop", f"brief-{number}") for number in range(6)]

    def going(*_: Any, batch: str, **__: Any) -> Iterator[Event]:
        if batch == "batch 2 of 2":
            ground.cluster.delete(doomed.pop())
            raise FailedError("gate-failed", "web-1 rejected what it was sent")
        yield from ()

    monkeypatch.setattr(canary_batches, "pass_through", going)
    assert failed(begin(ground.run, ground.preview())).code == "batch-failed"
    assert ground.under_way.passed == 1


@pytest.mark.parametrize("status", [Status.FAILED, Status.PENDING])
def test_a_record_of_the_old_revision_that_was_cut_short_is_no_removal_of_it(
    ground: Ground, status: Status
) -> None:
    ground.cluster.bare_pod("shop", "alone")
    with pytest.raises(StoppedError):
        ground.upgrade()
    assert ground.under_way.stage is Stage.RETIREMENT
    newest = ground.releases.of("mesh")[-1].generation
    ground.releases.write(replace(ground.under_way.source, generation=newest + 1, status=status))
    assert ground.abort().is_back


def test_who_is_refused_leaves_no_reason_in_the_record_of_the_upgrade(ground: Ground) -> None:
    planned = ground.preview()
    story = begin(ground.run, planned)
    killed_once(story, lambda: ground.places()["teller"] == {NEW})
    with pytest.raises(ConflictError) as caught:
        ended(begin(ground.run, planned))
    assert (caught.value.code, ground.under_way.reason) == ("upgrade-under-way", "")
    killed_once(abort(ground.run, "mesh"), lambda: ground.places()["teller"] == {OLD})
    with pytest.raises(ConflictError) as caught:
        ended(go_on(ground.run, "mesh"))
    assert (caught.value.code, ground.under_way.reason) == ("abort-under-way", "")


def test_what_came_to_the_new_revision_by_itself_is_made_anew_by_each_abort(ground: Ground) -> None:
    for name in ("shop", "bank", "yard"):
        ground.cluster.delete(Ref("v1", "Namespace", "", name))
    killed_once(begin(ground.run, ground.preview()), lambda: ground.under_way.stage is Stage.PROMOTION)
    assert ground.under_way.batches == ()
    home = {"name": "later", "labels": {"istio.io/rev": NEW}}
    ground.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": home})
    ground.cluster.workload("Deployment", "later", "guest")
    assert failed(abort(ground.run, "mesh")).code == "not-back"
    ground.cluster.patch(Ref("v1", "Namespace", "", "later"), {"metadata": {"labels": {"istio.io/rev": OLD}}})
    assert ground.cluster.on("later", "guest") == {NEW}
    assert ground.abort().is_back
    assert ground.cluster.on("later", "guest") == {OLD}


def test_a_batch_that_a_killed_run_has_moved_back_is_seen_there_before_it_is_said(ground: Ground) -> None:
    ground.refused["batch 2 of 2"] = 1
    story = begin(ground.run, ground.preview())
    people = ("web", "db")
    killed_once(
        story,
        lambda: ground.under_way.returning and all(ground.places()[each] == {OLD} for each in people),
    )
    back = ("batch 2 of 2, back", "")
    assert back not in ground.judged
    assert "it was moved back" in failed(go_on(ground.run, "mesh")).message
    assert ground.judged[-1] == back


def test_a_new_control_plane_that_never_came_right_is_asked_about_as_one_that_nobody_was_led_to(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def attached(*_: Any, revision: str, unused: bool = False, **__: Any) -> tuple[str, ...]:
        asked.append((revision, unused))
        return ()

    monkeypatch.setattr("meshctl.actions.canary.gate.attached", attached)
    ground.silent = True
    assert failed(begin(ground.run, ground.preview())).code == "control-plane-failed"
    ground.silent = False
    killed_once(begin(ground.run, ground.preview()), lambda: True)
    ground.abort()
    with pytest.raises(StoppedError):
        ground.upgrade(pause=True)
    ground.abort()
    assert asked == [(NEW, True), (NEW, True), (NEW, False)]
