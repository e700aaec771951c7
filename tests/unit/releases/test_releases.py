"""Records and lock in a cluster."""

from __future__ import annotations

import os
import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.lease import Holder
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConfigError, ConflictError, FailedError, UnreachableError, UnsupportedError
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Release, Status
from tests.fakes import NOON, FakeClock, FakeCluster
from tests.unit.releases.test_release_codec import a_release

LOCK = Ref("coordination.k8s.io/v1", "Lease", "kube-system", "meshctl-m")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def releases(cluster: FakeCluster) -> ClusterReleases:
    return ClusterReleases(cluster, FakeClock())


def deployed(generation: int, mesh: str = "m") -> Release:
    return a_release(mesh=mesh, generation=generation, status=Status.DEPLOYED)


def test_records_come_back_oldest_first(releases: ClusterReleases) -> None:
    for generation in (2, 10, 1):
        releases.write(a_release(generation=generation))
    assert [each.generation for each in releases.of("m")] == [1, 2, 10]
    assert releases.of("m")[0] == a_release(generation=1)


def test_a_record_is_a_secret_of_our_type_that_can_be_found_by_label(
    cluster: FakeCluster, releases: ClusterReleases
) -> None:
    releases.write(a_release())
    secret = cluster.get(Ref("v1", "Secret", "kube-system", "meshctl.m.v1"))
    assert secret is not None
    assert secret.at("type") == "meshctl.dev/release"
    assert {**secret.labels} == {
        "meshctl.dev/mesh": "m",
        "meshctl.dev/status": "pending",
        "meshctl.dev/generation": "1",
    }


def test_meshes_are_told_apart(releases: ClusterReleases) -> None:
    releases.write(deployed(1, "b"))
    releases.write(deployed(1, "a"))
    assert releases.meshes() == ("a", "b")
    assert [each.mesh for each in releases.of("a")] == ["a"]


def test_a_deployed_release_supersedes_the_earlier_ones(releases: ClusterReleases) -> None:
    releases.write(deployed(1))
    releases.write(a_release(generation=2))
    assert [each.status for each in releases.of("m")] == [Status.DEPLOYED, Status.PENDING]
    releases.write(deployed(2))
    assert [each.status for each in releases.of("m")] == [Status.SUPERSEDED, Status.DEPLOYED]


def test_only_the_last_ten_are_kept(releases: ClusterReleases) -> None:
    for generation in range(1, 14):
        releases.write(deployed(generation))
    assert [each.generation for each in releases.of("m")] == list(range(4, 14))


def test_records_of_a_revision_that_runs_are_kept_however_old(releases: ClusterReleases) -> None:
    releases.write(replace(deployed(1), revision="old"))
    releases.write(replace(deployed(2), revision="old", status=Status.PENDING))
    for generation in range(3, 30):
        releases.write(deployed(generation))
    kept = releases.of("m")
    assert [(each.generation, each.status) for each in kept[:2]] == [
        (1, Status.DEPLOYED),
        (2, Status.PENDING),
    ]
    assert [each.generation for each in kept[2:]] == list(range(20, 30))


def test_records_of_a_revision_that_was_removed_go_with_the_years(releases: ClusterReleases) -> None:
    for generation in range(1, 12):
        releases.write(replace(deployed(generation), revision=f"r{generation}"))
        if generation > 1:  # as the removal of one revision leaves them
            past = replace(deployed(generation - 1), revision=f"r{generation - 1}", status=Status.SUPERSEDED)
            releases.write(past)
    releases.write(replace(deployed(12), revision="r11"))
    assert [each.generation for each in releases.of("m")] == list(range(3, 13))


def test_a_record_is_forgotten_once_or_twice(releases: ClusterReleases) -> None:
    releases.write(deployed(1))
    releases.forget(deployed(1))
    releases.forget(deployed(1))
    assert releases.of("m") == ()
    assert releases.meshes() == ()


def test_a_record_larger_than_a_secret_is_refused(cluster: FakeCluster, releases: ClusterReleases) -> None:
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2_000_000))
    with pytest.raises(ConfigError, match="a Secret may have 1048576"):
        releases.write(a_release(values={"noise": noise}))
    assert cluster.writes == []


