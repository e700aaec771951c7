"""The story of an upgrade in place, its automatic return, and rollback, over fakes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from meshctl.actions.doing import do
from meshctl.actions.install import install, keeping
from meshctl.actions.rollback import rollback
from meshctl.actions.rollback import send as send_back
from meshctl.actions.upgrade import in_place, send, target
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import (
    ConfigError,
    ConflictError,
    FailedError,
    StoppedError,
    UnreachableError,
    UnsupportedError,
)
from meshctl.model.event import Event, Warned
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.release import Release, Status
from meshctl.model.upgrade import Upgrade
from meshctl.ports import World
from meshctl.stages.applying import steps
from meshctl.stages.settings.load import Loaded, load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
GATEWAYS = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "gateways.networking.istio.io")
REFUSED = FailedError("refused", "the API server refused it")


class Mesh:
    """One cluster in memory, with 1.31.0 installed there; without definitions, which take their time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sets: str) -> None:
        self.cluster = FakeCluster("here")
        clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, FakeFiles())
        self.faults: list[str] = []
        monkeypatch.setattr(
            steps, "webhook_answers", lambda *_, **__: self.faults.pop(0) if self.faults else ""
        )
        self.sets = sets
        self.install(version="1.31.0")

    def asked(self, **given: Any) -> Loaded:
        return load(Inputs(**{"profile": "minimal", "sets": self.sets, "cluster": "here", **given}))

    def install(self, **given: Any) -> None:
        asked = self.asked(**given)
        version, revision = keeping(self.world, asked)
        given |= {"version": version or given.get("version"), "revision": revision or given.get("revision")}
        for wave in install(self.world, self.asked(**given)):
            list(do(self.world, wave.plan))

    def upgrade(self, to: str = "1.32.0", **how: Any) -> list[Event]:
        asked, source = target(self.world, to=to, **how)
        wave = in_place(self.world, asked, source)
        return [] if wave.plan.is_empty else list(send(self.world, wave))

    def rollback(self, **how: Any) -> list[Event]:
        back = rollback(self.world, "mesh", **how)
        return [] if back.plan.is_empty else list(send_back(self.world, back))

    @property
    def records(self) -> tuple[Release, ...]:
        return self.releases.of("mesh")

    @property
    def statuses(self) -> list[tuple[str, str]]:
        return [(each.version, str(each.status)) for each in self.records]

    def image(self) -> str:
        istiod = self.cluster.get(ISTIOD)
        assert istiod is not None
        return str(istiod.at("spec.template.spec.containers[0].image")).rpartition(":")[2]

    def definitions(self) -> str:
        found = self.cluster.get(GATEWAYS)
        assert found is not None
        return found.labels["app.kubernetes.io/version"]


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh(monkeypatch, "components.base.enabled=false")


def test_an_upgrade_sends_the_new_version_with_the_settings_of_the_release(mesh: Mesh) -> None:
    mesh.install(sets=("values.pilot.traceSampling=7", *mesh.sets))
    mesh.upgrade()
    assert mesh.image() == "1.32.0"
    last = mesh.records[-1]
    assert (last.version, last.profile, last.cause) == ("1.32.0", "minimal", "upgrade from 1.31.0")
    assert last.values["values"]["pilot"] == {"traceSampling": 7.0}
    assert mesh.upgrade() == []


def test_a_version_that_does_not_become_ready_is_returned_from(mesh: Mesh) -> None:
    mesh.cluster.fail("apply", str(ISTIOD), REFUSED)
    before = mesh.image()
    with pytest.raises(FailedError, match=r"refused it; release 1 \(Istio 1.31.0\) is back") as failed:
        mesh.upgrade()
    assert failed.value.code == "upgrade-returned"
    assert mesh.image() == before
    assert mesh.statuses == [("1.31.0", "superseded"), ("1.32.0", "failed"), ("1.31.0", "deployed")]
    with pytest.raises(FailedError):
        mesh.cluster.fail("apply", str(ISTIOD), REFUSED)
        mesh.upgrade()
    assert rollback(mesh.world, "mesh").release.generation == 3, "a release that failed is no place to go to"
    assert (mesh.records[-1].cause, mesh.records[-1].restores) == ("return from 1.32.0", 3)


def test_webhooks_that_do_not_answer_are_returned_from(mesh: Mesh) -> None:
    mesh.faults = ["nobody answers"] * 1000
    with pytest.raises(FailedError, match="nobody answers") as failed:
        mesh.upgrade()
    assert failed.value.code == "return-failed"  # they do not answer for the old one either
    assert failed.value.hint == "mend the cause, then `meshctl rollback --to 1`"
    mesh.faults = ["nobody answers"] * 61
    with pytest.raises(FailedError, match=r"nobody answers; release 1 .* is back"):
        mesh.upgrade()
    assert mesh.image() == "1.31.0"


