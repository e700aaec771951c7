"""What is observed of a fleet is enough to plan it elsewhere, also with other settings."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from meshctl.actions.fleet import Choices, Fleet, carry_out, keeping_all, preview
from meshctl.actions.observing import observed
from meshctl.adapters import recordings
from meshctl.adapters.releases import ClusterReleases
from meshctl.adapters.world import recorded
from meshctl.errors import UnreachableError
from meshctl.model.fleet import Ended
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.ports import World
from meshctl.stages.planning.plan_data import plan_data
from meshctl.stages.settings.load import load_all
from tests.fakes import FakeClock, FakeCluster, FakeFiles

MESH = """\
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: shop}
spec:
  profile: minimal
  values: {pilot: {env: {LIGHTSTEP_ACCESS_TOKEN: hunter2}}}
  clusters:
    - {name: west, context: west, network: one, server: https://west.example:6443}
    - {name: east, context: east, network: one, server: https://east.example:6443}
"""


class Two:
    """Two clusters in memory, and the mesh.yaml that names them."""

    def __init__(self, folder: Path) -> None:
        clock = FakeClock()
        self.file = folder / "mesh.yaml"
        self.file.write_text(MESH)
        self.seen = folder / "seen"
        self.clusters = {name: FakeCluster(name) for name in ("west", "east")}
        records = {name: ClusterReleases(door, clock) for name, door in self.clusters.items()}
        self.world = World(self.clusters, records, clock, FakeFiles())

    def fleet(self, world: World, *sets: str) -> Fleet:
        meshes = load_all(Inputs(files=(str(self.file),), sets=sets))
        keeping_all(world, meshes)
        return Fleet(meshes, {each.name: mesh for mesh in meshes for each in mesh.mesh.clusters})

    def install(self) -> None:
        fleet = self.fleet(self.world)
        told = carry_out(self.world, fleet, preview(self.world, fleet, Choices()), Choices())
        assert [str(each.error) for each in told if isinstance(each, Ended) and not each.is_done] == []

    def recorded(self) -> World:
        return replace(recorded(self.seen, ["west", "east"]), clock=self.world.clock)

    def observe(self) -> None:
        for each in observed(self.world, self.fleet(self.world)):
            assert each.recording is not None, each.error
            recordings.write(self.seen, each.recording)


def planned(two: Two, world: World, *sets: str) -> list[object]:
    """Every task and what its plan does."""
    shown = preview(world, two.fleet(world, *sets), Choices())
    assert [each.error for each in shown if each.error] == []
    return [(str(each.task), each.task.cluster, plan_data(each.plan)) for each in shown]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_an_empty_fleet_is_planned_from_what_was_observed(two: Two):
    two.observe()
    there = two.recorded()
    assert planned(two, there) == planned(two, two.world)
    assert all(not each.writes for each in two.clusters.values())


def test_a_fleet_that_is_as_asked_has_nothing_to_do_also_where_it_was_observed(two: Two):
    two.install()
    two.observe()
    there = two.recorded()
    assert all(each.plan.is_empty for each in preview(there, two.fleet(there), Choices()))


@pytest.mark.parametrize(
    "sets",
    [
        ("values.pilot.env.OTHER=1",),
        ("profile=default",),
        ("revision=canary",),
        ("components.cni.enabled=true",),
        ("values.global.istioNamespace=elsewhere",),
    ],
)
def test_other_settings_are_planned_from_what_was_observed_before_they_were_thought_of(
    two: Two, sets: tuple[str, ...]
):
    two.install()
    two.observe()
    there = two.recorded()
    assert planned(two, there, *sets) == planned(two, two.world, *sets)


def test_what_was_observed_holds_no_secrets(two: Two):
    two.install()
    two.clusters["west"].seed(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cacerts", "namespace": "istio-system", "labels": {"meshctl.dev/mesh": "shop"}},
            "data": {"ca-key.pem": "aHVudGVyMg=="},
        }
    )
    two.observe()
    for file in two.seen.iterdir():
        text = gzip.decompress(file.read_bytes()).decode()
        assert "hunter2" not in text
        assert "aHVudGVyMg==" not in text
        assert "token-of" not in text  # what a remote secret reads by


def test_a_cluster_that_does_not_answer_is_told_and_the_others_are_observed(two: Two):
    two.install()
    gone = UnreachableError("unreachable", "no answer")
    fleet = two.fleet(two.world)
    two.clusters["east"].fail("get", str(Ref("v1", "Namespace", "", "istio-system")), gone, times=99)
    west, east = observed(two.world, fleet)
    assert west.recording is not None
    assert (east.recording, east.error) == (None, gone)
