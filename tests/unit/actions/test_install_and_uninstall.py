"""The story of install and uninstall, over fakes that keep the real things' promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.actions.doing import do
from meshctl.actions.install import Wave, install, rehearse
from meshctl.actions.uninstall import uninstall
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConflictError, FailedError, UnsupportedError
from meshctl.model.event import Done, Event, Failed, Skipped
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply
from meshctl.model.release import Status
from meshctl.model.removal import Scope
from meshctl.ports import World
from meshctl.stages.seeing.observe import inventory
from meshctl.stages.settings.load import Loaded, load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
TAG = Ref("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-revision-tag-default")


class Ground:
    """One cluster in memory, and what is done there."""

    def __init__(self, version: str = "v1.34.4") -> None:
        self.cluster = FakeCluster("here", version=version)
        self.files = FakeFiles()
        clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, self.files)

    def asked(self, profile: str = "minimal", *sets: str) -> Loaded:
        return load(Inputs(profile=profile, sets=sets, cluster="here"))

    def wave(self, profile: str = "minimal", *sets: str) -> Wave:
        (wave,) = install(self.world, self.asked(profile, *sets))
        return wave

    def install(self, profile: str = "minimal", *sets: str) -> list[Event]:
        return list(do(self.world, self.wave(profile, *sets).plan))

    def uninstall(self, *, purge: bool = True) -> Iterator[object]:
        for leave in uninstall(self.world, Scope("mesh", purge=purge)):
            list(do(self.world, leave.plan))
            yield from leave.left(self.world)


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_an_install_is_recorded_with_what_was_there_before(ground: Ground) -> None:
    before = inventory(ground.cluster)
    ground.install()
    (record,) = ground.releases.of("mesh")
    assert record.status is Status.DEPLOYED
    assert record.inventory == before
    assert ISTIOD in record.refs
    assert ground.cluster.get(ISTIOD) is not None


def test_the_same_install_again_has_nothing_to_do(ground: Ground) -> None:
    ground.install()
    ground.cluster.writes.clear()
    assert ground.wave().plan.is_empty
    assert ground.cluster.writes == []


def test_another_profile_prunes_what_it_does_not_ask_for(ground: Ground) -> None:
    ground.install("default")
    gateway = Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway")
    assert ground.cluster.get(gateway) is not None
    ground.install("minimal")
    assert ground.cluster.get(gateway) is None
    assert [each.status for each in ground.releases.of("mesh")] == [Status.SUPERSEDED, Status.DEPLOYED]


def test_uninstall_leaves_what_was_there_before_and_nothing_else(ground: Ground) -> None:
    before = inventory(ground.cluster)
    ground.install("demo")
    assert list(ground.uninstall()) == []
    assert inventory(ground.cluster) == before
    assert ground.releases.of("mesh") == ()


def test_a_kubernetes_that_is_too_old_is_refused_and_nothing_is_sent() -> None:
    ground = Ground("v1.27.3")
    with pytest.raises(
        UnsupportedError, match=r"Kubernetes v1\.27\.3, and Istio 1\.31\.0 needs 1\.32"
    ) as told:
        ground.wave()
    assert told.value.hint
    assert ground.cluster.writes == []


def test_a_kubernetes_that_was_not_tested_is_a_warning_on_the_plan() -> None:
    assert any("newer than" in each for each in Ground("v1.99.0").wave().plan.warnings)


def test_a_rehearsal_keeps_nothing_and_says_what_cannot_be_judged_yet(ground: Ground) -> None:
    before = inventory(ground.cluster)
    events = list(rehearse(ground.world, ground.wave().plan))
    assert isinstance(events[-1], Done)
    assert inventory(ground.cluster) == before
    assert not any(isinstance(each, Failed) for each in events)


def test_a_rehearsal_fails_for_what_the_api_server_would_refuse(ground: Ground) -> None:
    ground.install()
    wave = ground.wave("minimal", "pilot.traceSampling=5")
    ground.cluster.fail("apply", str(ISTIOD), FailedError("object-invalid", "no such field"))
    with pytest.raises(FailedError, match="would refuse 1"):
        list(rehearse(ground.world, wave.plan))


def test_an_object_whose_namespace_is_still_to_come_is_skipped_by_a_rehearsal(ground: Ground) -> None:
    wave = ground.wave()
    refusal = FailedError("not-found", "namespaces istio-system not found")
    ground.cluster.fail("apply", str(ISTIOD), refusal)
    skipped = [each for each in rehearse(ground.world, wave.plan) if isinstance(each, Skipped)]
    assert str(ISTIOD) in [each.subject for each in skipped]


def test_another_revision_stands_beside_the_first(ground: Ground) -> None:
    ground.install()
    ground.install("minimal", "revision=canary")
    assert [each.status for each in ground.releases.of("mesh")] == [Status.DEPLOYED, Status.DEPLOYED]
    assert ground.cluster.get(ISTIOD) is not None
    assert ground.wave().plan.is_empty
    assert ground.wave("minimal", "revision=canary").plan.is_empty


def test_another_revision_does_not_take_the_default_tag(ground: Ground) -> None:
    ground.install()
    ground.install("minimal", "revision=canary")
    live = ground.cluster.get(TAG)
    assert live is not None
    assert live.labels["istio.io/rev"] == "default"


def test_the_first_install_gets_the_default_tag_though_it_has_a_revision(ground: Ground) -> None:
    ground.install("minimal", "revision=canary")
    live = ground.cluster.get(TAG)
    assert live is not None
    assert live.labels["istio.io/rev"] == "canary"


def test_a_default_tag_that_was_moved_is_neither_taken_back_nor_pruned(ground: Ground) -> None:
    ground.install()
    for name, kind in (
        ("istio-revision-tag-default", "Mutating"),
        ("istiod-default-validator", "Validating"),
    ):
        moved = Ref(TAG.api_version, f"{kind}WebhookConfiguration", "", name)
        ground.cluster.edit(moved, {"metadata": {"labels": {"istio.io/rev": "canary"}}}, manager="istioctl")
    ground.install("minimal", "pilot.traceSampling=5")
    live = ground.cluster.get(TAG)
    assert live is not None
    assert live.labels["istio.io/rev"] == "canary"


def test_uninstall_takes_all_revisions_and_leaves_what_was_there_before(ground: Ground) -> None:
    before = inventory(ground.cluster)
    ground.install()
    ground.install("minimal", "revision=canary")
    assert list(ground.uninstall()) == []
    assert inventory(ground.cluster) == before


def test_uninstall_knows_the_namespace_from_the_record(ground: Ground) -> None:
    before = inventory(ground.cluster)
    (wave,) = install(ground.world, load(Inputs(profile="minimal", namespace="mesh-system", cluster="here")))
    list(do(ground.world, wave.plan))
    assert list(ground.uninstall()) == []
    assert inventory(ground.cluster) == before


def test_a_field_that_we_do_not_ask_for_is_not_ours_to_change(ground: Ground) -> None:
    ground.install()
    change = {"spec": {"template": {"spec": {"priorityClassName": "high"}}}}
    ground.cluster.edit(ISTIOD, change, manager="somebody")
    assert ground.wave().plan.is_empty


MINE = {"spec": {"template": {"metadata": {"labels": {"istio": "mine"}}}}}


def test_a_field_that_an_edit_has_changed_is_put_right_by_the_next_install(ground: Ground) -> None:
    ground.install()
    ground.cluster.edit(ISTIOD, MINE, manager="kubectl-edit")
    (step,) = (each for each in ground.wave().plan.steps if isinstance(each, Apply))
    assert [(each.owner, each.drifted) for each in step.changes] == [("kubectl-edit", True)]
    ground.install()
    assert ground.cluster.get(ISTIOD).at("spec.template.metadata.labels.istio") == "pilot"
    assert ground.wave().plan.is_empty


def test_a_field_that_somebody_declares_is_told_with_its_owner_and_taken_back_only_when_asked(
    ground: Ground,
) -> None:
    ground.install()
    ground.cluster.edit(ISTIOD, MINE, manager="somebody", operation="Apply")
    ground.cluster.writes.clear()
    with pytest.raises(ConflictError) as told:
        ground.wave()
    assert any("somebody" in each for each in told.value.details)
    assert ground.cluster.writes == []
    (wave,) = install(ground.world, ground.asked(), take_over=True)
    list(do(ground.world, wave.plan))
    assert ground.wave().plan.is_empty
