"""Commands over all clusters of a mesh.yaml: what a person and a program are told, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters import world as meshctl_world
from meshctl.errors import ConfigError
from meshctl.model.mesh import Cluster
from meshctl.ports import World
from tests.unit.actions.fleet_ground import LOST, FleetGround

Meshctl = Callable[..., Any]

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: fleet}
spec:
  profile: minimal
  clusters:
    - {name: west, server: 'https://192.0.2.1:6443'}
    - {name: east, server: 'https://192.0.2.2:6443', role: remote}
"""
INSTALL = ("install", "-f", "mesh.yaml", "--yes")


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetGround:
    """Two clusters in memory, to which the command line leads."""
    ground = FleetGround(tmp_path, MESH)

    def fleet(clusters: Iterable[Cluster], kubeconfig: str = "") -> World:
        return ground.world_of(*(each.name for each in clusters))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meshctl_world, "fleet", fleet)
    return ground


def test_a_fleet_is_installed_with_a_line_for_each_cluster(ground: FleetGround, meshctl: Meshctl) -> None:
    said = meshctl(*INSTALL)
    assert said.code == 0
    assert [line.split() for line in said.out.splitlines()] == [
        ["CLUSTER", "ROLE", "OUTCOME"],
        ["west", "primary", "done"],
        ["east", "remote", "done"],
    ]
    assert "west, primary, Istio" in said.err
    assert "✓ west/istiod" in said.err
    assert "✓ east/istiod" in said.err
    assert "not known yet: the address of the gateway of 'west'" in said.err


def test_a_second_run_says_that_nothing_was_sent(ground: FleetGround, meshctl: Meshctl) -> None:
    meshctl(*INSTALL)
    ground.writes()
    said = meshctl(*INSTALL)
    assert (said.code, said.out, said.err) == (0, "west, east: as asked; nothing was sent\n", "")
    answer = json.loads(meshctl(*INSTALL, "-o", "json").out)
    assert (answer["changed"], [each["outcome"] for each in answer["clusters"]]) == (False, ["unchanged"] * 2)
    assert ground.writes() == []


def test_a_program_is_told_the_cluster_of_every_event_and_how_each_ended(
    ground: FleetGround, meshctl: Meshctl
) -> None:
    *events, answer = map(json.loads, meshctl(*INSTALL, "-o", "json").out.splitlines())
    assert {each["cluster"] for each in events} == {"west", "east"}
    assert [(each["cluster"], each["outcome"]) for each in answer["clusters"]] == [
        ("west", "changed"),
        ("east", "changed"),
    ]
    assert all(task["done"] for each in answer["clusters"] for task in each["tasks"])


def test_a_cluster_that_does_not_answer_ends_with_code_4_and_is_named(
    ground: FleetGround, meshctl: Meshctl
) -> None:
    ground.doors["east"].is_lost = True
    said = meshctl(*INSTALL)
    assert said.code == 4
    assert "x east: the API server does not answer; nothing is done there" in said.err
    assert "run the same command again; it continues" in said.err
    assert "1 of 2 clusters is not as asked: east" in said.err
    west = next(line for line in said.out.splitlines() if line.startswith("west"))
    assert west.split(maxsplit=3) == ["west", "primary", "done", "link to east needs access by west in east"]
    ground.doors["east"].is_lost = False
    assert meshctl(*INSTALL).code == 0


def test_where_no_cluster_answers_the_first_error_tells(ground: FleetGround, meshctl: Meshctl) -> None:
    for door in ground.doors.values():
        door.is_lost = True
    said = meshctl(*INSTALL)
    assert (said.code, "the API server does not answer" in said.err, said.out) == (1, True, "")


def test_a_plan_tells_every_cluster_what_its_tasks_need_and_what_is_not_known(
    ground: FleetGround, meshctl: Meshctl
) -> None:
    plan = json.loads(meshctl("plan", "-f", "mesh.yaml", "-o", "json").out)
    west, east = plan["clusters"]
    assert (plan["empty"], west["empty"], west["role"], east["role"]) == (False, False, "primary", "remote")
    [install] = [each for each in east["tasks"] if each["work"] == "install"]
    assert install["awaits"] == "the address of the gateway of 'west'"
    assert {(each["cluster"], each["work"]) for each in install["needs"]} == {
        ("east", "prepare"),
        ("west", "link"),
        ("west", "address"),
    }
    assert ground.writes() == []
    said = meshctl("plan", "-f", "mesh.yaml")
    assert said.out.count("+ Namespace istio-system") == 2  # once for each cluster