def test_a_foreign_secret_is_left_alone(cluster: FakeCluster, releases: ClusterReleases) -> None:
    meta = {"name": "x", "namespace": "kube-system", "labels": {"meshctl.dev/mesh": "m"}}
    cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"})
    assert releases.of("m") == ()


def test_an_unreadable_record_is_named(cluster: FakeCluster, releases: ClusterReleases) -> None:
    releases.write(a_release())
    cluster.edit(Ref("v1", "Secret", "kube-system", "meshctl.m.v1"), {"data": {"release": "bm9uc2Vuc2U="}})
    with pytest.raises(UnsupportedError, match=r"meshctl\.m\.v1"):
        releases.of("m")


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "a" * 54, "-a", "a="])
def test_a_mesh_that_could_not_be_a_label_is_refused(releases: ClusterReleases, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a mesh"):
        releases.of(name)


def test_the_lock_is_there_while_held_and_leaves_nothing(
    cluster: FakeCluster, releases: ClusterReleases
) -> None:
    with releases.lock("m"):
        there = cluster.get(LOCK)
        assert there is not None
        holder = Holder.parse(there.at("spec.holderIdentity"))
        assert holder is not None
        assert holder.pid == os.getpid()
        assert not holder.is_dead
    assert cluster.get(LOCK) is None


def held_by(cluster: FakeCluster, holder: str, seconds_ago: float = 0.0) -> Object:
    at = (NOON - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 1, "acquireTime": at, "renewTime": at}
    meta = {"name": LOCK.name, "namespace": LOCK.namespace}
    content = {"apiVersion": LOCK.api_version, "kind": "Lease", "metadata": meta, "spec": spec}
    return cluster.seed(content, "meshctl")


def test_a_living_holder_is_named(cluster: FakeCluster, releases: ClusterReleases) -> None:
    held_by(cluster, "ann@desk/7/other-world/1/ff")
    renewal = threading.Timer(
        0.1, lambda: cluster.edit(LOCK, {"spec": {"renewTime": "2026-01-01T12:00:05.0Z"}})
    )
    renewal.start()
    with pytest.raises(ConflictError) as caught, releases.lock("m"):
        pass
    renewal.join()
    assert caught.value.code == "mesh-locked"
    assert (
        "ann@desk (process 7) has been at work on this mesh since 2026-01-01T12:00:00" in caught.value.message
    )
    assert cluster.get(LOCK) is not None


def test_a_holder_that_renews_no_more_loses_the_lock(cluster: FakeCluster) -> None:
    held_by(cluster, "ann@desk/7/other-world/1/ff")
    cluster._clock._tick = 0.5  # the watch runs out of time
    with ClusterReleases(cluster, FakeClock()).lock("m"):
        there = cluster.get(LOCK)
        assert there is not None
        assert str(os.getpid()) in there.at("spec.holderIdentity")
        assert there.at("spec.leaseTransitions") == 1


def test_a_lock_renewed_long_ago_is_taken_at_once(cluster: FakeCluster, releases: ClusterReleases) -> None:
    held_by(cluster, "ann@desk/7/other-world/1/ff", seconds_ago=60)
    with releases.lock("m"):
        pass


def test_a_dead_process_of_this_machine_loses_the_lock_at_once(
    cluster: FakeCluster, releases: ClusterReleases
) -> None:
    dead = replace(Holder.here(), pid=2**22 + 1)
    assert dead.is_dead
    held_by(cluster, str(dead))
    with releases.lock("m"):
        pass


def test_a_process_number_used_again_is_not_the_holder() -> None:
    assert replace(Holder.here(), started="1").is_dead


def test_holders_of_other_machines_are_never_taken_for_dead() -> None:
    assert not replace(Holder.here(), pid=2**22 + 1, world="another boot").is_dead
    assert not replace(Holder.here(), pid=2**22 + 1, host="elsewhere").is_dead
    assert Holder.parse("some-other-tool") is None


def test_the_lock_is_renewed_while_held(cluster: FakeCluster) -> None:
    with ClusterReleases(cluster, SystemClock(), lock_seconds=0.06).lock("m"):
        renewed = threading.Event()
        watch = cluster.watch(LOCK.api_version, "Lease", namespace="kube-system", name=LOCK.name)
        for change, _ in watch:
            if change == "MODIFIED":
                renewed.set()
                watch.close()
    assert renewed.is_set()
    assert cluster.get(LOCK) is None


def test_a_renewal_whose_answer_was_lost_is_still_ours(cluster: FakeCluster) -> None:
    lost = ConflictError("object-changed", "sent twice")
    cluster.fail("replace", str(LOCK), lost, times=1)
    with ClusterReleases(cluster, SystemClock(), lock_seconds=0.06).lock("m"):
        watch = cluster.watch(LOCK.api_version, "Lease", namespace="kube-system", name=LOCK.name)
        for change, _ in watch:
            if change == "MODIFIED":
                watch.close()
    assert cluster.get(LOCK) is None


def test_a_lock_taken_away_is_told_at_the_end(cluster: FakeCluster) -> None:
    with (
        pytest.raises(ConflictError) as caught,
        ClusterReleases(cluster, FakeClock(), lock_seconds=0.03).lock("m"),
    ):
        before = cluster.get(LOCK)
        assert before is not None
        cluster.edit(LOCK, {"spec": {"holderIdentity": "bob@desk/1/w/1/ee"}}, "bob")
        done = threading.Event()
        done.wait(0.2)
    assert caught.value.code == "lock-lost"
    there = cluster.get(LOCK)
    assert there is not None
    assert there.at("spec.holderIdentity") == "bob@desk/1/w/1/ee"


def taken_by_bob(cluster: FakeCluster) -> None:
    cluster.edit(LOCK, {"spec": {"holderIdentity": "bob@desk/1/w/1/ee"}}, "bob")


def until_lost(releases: ClusterReleases) -> None:
    """Wait until the keeper has seen that the lock is lost; the test would hang where it never does."""
    pause = threading.Event()
    for _ in range(500):
        try:
            releases.require_locks()
        except ConflictError:
            return
        pause.wait(0.01)
    raise AssertionError("nobody saw that the lock is lost")


def test_who_has_lost_the_lock_writes_no_record_any_more(cluster: FakeCluster) -> None:
    releases = ClusterReleases(cluster, FakeClock(), lock_seconds=0.03)
    with pytest.raises(ConflictError) as caught, releases.lock("m"):
        releases.require_locks()
        taken_by_bob(cluster)
        until_lost(releases)
        releases.forget_upgrade("m")
    assert caught.value.code == "lock-lost"
    releases.require_locks()  # nothing is held any more


def test_a_lost_lock_is_told_even_where_the_work_fails_of_something_else(cluster: FakeCluster) -> None:
    releases = ClusterReleases(cluster, FakeClock(), lock_seconds=0.03)
    with pytest.raises(ConflictError) as caught, releases.lock("m"):
        taken_by_bob(cluster)
        until_lost(releases)
        raise FailedError("not-ready", "istiod is not ready")
    assert caught.value.code == "lock-lost"
    assert caught.value.details == ("istiod is not ready",)


def test_a_lease_that_somebody_removed_is_a_lost_lock_and_is_kept_no_more(cluster: FakeCluster) -> None:
    releases = ClusterReleases(cluster, FakeClock(), lock_seconds=0.03)
    with pytest.raises(ConflictError) as caught, releases.lock("m"):
        cluster.delete(LOCK)
        until_lost(releases)
        keepers = [each for each in threading.enumerate() if each.name == LOCK.name]
        for each in keepers:
            each.join(5)
        assert not any(each.is_alive() for each in keepers)
    assert caught.value.code == "lock-lost"


def test_a_lock_that_nobody_could_renew_for_a_while_is_held_still(cluster: FakeCluster) -> None:
    releases = ClusterReleases(cluster, SystemClock(), lock_seconds=0.06)
    with releases.lock("m"):
        for verb in ("replace", "get"):
            cluster.fail(verb, str(LOCK), UnreachableError("unreachable", "no route to host"))
        watch = cluster.watch(LOCK.api_version, "Lease", namespace="kube-system", name=LOCK.name)
        for change, _ in watch:
            if change == "MODIFIED":
                watch.close()
        releases.require_locks()
    assert cluster.get(LOCK) is None
