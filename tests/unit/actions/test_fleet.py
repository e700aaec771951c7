"""The story of a fleet, installed, continued and removed, over fakes that keep the real things' promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.actions.fleet.install import keeping_all
from meshctl.actions.fleet.uninstall import departure
from meshctl.errors import ConfigError, FailedError
from meshctl.model.fleet import Work
from meshctl.model.objects import Ref
from meshctl.model.release import Status
from meshctl.model.removal import Scope
from tests.unit.actions.fleet_ground import ADDRESS, LOST, FleetGround

HEAD = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: fleet}
spec:
  profile: minimal
  clusters:
"""
PRIMARIES = f"""{HEAD}
    - {{name: west, server: 'https://192.0.2.1:6443'}}
    - {{name: east, server: 'https://192.0.2.2:6443'}}
"""
REMOTE = f"""{HEAD}
    - {{name: west, server: 'https://192.0.2.1:6443'}}
    - {{name: east, server: 'https://192.0.2.2:6443', role: remote}}
"""
EXTERNAL = f"""{HEAD}
    - {{name: control, role: external}}
    - {{name: west, role: config, server: 'https://192.0.2.1:6443'}}
    - {{name: east, role: remote, server: 'https://192.0.2.2:6443'}}
"""
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")


@pytest.mark.parametrize("text", [PRIMARIES, REMOTE, EXTERNAL])
def test_a_fleet_is_installed_and_a_second_run_sends_nothing(tmp_path: Path, text: str) -> None:
    ground = FleetGround(tmp_path, text)
    assert all(each.is_done for each in ground.install().values())
    assert ground.writes()
    assert all(each.plan.is_empty for each in ground.preview())
    assert not any(each.changed for each in ground.install().values())
    assert ground.writes() == []


@pytest.mark.parametrize("text", [PRIMARIES, REMOTE, EXTERNAL])
def test_uninstall_leaves_every_cluster_as_it_was(tmp_path: Path, text: str) -> None:
    ground = FleetGround(tmp_path, text)
    before = ground.everything()
    ground.install()
    assert all(each.is_done for each in ground.uninstall().values())
    assert ground.everything() == before


def test_a_remote_is_told_the_address_that_its_istiods_gateway_got(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    assert [each.awaits for each in ground.preview() if each.awaits]
    ground.install()
    slices = ground.doors["east"].list("discovery.k8s.io/v1", "EndpointSlice", namespace="istio-system")
    assert [each.at("endpoints[0].addresses") for each in slices] == [[ADDRESS]]


def test_a_gateway_that_moves_is_followed_by_the_clusters_it_serves(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    ground.install()
    gateway = Ref("v1", "Service", "istio-system", "istio-eastwestgateway")
    moved = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}}}
    ground.doors["west"].edit(gateway, moved)
    changed = {each.task.cluster for each in ground.preview() if not each.plan.is_empty}
    assert changed == {"east"}
    ground.install()
    assert all(each.plan.is_empty for each in ground.preview())


def test_a_gateway_without_an_address_keeps_back_only_the_clusters_it_serves(tmp_path: Path) -> None:
    text = REMOTE.replace("role: remote", "role: remote, controlPlane: west")
    ground = FleetGround(tmp_path, f"{text}    - {{name: north, server: 'https://192.0.2.3:6443'}}", tick=0.5)
    ground.doors["west"].address = ""
    found = {(each.task.work, each.task.cluster): each for each in ground.install().values()}
    error = found[Work.ADDRESS, "west"].error
    assert isinstance(error, FailedError)
    assert (error.code, "write it as `address` of 'west'" in error.hint) == ("no-address", True)
    assert found[Work.INSTALL, "east"].lacking
    assert found[Work.INSTALL, "north"].is_done


def test_a_cluster_that_is_lost_half_way_keeps_no_other_back_and_the_next_run_finishes(
    tmp_path: Path,
) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    ground.doors["west"].fail("apply", str(ISTIOD), LOST, times=1)
    found = {(each.task.work, each.task.cluster): each for each in ground.install().values()}
    assert found[Work.INSTALL, "west"].is_cut_off
    assert found[Work.INSTALL, "east"].is_done
    [record] = ground.world.releases["east"].of("fleet")
    assert record.status is Status.DEPLOYED
    assert all(each.is_done for each in ground.install().values())
    assert all(each.plan.is_empty for each in ground.preview())


