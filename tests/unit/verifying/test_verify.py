"""A verification from mesh.yaml to findings, of clusters in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshctl.actions.verification.verify import Verification, verify
from meshctl.errors import ConfigError, UnreachableError
from meshctl.model.finding import Level
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.ports import World
from meshctl.stages.settings.load import Loaded, load_all
from meshctl.stages.verifying.verify_data import verification_data
from tests.building import obj, release
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: shop}
spec:
  namespace: mesh-system
  clusters:
    - {name: west, context: west, network: net-west}
    - {name: east, context: east, network: net-east}
"""


class Empty(FakeCluster):
    """A cluster with the mesh's namespace and nothing else; dry runs give back what they are given."""

    def __init__(self, name: str, *namespaces: str) -> None:
        super().__init__(name, *(obj("Namespace", each).content for each in namespaces))

    def get(self, ref: Ref) -> Object | None:
        found = super().get(ref)
        if found is None or ref.name != "kube-system":
            return found
        return Object({**found.content, "metadata": {**found.content["metadata"], "uid": self.name}})

    def create(self, obj: Object, *, manager: str = "meshctl", dry_run: bool = False) -> Object:
        assert dry_run
        return obj


class Silent(FakeCluster):
    def get(self, ref: Ref) -> Object | None:
        raise UnreachableError("unreachable", "nobody answers")


def loaded(tmp_path: Path, **more: Any) -> tuple[Loaded, ...]:
    file = tmp_path / "mesh.yaml"
    file.write_text(MESH)
    return load_all(Inputs(files=(str(file),), **more))


def a_world(*doors: FakeCluster, **releases: FakeReleases) -> World:
    records = {each.name: releases.get(each.name, FakeReleases()) for each in doors}
    return World({each.name: each for each in doors}, records, FakeClock(), FakeFiles())


def verified(world: World, asked: tuple[Loaded, ...]) -> Verification:
    story = verify(world, asked)
    try:
        while True:
            next(story)
    except StopIteration as end:
        found: Verification = end.value
        return found


def codes(found: Verification) -> set[str]:
    return {each.rule.code for outcome in found.outcomes for each in outcome.findings}


def test_every_cluster_is_looked_at_in_the_namespace_that_the_mesh_file_names(tmp_path: Path) -> None:
    world = a_world(Empty("west", "mesh-system"), Empty("east", "mesh-system"))
    found = verified(world, loaded(tmp_path))
    assert {each.namespace for each in found.fleet.clusters} == {"mesh-system"}
    assert codes(found) == {
        "fleet-injection-works",
        "fleet-links-there",
        "fleet-network-labelled",
        "fleet-gateway-there",
    }


def test_what_is_installed_counts_and_not_what_the_file_would_install(tmp_path: Path) -> None:
    records = [
        replace(
            release(), mesh="shop", cluster="west", namespace="old-system", revision="blue", generation=1
        ),
        replace(
            release(), mesh="shop", cluster="west", namespace="old-system", revision="green", generation=2
        ),
    ]
    world = a_world(Empty("west", "old-system"), Empty("east", "mesh-system"), west=FakeReleases(*records))
    west, east = verified(world, loaded(tmp_path)).fleet.clusters
    assert (west.namespace, west.revision) == ("old-system", "green")
    assert (east.namespace, east.revision) == ("mesh-system", "")


def test_a_cluster_that_does_not_answer_keeps_nobody_from_verifying_the_others(tmp_path: Path) -> None:
    found = verified(a_world(Empty("west", "mesh-system"), Silent("east")), loaded(tmp_path))
    west, east = found.fleet.clusters
    assert (west.why, east.why) == ("", "nobody answers")
    assert {"fleet-clusters-there", "fleet-injection-works"} <= codes(found)


def test_one_cluster_is_judged_by_its_place_in_the_whole_mesh(tmp_path: Path) -> None:
    found = verified(a_world(Empty("west", "mesh-system")), loaded(tmp_path, only="west"))
    assert [each.name for each in found.fleet.clusters] == ["west"]
    assert "fleet-network-labelled" in codes(found)
    assert "fleet-links-there" not in codes(found)  # what it should read is not looked at


def test_without_a_mesh_file_nothing_is_verified() -> None:
    with pytest.raises(ConfigError, match="which clusters are to work together"):
        verified(a_world(Empty("west")), load_all(Inputs()))


def test_it_is_sound_when_nothing_is_as_bad_as_was_asked_for(tmp_path: Path) -> None:
    found = verified(a_world(Empty("west", "mesh-system"), Empty("east", "mesh-system")), loaded(tmp_path))
    assert not found.is_sound()
    well = replace(found, outcomes=tuple(each for each in found.outcomes if each.passed))
    assert all(well.is_sound(level) for level in Level)


def test_its_data_are_json_and_hold_every_check_once(tmp_path: Path) -> None:
    found = verified(a_world(Empty("west", "mesh-system"), Silent("east")), loaded(tmp_path))
    data = json.loads(json.dumps(verification_data(found.fleet, found.outcomes)))
    assert data["sound"] is False
    assert [each["cluster"] for each in data["clusters"]] == ["west", "east"]
    names = [each["check"] for each in data["checks"]]
    assert len(names) == len(set(names))
    assert data["traffic"] is None
