"""A rotation brings every cluster and every proxy on, never splits the mesh, and can be cut anywhere."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from meshctl import pki
from meshctl.actions.install import install
from meshctl.actions.rotation.leaving import left
from meshctl.actions.rotation.rotate import abort, begin, go_on
from meshctl.errors import ConfigError, ConflictError, FailedError, StoppedError, UnreachableError
from meshctl.model.event import Warned
from meshctl.model.mesh import Trust
from meshctl.model.rotation import Renewal, Scope, Stage
from meshctl.stages.settings.load import Inputs, load
from meshctl.stages.trusting import cacerts
from tests.unit.rotating.rotation_ground import HOME, SETS, Ground, cut_in, ended

NAMES = ("east", "west")
ON_OLD: dict[str, Any] = {name: ({"CN=old"}, {frozenset({"CN=old"})}, []) for name in NAMES}
ON_NEW: dict[str, Any] = {name: ({"CN=new"}, {frozenset({"CN=new"})}, []) for name in NAMES}


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    found = Ground(monkeypatch)
    found.signer.add("new")
    return found


def pods(ground: Ground) -> set[str]:
    return {f"{name}/{pod.ref.name}" for name, place in ground.places.items() for pod in place.pods()}


def marks(ground: Ground) -> list[str]:
    return [pki.fingerprint(each.files()[cacerts.CERTIFICATE]) for each in ground.places.values()]


class TestRoot:
    def test_is_replaced_in_every_cluster_and_proxy_and_no_pod_is_made_anew(self, ground: Ground) -> None:
        before = pods(ground)
        assert ground.snapshot() == ON_OLD
        summary = ground.rotate()
        assert ground.snapshot() == ON_NEW
        assert pods(ground) == before
        assert ground.under_way is None
        assert [seat.cluster for seat in summary.rotation.seats] == list(NAMES)

    def test_keeps_an_install_from_sending_an_authority_meanwhile(self, ground: Ground) -> None:
        story = begin(ground.run, ground.prepared().rotation)
        list(itertools.islice(story, 5))
        story.close()
        asked = replace(load(Inputs(profile="minimal", sets=SETS, version="1.31.0")), mesh=ground.mesh)
        with pytest.raises(
            ConflictError, match="rotation of the authorities of mesh 'shop' is under"
        ) as told:
            list(install(ground.run.world, asked))
        assert "meshctl ca rotate" in told.value.hint

    def test_every_proxy_believes_every_other_at_each_moment(self, ground: Ground) -> None:
        moments = [ground.are_trusting() for _ in begin(ground.run, ground.prepared().rotation)]
        assert len(moments) > 10
        assert all(moments)

    def test_cut_short_at_any_moment_it_is_continued_to_the_same_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = Ground(monkeypatch)
        whole.signer.add("new")
        moments = sum(1 for _ in begin(whole.run, whole.prepared().rotation))
        for count in range(1, moments + 1, 6):
            ground = Ground(monkeypatch)
            ground.signer.add("new")
            story = begin(ground.run, ground.prepared().rotation)
            list(itertools.islice(story, count))
            story.close()
            if ground.under_way is not None:
                ended(_watched(ground, go_on(ground.run)))
            assert ground.snapshot() == ON_NEW, f"cut after {count} of {moments}"

    @pytest.mark.parametrize("count", range(8))
    def test_killed_between_two_records_it_is_continued_from_the_furthest(
        self, ground: Ground, count: int
    ) -> None:
        """Each stage is recorded in two clusters: the connection is lost at one of these eight writes."""
        lost = _lost_after(ground, count)
        with pytest.raises(StoppedError) as stop:
            ground.rotate()
        assert stop.value.exit_code == 4
        lost.clear()
        if ground.under_way is None:
            ground.rotate()
        else:
            ended(_watched(ground, go_on(ground.run)))
        assert ground.snapshot() == ON_NEW

    def test_without_a_newer_one_says_how_to_make_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="newest root of the folder signs in every cluster") as refused:
            Ground(monkeypatch).prepared()
        assert "meshctl ca init" in refused.value.hint

    def test_that_others_trust_too_stays_trusted(self, ground: Ground) -> None:
        friend = pki.new_authority(pki.Subject("friend"), ground.clock.now(), path_length=1)
        for place in ground.places.values():
            _edit(place, {cacerts.ROOTS: place.files()[cacerts.ROOTS] + friend.pair.certificate})
        ground.rotate()
        assert ground.snapshot()["east"][:2] == ({"CN=new"}, {frozenset({"CN=new", "CN=friend"})})

    def test_a_cluster_that_is_on_it_already_keeps_its_intermediate(self, ground: Ground) -> None:
        ground.rotate()
        third = ground.signer.add("third")
        one = third.intermediate(pki.Subject("Intermediate CA of west"), ground.clock.now())
        new = ground.places["west"].files()[cacerts.ROOTS]
        _edit(
            ground.places["west"],
            {
                cacerts.CERTIFICATE: one.pair.certificate,
                cacerts.KEY: one.pair.key,
                cacerts.CHAIN: one.pair.certificate,
                cacerts.ROOTS: new + third.pair.certificate,
            },
        )
        ground.places["west"].start()
        ground.rotate()
        assert marks(ground)[1] == pki.fingerprint(one.pair.certificate)
        assert {each[0].pop() for each in ground.snapshot().values()} == {"CN=third"}


class TestRemote:
    """A cluster that the istiod of another serves has no authority, and proxies all the same."""

    @pytest.fixture
    def ground(self, monkeypatch: pytest.MonkeyPatch) -> Ground:
        found = Ground(monkeypatch, remote=True)
        found.signer.add("new")
        return found

    def test_is_brought_on_with_the_cluster_that_serves_it(self, ground: Ground) -> None:
        assert ground.prepared().rotation.clusters == ("east", "far", "west")
        ended(_watched(ground, begin(ground.run, ground.prepared().rotation)))
        assert ground.snapshot() == {**ON_NEW, "far": ON_NEW["west"]}
        assert ground.under_way is None

    def test_holds_it_up_as_any_other(self, ground: Ground) -> None:
        ground.places["far"].silent = {"api"}
        with pytest.raises(FailedError, match="far/shop/api"):
            ground.rotate()

    def test_has_its_workloads_made_anew_where_they_do_not_listen(self, ground: Ground) -> None:
        ground.places["far"].deaf = {"api"}
        before = pods(ground)
        ground.rotate()
        assert {name.partition("-")[0] for name in before - pods(ground)} == {"far/api"}


class TestIntermediates:
    def test_are_replaced_under_the_same_root(self, ground: Ground) -> None:
        before, names = marks(ground), pods(ground)
        ground.rotate(Scope.INTERMEDIATE)
        assert ground.snapshot() == ON_OLD
        assert not {*before} & {*marks(ground)}
        assert pods(ground) == names
        shown = {
            pki.fingerprint(each.chain[1])
            for place in ground.places.values()
            for each in place.identities.values()
        }
        assert shown == {*marks(ground)}

    def test_of_one_cluster_alone(self, ground: Ground) -> None:
        before = marks(ground)
        run = ground.run
        west = replace(
            run.world,
            clusters={"west": run.world.clusters["west"]},
            releases={"west": run.world.releases["west"]},
        )
        ground.run = replace(run, world=west)
        ground.rotate(Scope.INTERMEDIATE)
        after = marks(ground)
        assert after[0] == before[0]
        assert after[1] != before[1]

    def test_are_told_to_proxies_though_files_come_late(self, ground: Ground) -> None:
        before = pods(ground)
        for place in ground.places.values():
            place.is_slow = True
            place._is_hurried()
        ground.rotate(Scope.INTERMEDIATE)
        assert pods(ground) == before
        assert sum(ground.clock.slept) < 150

    def test_need_no_istiod_that_knows_several_roots(self, ground: Ground) -> None:
        for place in ground.places.values():
            place.multiroot, place.deaf = False, {"web", "api"}
        before = marks(ground)
        ground.rotate(Scope.INTERMEDIATE)
        assert not {*before} & {*marks(ground)}
        assert [each.restarts for each in ground.places.values()] == [1, 1]


class TestProxies:
    def test_that_do_not_listen_are_made_anew_once_a_stage(self, ground: Ground) -> None:
        before = pods(ground)
        for place in ground.places.values():
            place.deaf = {"api"}
        ground.rotate()
        kept = pods(ground) & before
        assert kept == {name for name in before if "/web-" in name}
        assert {each[0].pop() for each in ground.snapshot().values()} == {"CN=new"}

    def test_that_still_trust_the_old_root_at_the_end_are_told(self, ground: Ground) -> None:
        ground.places["east"].deaf = {"api"}
        told = list(begin(ground.run, ground.prepared().rotation))
        warned = [each for each in told if isinstance(each, Warned)]
        assert len(warned) == 1
        assert "east/shop/api" in warned[0].subject
        assert "until they renew, the last by 2026-01-02T" in warned[0].reason

    def test_that_are_told_in_vain_are_made_anew(self, ground: Ground) -> None:
        ground.places["west"].stubborn = {"web"}
        before = pods(ground)
        ground.rotate()
        assert {each[0].pop() for each in ground.snapshot().values()} == {"CN=new"}
        gone = before - pods(ground)
        assert gone
        assert all(name.startswith("west/web-") for name in gone)

    def test_are_all_made_anew_where_that_is_asked(self, ground: Ground) -> None:
        for place in ground.places.values():
            place.deaf = {"api", "web"}
        ground.rotate(renewal=Renewal.RESTART)
        assert ground.snapshot() == ON_NEW

    def test_stop_it_where_they_are_to_renew_by_themselves_until_they_have(self, ground: Ground) -> None:
        place = ground.places["east"]
        place.deaf = {"api"}
        with pytest.raises(StoppedError) as stop:
            ground.rotate(renewal=Renewal.WAIT)
        assert (
            stop.value.message == "1 of 6 proxies are still to renew, the last by 2026-01-02T12:00:00+00:00"
        )
        assert stop.value.exit_code == 4
        assert str(ground.under_way.stage) == "trust"
        place.renew()
        with pytest.raises(StoppedError):
            ground.go_on()
        assert ground.under_way.stage is Stage.RENEW
        place.renew()
        ground.go_on()
        place.renew()
        assert ground.snapshot() == ON_NEW

    def test_that_nobody_makes_anew_stop_it_with_the_reason(self, ground: Ground) -> None:
        place = ground.places["east"]
        place.deaf = {"lonely"}
        place.cluster.bare_pod("shop", "lonely")
        with pytest.raises(StoppedError) as stop:
            ground.rotate()
        assert "make it anew yourself" in stop.value.details[0]

    def test_that_cannot_be_asked_keep_it_from_going_on(self, ground: Ground) -> None:
        ground.places["east"].silent = {"api"}
        with pytest.raises(FailedError, match="does not answer") as failed:
            ground.rotate()
        assert "--allow-unseen" in failed.value.hint
        assert ground.under_way.stage is Stage.TRUST
        assert ground.under_way.reason == failed.value.message
        ground.go_on(lenient=True)
        ground.places["east"].silent = set()
        assert ground.snapshot() == ON_NEW


class TestIstiods:
    def test_that_take_no_roots_while_they_run_are_started_anew(self, ground: Ground) -> None:
        for place in ground.places.values():
            place.multiroot, place.deaf = False, {"web", "api"}
        ground.rotate()
        for place in ground.places.values():
            place.renew()
        assert ground.snapshot() == ON_NEW
        assert [each.restarts for each in ground.places.values()] == [
            4,
            4,
        ]  # once before, and in three stages

    def test_whose_files_come_late_have_them_brought_and_go_on_running(self, ground: Ground) -> None:
        for place in ground.places.values():
            place.is_slow = True
            place._is_hurried()
        ground.rotate()
        assert ground.snapshot() == ON_NEW
        assert [each.restarts for each in ground.places.values()] == [1, 1]
        assert sum(ground.clock.slept) < 150

    def test_whose_pods_we_may_not_touch_are_waited_for(self, ground: Ground) -> None:
        for place in ground.places.values():
            place.cluster.denied.add(("patch", "pods"))
        ground.rotate()
        assert ground.snapshot() == ON_NEW
        writes = [each for place in ground.places.values() for each in place.cluster.writes]
        assert not [each for each in writes if each.startswith("patch Pod")]

    def test_that_do_not_read_their_files_are_started_anew_after_a_while(self, ground: Ground) -> None:
        ground.places["west"].stuck = True
        ground.rotate()
        assert ground.places["west"].restarts == 4
        assert ground.places["east"].restarts == 1

    def test_that_never_come_right_are_named(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        place = ground.places["west"]
        place.stuck = True
        monkeypatch.setattr(place, "start", lambda: None)
        with pytest.raises(FailedError, match="istiods do not work with their authority: west") as failed:
            ground.rotate()
        assert failed.value.details == ("west: istiod-1 has not read its roots yet",)


class TestWayBack:
    @pytest.mark.parametrize("stage", [Stage.TRUST, Stage.ISSUE, Stage.RENEW])
    def test_leads_every_cluster_to_where_it_was(self, ground: Ground, stage: Stage) -> None:
        before = marks(ground)
        cut_in(ground, stage)
        ground.abort()
        assert ground.snapshot() == ON_OLD
        assert marks(ground) == before
        assert ground.under_way is None

    def test_keeps_all_proxies_together(self, ground: Ground) -> None:
        cut_in(ground, Stage.RENEW)
        assert all(ground.are_trusting() for _ in abort(ground.run))

    def test_is_gone_on_with_when_it_was_cut_short(self, ground: Ground) -> None:
        cut_in(ground, Stage.RENEW)
        story = abort(ground.run)
        list(itertools.islice(story, 3))
        story.close()
        assert ground.under_way.is_back
        ground.go_on()
        assert ground.snapshot() == ON_OLD

    def test_ends_where_the_old_root_begins_to_go(self, ground: Ground) -> None:
        cut_in(ground, Stage.DROP)
        with pytest.raises(ConflictError, match="being dropped already"):
            ground.abort()
        ground.go_on()
        assert ground.snapshot() == ON_NEW

    def test_gives_an_authority_of_the_users_back_to_them(self, ground: Ground) -> None:
        for place in ground.places.values():
            _give_away(place)
        cut_in(ground, Stage.RENEW)
        ground.abort()
        for place in ground.places.values():
            secret = place.cluster.get(cacerts.ref(HOME))
            assert secret is not None
            assert "meshctl.dev/mesh" not in secret.labels


class TestMeanwhile:
    def test_a_cluster_that_came_since_is_brought_on_from_the_beginning(self, ground: Ground) -> None:
        run = ground.run
        alone = replace(
            run.world,
            clusters={"west": run.world.clusters["west"]},
            releases={"west": run.world.releases["west"]},
        )
        ground.run = replace(run, world=alone)
        cut_in(ground, Stage.DROP)
        ground.run = run
        ground.go_on()
        assert ground.snapshot() == ON_NEW

    def test_an_intermediate_that_was_renewed_under_the_old_root_is_replaced_all_the_same(
        self, ground: Ground
    ) -> None:
        cut_in(ground, Stage.ISSUE)
        place = ground.places["west"]
        again = ground.old.intermediate(pki.Subject("Intermediate CA of west"), ground.clock.now())
        chain, key = again.pair.certificate, again.pair.key
        _edit(place, {cacerts.CERTIFICATE: chain, cacerts.KEY: key, cacerts.CHAIN: chain})
        ended(_watched(ground, go_on(ground.run)))
        assert ground.snapshot() == ON_NEW

    def test_the_old_root_is_not_dropped_where_somebody_needs_it_again(self, ground: Ground) -> None:
        ground.places["east"].deaf = {"api"}
        cut_in(ground, Stage.DROP)
        place = ground.places["east"]
        renewed = {name: each for name, each in place.identities.items() if name.startswith("api")}
        pair = ground.old.intermediate(pki.Subject("forgotten"), ground.clock.now())
        for name, each in renewed.items():
            leaf = pair.issue(pki.Subject(uris=("spiffe://a/ns/b/sa/c",)), ground.clock.now())
            place.identities[name] = replace(each, chain=(leaf.certificate, pair.pair.certificate))
        story = go_on(ground.run)
        next(story)
        assert str(ground.under_way.stage) == "trust"
        ended(story)
        assert {each[0].pop() for each in ground.snapshot().values()} == {"CN=new"}


class TestClusterThatLeaves:
    def test_is_no_reason_for_the_others_to_stop(self, ground: Ground) -> None:
        cut_in(ground, Stage.RENEW)
        left(ground.run.world, "east", "shop")
        east = ground.places["east"]
        for secret in (cacerts.ref(HOME), ground.under_way.seats[0].kept):
            east.cluster.delete(secret)
        for workload in east.cluster.list("apps/v1", "Deployment", namespace="shop"):
            east.cluster.delete(workload.ref)
        for pod in east.pods():
            east.cluster.delete(pod.ref)
        ground.go_on()
        assert ground.snapshot()["west"] == ON_NEW["west"]

    def test_does_not_take_an_authority_of_the_users_with_it(self, ground: Ground) -> None:
        _give_away(ground.places["east"])
        cut_in(ground, Stage.RENEW)
        with pytest.raises(ConflictError, match="the authority that you brought to 'east'"):
            left(ground.run.world, "east", "shop")


class TestRefusals:
    def test_a_second_one_is_not_begun_beside_the_first(self, ground: Ground) -> None:
        planned = ground.prepared().rotation
        cut_in(ground, Stage.RENEW)
        with pytest.raises(ConflictError, match="begun meanwhile"):
            ended(begin(ground.run, planned))

    def test_somebody_else_at_work_on_one_cluster_keeps_all_as_they_are(self, ground: Ground) -> None:
        planned = ground.prepared().rotation
        with ground.places["west"].records.lock("shop"), pytest.raises(ConflictError, match="at work"):
            ended(begin(ground.run, planned))
        assert ground.snapshot() == ON_OLD
        assert ground.under_way is None

    def test_nothing_is_continued_where_nothing_was_begun(self, ground: Ground) -> None:
        with pytest.raises(ConfigError, match="no rotation"):
            ground.go_on()

    def test_a_cluster_that_is_not_asked_for_is_missed(self, ground: Ground) -> None:
        cut_in(ground, Stage.RENEW)
        run = ground.run
        west = replace(
            run.world,
            clusters={"west": run.world.clusters["west"]},
            releases={"west": run.world.releases["west"]},
        )
        ground.run = replace(run, world=west)
        with pytest.raises(ConfigError, match="not asked for: east"):
            ground.go_on()

    def test_trust_that_is_not_ours_is_not_rotated(self, ground: Ground) -> None:
        ground.run = replace(ground.run, meshes=(replace(ground.mesh, trust=Trust()),))
        with pytest.raises(ConfigError, match="not ours to rotate"):
            ground.prepared()

    def test_an_authority_of_cert_manager_is_left_to_it(self, ground: Ground) -> None:
        place = ground.places["east"]
        files = place.files()
        chain, key, roots = (files[each] for each in (cacerts.CERTIFICATE, cacerts.KEY, cacerts.ROOTS))
        _edit(place, {"tls.crt": chain, "tls.key": key, "ca.crt": roots})
        _give_away(place)
        with pytest.raises(ConflictError, match="kept by cert-manager"):
            ground.prepared()

    def test_a_cluster_without_an_authority_is_named(self, ground: Ground) -> None:
        ground.places["west"].cluster.delete(cacerts.ref(HOME))
        with pytest.raises(ConfigError, match="'west' has no authority"):
            ground.prepared()


def _edit(place: Any, files: dict[str, bytes]) -> None:
    import base64

    data = {name: base64.b64encode(each).decode() for name, each in files.items()}
    place.cluster.edit(cacerts.ref(HOME), {"data": data}, manager="meshctl", operation="Apply")


def _give_away(place: Any) -> None:
    """Let the authority of a cluster be the user's."""
    labels = {"meshctl.dev/mesh": None, "meshctl.dev/component": None}
    place.cluster.edit(cacerts.ref(HOME), {"metadata": {"labels": labels}})


def _watched(ground: Ground, story: Any) -> Any:
    """The story; every proxy believes every other one all the while."""
    while True:
        try:
            news = next(story)
        except StopIteration as end:
            return end.value
        assert ground.are_trusting(), news
        yield news


def _lost_after(ground: Ground, count: int) -> list[int]:
    """Let writing of records fail from the `count`-th on, until the list that is given is empty."""
    left = [count]
    for place in ground.places.values():
        write = place.records.write_rotation

        def lossy(mesh: str, rotation: Any, write: Any = write) -> None:
            if left:
                left[0] -= 1
                if left[0] < 0:
                    raise UnreachableError("api-server-unreachable", "the API server does not answer")
            write(mesh, rotation)

        object.__setattr__(place.records, "write_rotation", lossy)
    return left