def test_a_cluster_that_cannot_be_asked_is_told_and_the_others_are_installed(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    ground.doors["west"].is_lost = True
    broken = {each.task.cluster for each in ground.preview() if each.error}
    assert broken == {"west"}
    found = {(each.task.work, each.task.cluster): each for each in ground.install().values()}
    assert found[Work.INSTALL, "east"].is_done
    assert found[Work.PREPARE, "west"].is_cut_off
    assert not [each for each in ground.doors["west"].writes if "Namespace" in each]


def test_bad_input_is_told_before_anything_is_sent_anywhere(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    ground.install()
    ground.writes()
    with pytest.raises(ConfigError) as told:
        ground.preview(ground.asked(version="1.30"))
    assert told.value.code == "other-version"
    assert ground.writes() == []


def test_one_cluster_of_a_fleet_is_installed_by_itself(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    found = ground.install(ground.asked(only="east"))
    assert {each.cluster for each in found} == {"east"}
    assert ground.doors["west"].writes == []


def test_a_remote_that_is_installed_by_itself_finds_the_address_of_its_istiod(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    ground.install()
    alone = ground.asked(only="east")
    assert all(each.plan.is_empty for each in ground.preview(alone))


def test_a_remote_whose_istiod_nobody_reaches_asks_for_its_address(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    with pytest.raises(ConfigError) as told:
        ground.preview(ground.asked(only="east"))
    assert told.value.code == "unknown-address"


def test_a_cluster_that_leaves_is_unlinked_in_those_that_stay(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    before = ground.everything()["east"]
    ground.install()
    ground.uninstall("east")
    assert ground.everything()["east"] == before
    assert ground.doors["west"].get(ISTIOD)
    secrets = [
        each.ref.name for each in ground.doors["west"].list("v1", "Secret", labels="istio/multiCluster")
    ]
    assert secrets == []


def test_a_new_cluster_follows_the_version_that_the_others_have(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    ground.install(ground.asked(only="west", version="1.30"))
    kept = keeping_all(ground.world, ground.fleet.meshes)
    assert kept["west"] == kept["east"]
    assert kept["east"][0].startswith("1.30.")


def test_what_a_link_made_before_the_install_does_not_count_as_there_before(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    before = ground.everything()["east"]
    ground.install()
    [record] = ground.world.releases["east"].of("fleet")
    assert frozenset(record.inventory) <= before


def test_a_lost_cluster_does_not_keep_the_mesh_in_the_others(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    before = ground.everything()["east"]
    ground.install()
    ground.doors["west"].is_lost = True
    found = {(each.task.work, each.task.cluster): each for each in ground.uninstall().values()}
    assert found[Work.UNINSTALL, "west"].is_cut_off
    assert found[Work.UNINSTALL, "east"].is_done
    assert ground.everything()["east"] == before


def test_a_mesh_is_not_taken_from_pods_that_use_it(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, REMOTE)
    ground.install()
    ground.doors["east"].seed(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "web",
                "namespace": "default",
                "labels": {"service.istio.io/canonical-name": "web"},
                "annotations": {"sidecar.istio.io/status": '{"revision": "default"}'},
            },
            "spec": {"containers": [{"name": "istio-proxy"}]},
            "status": {"phase": "Running"},
        }
    )
    gone = departure(ground.world, ground.fleet, Scope("", purge=True), tuple(ground.doors), drain=0)
    assert [each.code for each in gone.refusals] == ["proxies-attached"]


def test_a_cluster_with_another_mesh_alone_keeps_it(tmp_path: Path) -> None:
    ground = FleetGround(tmp_path, PRIMARIES)
    ground.install(ground.asked(only="west"))
    (tmp_path / "mesh.yaml").write_text(PRIMARIES.replace("name: fleet", "name: other"))
    ground.install(ground.asked(only="east"))
    found = ground.uninstall()
    assert {each.cluster for each in found if each.work is Work.UNINSTALL} == {"west"}
    assert ground.doors["east"].get(ISTIOD)