def test_webhooks_may_take_a_moment(mesh: Mesh) -> None:
    mesh.faults = ["nobody answers"] * 3
    mesh.upgrade()
    assert mesh.records[-1].status is Status.DEPLOYED


def test_a_lost_connection_stops_and_the_same_command_continues(mesh: Mesh) -> None:
    mesh.cluster.fail("apply", str(ISTIOD), UnreachableError("unreachable", "no answer"))
    with pytest.raises(StoppedError):
        mesh.upgrade()
    assert mesh.statuses == [("1.31.0", "deployed"), ("1.32.0", "pending")]
    mesh.upgrade()
    assert mesh.statuses == [("1.31.0", "superseded"), ("1.32.0", "deployed")]


def test_an_upgrade_stopped_part_way_is_not_installed_over(mesh: Mesh) -> None:
    mesh.cluster.fail("apply", str(ISTIOD), UnreachableError("unreachable", "no answer"))
    with pytest.raises(StoppedError):
        mesh.upgrade()
    with pytest.raises(ConflictError, match=r"on its way from 1.31.0 to 1.32.0"):
        mesh.install()
    mesh.rollback()
    assert mesh.statuses[-1] == ("1.31.0", "deployed")
    mesh.install()


def cut_short(running: Iterator[Event], events: int) -> None:
    """Let a story go on for so many events, and no further."""
    assert isinstance(running, Generator)
    for _, _ in zip(range(events), running, strict=False):
        pass
    running.close()


@pytest.mark.parametrize("event", range(0, 48, 6))
def test_a_run_killed_at_any_moment_is_continued(mesh: Mesh, event: int) -> None:
    asked, source = target(mesh.world, to="1.32.0")
    cut_short(send(mesh.world, in_place(mesh.world, asked, source)), event)
    mesh.upgrade()
    assert mesh.image() == "1.32.0"
    assert mesh.statuses == [("1.31.0", "superseded"), ("1.32.0", "deployed")]


@pytest.mark.parametrize("event", range(0, 48, 6))
def test_a_rollback_killed_at_any_moment_is_continued(mesh: Mesh, event: int) -> None:
    mesh.upgrade()
    cut_short(send_back(mesh.world, rollback(mesh.world, "mesh")), event)
    if mesh.records[-1].generation == 2 or mesh.records[-1].status is not Status.DEPLOYED:
        mesh.rollback()
    assert mesh.image() == "1.31.0"
    assert mesh.statuses == [("1.31.0", "superseded"), ("1.32.0", "superseded"), ("1.31.0", "deployed")]


def test_a_rollback_keeps_newer_definitions_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(monkeypatch)
    mesh.upgrade()
    back = rollback(mesh.world, "mesh", to=1)
    assert back.plan.warnings[0].startswith("custom resource definitions stay those of Istio 1.32.0")
    list(send_back(mesh.world, back))
    assert (mesh.image(), mesh.definitions()) == ("1.31.0", "1.32.0")
    assert mesh.rollback(to=1) == []
    mesh.install()
    assert (mesh.image(), mesh.definitions(), len(mesh.records)) == ("1.31.0", "1.32.0", 3)


def test_a_rollback_after_a_rollback_goes_forth_again(mesh: Mesh) -> None:
    mesh.upgrade()
    mesh.rollback()
    mesh.rollback()
    assert mesh.image() == "1.32.0"
    assert [each.cause for each in mesh.records[2:]] == ["rollback to 1", "rollback to 2"]


def test_a_rollback_that_makes_no_sense_is_refused(mesh: Mesh) -> None:
    with pytest.raises(ConfigError, match="release 1 is the first of revision 'default'"):
        mesh.rollback()
    with pytest.raises(ConfigError, match="no release 7"):
        mesh.rollback(to=7)
    with pytest.raises(ConfigError, match="of revision 'default', not of 'canary'"):
        mesh.rollback(to=1, revision="canary")
    mesh.cluster.fail("apply", str(ISTIOD), UnreachableError("unreachable", "no answer"))
    with pytest.raises(StoppedError):
        mesh.upgrade()
    with pytest.raises(ConfigError, match="release 2 was never deployed: it is pending"):
        mesh.rollback(to=2)