def test_a_plan_of_a_fleet_with_a_lost_cluster_tells_the_others_and_fails(
    ground: FleetGround, meshctl: Meshctl
) -> None:
    ground.doors["east"].is_lost = True
    said = meshctl("plan", "-f", "mesh.yaml", "-o", "json")
    west, east = json.loads(said.out)["clusters"]
    assert (said.code, west["error"], east["error"]["code"]) == (1, None, "unreachable")


def test_a_dry_run_keeps_nothing(ground: FleetGround, meshctl: Meshctl) -> None:
    before = ground.everything()
    said = meshctl("install", "-f", "mesh.yaml", "--dry-run")
    assert (said.code, "✓ west/dry run: nothing was sent" in said.err) == (0, True)
    assert ground.everything() == before


def test_a_fleet_is_uninstalled_and_nothing_is_left(ground: FleetGround, meshctl: Meshctl) -> None:
    before = ground.everything()
    meshctl(*INSTALL)
    said = meshctl("uninstall", "-f", "mesh.yaml", "--purge", "--yes")
    assert (said.code, ground.everything() == before) == (0, True)
    assert "east: nothing of the mesh is left" in said.out
    assert said.err.index("✓ east/istiod") < said.err.index("✓ west/istiod")
    assert meshctl("uninstall", "-f", "mesh.yaml", "--purge", "--yes").out == "there is nothing to remove\n"


def test_a_removal_is_shown_and_not_done(ground: FleetGround, meshctl: Meshctl) -> None:
    meshctl(*INSTALL)
    before = ground.everything()
    said = meshctl("uninstall", "-f", "mesh.yaml", "--cluster", "east", "--dry-run", "-o", "json")
    assert (said.code, list(json.loads(said.out)["removals"])) == (0, ["east"])
    assert ground.everything() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--cluster", "eastt"), "did you mean 'east'?"),
        (("--mesh", "flet"), "did you mean 'fleet'?"),
    ],
)
def test_an_unknown_name_is_told_before_anything_is_removed(
    ground: FleetGround, meshctl: Meshctl, words: tuple[str, ...], told: str
) -> None:
    said = meshctl("uninstall", "-f", "mesh.yaml", "--yes", *words)
    assert (said.code, told in said.err) == (2, True)


def test_one_cluster_is_left_though_there_is_no_way_to_the_others(
    ground: FleetGround, meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def world(kubeconfig: str = "", context: str = "", name: str = "") -> World:
        return ground.world_of(name)

    def fleet(clusters: Iterable[Cluster], kubeconfig: str = "") -> World:
        raise ConfigError("unknown-context", "unknown context 'west'")

    meshctl(*INSTALL)
    monkeypatch.setattr(meshctl_world, "world", world)
    monkeypatch.setattr(meshctl_world, "fleet", fleet)
    said = meshctl("uninstall", "-f", "mesh.yaml", "--cluster", "east", "--purge", "--yes")
    assert (said.code, "links in other clusters stay" in said.err) == (0, True)
    assert "east: nothing of the mesh is left" in said.out
    assert meshctl("uninstall", "-f", "mesh.yaml", "--purge", "--yes").code == 2


def test_drift_is_told_of_all_clusters(ground: FleetGround, meshctl: Meshctl) -> None:
    meshctl(*INSTALL)
    answer = json.loads(meshctl("status", "-f", "mesh.yaml", "--drift", "-o", "json").out)
    assert [each["cluster"] for each in answer["clusters"]] == ["west", "east"]


def test_the_status_of_a_fleet_names_what_is_missing_where(ground: FleetGround, meshctl: Meshctl) -> None:
    assert "mesh 'fleet' is not installed here" in meshctl("status", "-f", "mesh.yaml").out
    meshctl(*INSTALL)
    ground.doors["west"].edit(
        next(each.ref for each in ground.doors["west"].list("v1", "Service") if "eastwest" in each.ref.name),
        {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.99"}]}}},
    )
    said = meshctl("status", "-f", "mesh.yaml", "-o", "json")
    west, east = json.loads(said.out)["clusters"]
    assert (said.code, east["role"], east["controlPlane"]) == (3, "remote", "west")
    moved = [each for each in east["findings"] if each["code"] == "istiod-where-told"]
    assert "203.0.113.7, and 'west' has 203.0.113.99" in moved[0]["message"]
    assert not [each for each in west["findings"] if each["code"] == "istiod-where-told"]


def test_one_context_for_several_clusters_is_refused(ground: FleetGround, meshctl: Meshctl) -> None:
    said = meshctl("plan", "-f", "mesh.yaml", "--context", "west")
    assert (said.code, "choose one cluster with --cluster" in said.err) == (2, True)
    assert LOST.message not in said.err
