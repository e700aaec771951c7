"""What is observed of a fleet is enough to plan it elsewhere, also with other settings."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path

import pytest

from meshctl.actions.fleet.install import Choices, preview
from meshctl.actions.fleet.observing import observed
from meshctl.adapters import recordings
from meshctl.adapters.world import recorded
from meshctl.ports import World
from meshctl.stages.applying import steps
from meshctl.stages.planning.plan_data import plan_data
from tests.unit.actions.fleet_ground import LOST, Balanced, FleetGround

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


class Observed(FleetGround):
    """A fleet in memory, and a folder for what is seen of it."""

    def __init__(self, folder: Path, text: str = MESH) -> None:
        super().__init__(folder, text)
        self.folder = folder / "seen"

    def observe(self) -> None:
        for each in observed(self.world, self.fleet):
            assert each.recording is not None, each.error
            recordings.write(self.folder, each.recording)

    def recorded(self) -> World:
        return replace(recorded(self.folder, self.doors), clock=self.world.clock)

    def planned(self, world: World, *sets: str) -> list[object]:
        """Every task, and what its plan does."""
        shown = preview(world, self.asked(sets=sets), Choices())
        assert [each.error for each in shown if each.error] == []
        return [(str(each.task), each.task.cluster, plan_data(each.plan)) for each in shown]


@pytest.fixture
def ground(tmp_path: Path) -> Observed:
    return Observed(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A fleet that was installed, and then observed; nothing changes in it."""
    ground = Observed(tmp_path_factory.mktemp("installed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "webhook_answers", lambda *_, **__: "")  # as in every test, see conftest
        assert all(each.is_done for each in ground.install().values())
    meta = {"name": "cacerts", "namespace": "istio-system", "labels": {"meshctl.dev/mesh": "shop"}}
    key = {"ca-key.pem": "aHVudGVyMg=="}
    ground.doors["west"].seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": key})
    ground.observe()
    return ground


def test_an_empty_fleet_is_planned_from_what_was_observed(ground: Observed):
    ground.observe()
    assert ground.planned(ground.recorded()) == ground.planned(ground.world)
    assert ground.writes() == []


def test_a_fleet_that_is_as_asked_has_nothing_to_do_also_where_it_was_observed(installed: Observed):
    shown = preview(installed.recorded(), installed.fleet, Choices())
    assert all(each.plan.is_empty and each.error is None for each in shown)


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
    installed: Observed, sets: tuple[str, ...]
):
    there, here = (installed.planned(world, *sets) for world in (installed.recorded(), installed.world))
    assert there == here


@pytest.mark.parametrize("nearby", [False, True])
def test_clusters_that_were_observed_alone_can_be_planned_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nearby: bool
):
    text = MESH
    if nearby:  # API servers that only processes of this machine reach, such as the pods of a light sandbox
        monkeypatch.setattr(Balanced, "server", property(lambda door: f"https://127.0.0.1/{door.name}"))
        text = re.sub(r", server: [^}]*", "", MESH)
    ground = Observed(tmp_path, text)
    for door in ground.doors.values():
        marks = {"name": "node", "annotations": {"kwok.x-k8s.io/node": "fake"}}
        door.seed({"apiVersion": "v1", "kind": "Node", "metadata": marks})
    for name in ground.doors:
        (seen,) = observed(ground.world, ground.asked(only=name))
        assert seen.recording is not None
        recordings.write(ground.folder, seen.recording)
    assert ground.planned(ground.recorded()) == ground.planned(ground.world)


def test_what_was_observed_holds_no_secrets(installed: Observed):
    files = list(installed.folder.iterdir())
    assert len(files) == 2
    for file in files:
        text = gzip.decompress(file.read_bytes()).decode()
        assert "istio-remote-secret-" in text
        assert "hunter2" not in text
        assert "aHVudGVyMg==" not in text
        assert "token-of" not in text  # what a remote secret reads by


def test_a_cluster_that_does_not_answer_is_told_and_the_others_are_observed(ground: Observed):
    ground.doors["east"].is_lost = True
    west, east = observed(ground.world, ground.fleet)
    assert west.recording is not None
    assert (east.recording, east.error) == (None, LOST)