def test_a_release_whose_revision_was_removed_is_no_place_to_go_back_to(mesh: Mesh) -> None:
    mesh.install(revision="r2", version="1.32.0")
    [old, _] = mesh.records
    mesh.releases.write(Release(**{**vars(old), "status": Status.SUPERSEDED}))
    with pytest.raises(UnsupportedError, match="'default' of release 1 does not run") as refused:
        mesh.rollback(to=1)
    assert refused.value.hint.startswith("`meshctl upgrade --to 1.31.0 --strategy canary`")


def test_an_older_version_is_no_upgrade(mesh: Mesh) -> None:
    with pytest.raises(UnsupportedError, match=r"newer than 1\.30\.3"):
        mesh.upgrade("1.30")
    with pytest.raises(UnsupportedError, match="catalogue"):
        mesh.upgrade("1.99")


@pytest.mark.parametrize("wanted", ["1.32", "1.31.9", "v1.31.10"])
def test_an_install_does_not_change_a_version(mesh: Mesh, wanted: str) -> None:
    with pytest.raises(ConfigError, match=r"is Istio 1\.31\.0, and an install does not make it") as refused:
        mesh.install(version=wanted)
    assert "meshctl upgrade --to" in refused.value.hint


def test_an_install_does_not_go_back_to_an_older_version(mesh: Mesh) -> None:
    mesh.upgrade("1.31.9")
    mesh.upgrade("1.31.10")
    with pytest.raises(ConfigError) as refused:
        mesh.install(version="1.31.9")
    assert refused.value.hint == "`meshctl rollback --to 2` goes back to it"


def test_an_install_keeps_to_the_only_revision_and_its_version(mesh: Mesh) -> None:
    mesh.install(revision="1-32-0", version="1.32")
    [old, _] = mesh.records
    mesh.releases.write(Release(**{**vars(old), "status": Status.SUPERSEDED}))
    mesh.cluster.writes.clear()
    mesh.install()
    assert mesh.cluster.writes == []
    mesh.install(version="1.32")
    assert mesh.cluster.writes == []


def test_an_install_must_be_told_which_of_several_revisions_it_is_for(mesh: Mesh) -> None:
    mesh.install(revision="a", version="1.32")
    mesh.install(revision="b", version="1.32")
    mesh.releases.write(Release(**{**vars(mesh.records[0]), "status": Status.SUPERSEDED}))
    with pytest.raises(ConfigError, match="2 revisions of mesh 'mesh' run here") as refused:
        mesh.install()
    assert refused.value.hint == "choose one of a, b, or a new one"


def test_settings_that_are_not_asked_for_any_more_are_told(mesh: Mesh) -> None:
    mesh.install(profile="demo", sets=("values.pilot.traceSampling=7", *mesh.sets))
    [wave] = install(mesh.world, mesh.asked(profile=None))
    assert wave.plan.warnings[0] == (
        "release 2 had settings that are not asked for any more: profile demo, "
        "values.pilot.traceSampling; give them again to keep them"
    )


def test_nothing_else_is_done_while_an_upgrade_is_under_way(mesh: Mesh) -> None:
    [release] = mesh.records
    mesh.releases.write_upgrade(Upgrade("2026-01-01T00:00:00+00:00", release, release))
    for work in (lambda: mesh.install(), mesh.upgrade, mesh.rollback):
        with pytest.raises(ConflictError, match="under way") as refused:
            work()
        assert "upgrade resume" in refused.value.hint


def test_proxies_that_still_run_another_version_are_told(mesh: Mesh) -> None:
    for name, tag in (("a", "1.31.0"), ("b", "1.31.0-distroless"), ("c", "1.32.0-distroless")):
        labels = {"service.istio.io/canonical-name": name, "istio.io/rev": "default"}
        proxy = {"name": "istio-proxy", "image": f"istio/proxyv2:{tag}"}
        meta = {"name": name, "namespace": "default", "labels": labels}
        content = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [proxy]}}
        mesh.cluster.seed({**content, "status": {"phase": "Running"}})
    [told] = [each for each in mesh.upgrade() if isinstance(each, Warned)]
    assert told.subject == "2 in default"
    assert told.reason.startswith("run another version than 1.32.0 until their workloads are restarted")


def test_the_return_is_told_before_it_begins(mesh: Mesh) -> None:
    mesh.cluster.fail("apply", str(ISTIOD), REFUSED)
    asked, source = target(mesh.world, to="1.32")
    running = send(mesh.world, in_place(mesh.world, asked, source))
    told: list[Event] = []
    with pytest.raises(FailedError):
        while True:
            told.append(next(running))
    assert [each.reason for each in told if isinstance(each, Warned)] == [
        "release 1 (Istio 1.31.0) is sent again"
    ]
