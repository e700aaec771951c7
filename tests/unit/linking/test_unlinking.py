"""A link is taken away: nothing of it stays on either side, and nothing else goes."""

from __future__ import annotations

from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.actions.uninstall import uninstall
from meshctl.model.objects import Ref
from meshctl.model.removal import Scope
from tests.unit.linking.ground import ACCOUNT, EXTERNAL, MULTI_PRIMARY, NAMESPACE, Ground, objects

HOME = Ref("v1", "Namespace", "", NAMESPACE)
THREE = MULTI_PRIMARY + "    - {name: north, context: n}\n"


def test_unlinking_leaves_both_sides_as_they_were() -> None:
    for text, server, reads in (
        (MULTI_PRIMARY, "west", "east"),
        (EXTERNAL, "control", "west"),
        (EXTERNAL, "control", "east"),
    ):
        ground = Ground(text)
        before = {name: objects(door) for name, door in ground.clusters.items()}
        ground.link(server, reads)
        ground.unlink(server, reads)
        assert {name: objects(door) for name, door in ground.clusters.items()} == before


def test_the_account_stays_while_another_istiod_reads_by_it() -> None:
    ground = Ground(THREE)
    ground.link("west", "east")
    ground.link("north", "east")
    ground.unlink("west", "east")
    assert ground.holders() == ["meshctl-reader.prod.north.1"]
    assert ground.clusters["east"].get(ACCOUNT) is not None
    ground.unlink("north", "east")
    assert ground.clusters["east"].get(ACCOUNT) is None


def test_what_was_there_before_the_link_stays() -> None:
    ground = Ground()
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    ground.clusters["east"].seed(home)
    before = objects(ground.clusters["east"])
    ground.link()
    ground.unlink()
    assert objects(ground.clusters["east"]) == before


def test_a_namespace_that_holds_what_others_made_stays() -> None:
    ground = Ground()
    ground.link()
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": NAMESPACE}}
    ground.clusters["east"].seed(theirs)
    ground.unlink()
    home = ground.clusters["east"].get(HOME)
    assert home is not None
    assert home.labels == {"kubernetes.io/metadata.name": NAMESPACE}
    assert ground.clusters["east"].get(ACCOUNT) is None


def test_a_namespace_that_was_there_is_told_what_istiod_reads_of_it_and_is_not_made_the_meshs() -> None:
    ground = Ground(EXTERNAL)
    home = Ref("v1", "Namespace", "", "outside")
    meta = {"name": "outside", "labels": {"team": "web"}}
    before = ground.clusters["east"].seed({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    ground.link("control", "east")
    linked = ground.clusters["east"].get(home)
    assert linked is not None
    assert linked.labels == before.labels
    assert linked.annotations == {"topology.istio.io/controlPlaneClusters": "west"}
    assert ground.plans("control", "east")[0].is_empty
    ground.unlink("control", "east")
    after = ground.clusters["east"].get(home)
    assert after is not None
    assert (after.labels, after.annotations) == (before.labels, before.annotations)


def test_what_an_install_has_made_stays() -> None:
    ground = Ground()
    ground.link()
    (asked,) = ground.asked
    for wave in install(ground.world, asked):
        ground.do(wave.plan)
    ground.unlink()
    assert ground.holders() == []
    assert ground.clusters["east"].get(ACCOUNT) is not None


def test_unlinking_what_is_not_linked_changes_nothing() -> None:
    ground = Ground()
    ground.unlink()
    assert not ground.clusters["west"].writes
    assert not ground.clusters["east"].writes


def test_uninstall_takes_links_along_on_its_side_and_leaves_nothing() -> None:
    ground = Ground()
    before = {name: objects(door) for name, door in ground.clusters.items()}
    ground.link("west", "east")
    ground.link("east", "west")
    (asked,) = ground.asked
    for wave in install(ground.world, asked):
        ground.do(wave.plan)
    for leave in uninstall(ground.world, Scope("prod", purge=True, seconds=2)):
        list(do(ground.world, leave.plan))
        assert leave.left(ground.world) == ()
    assert {name: objects(door) for name, door in ground.clusters.items()} == before


def test_uninstall_without_purge_takes_our_links_too_and_leaves_those_of_others() -> None:
    ground = Ground()
    ground.link("west", "east")
    (asked,) = ground.asked
    for wave in install(ground.world, asked):
        ground.do(wave.plan)
    theirs = Ref("v1", "Secret", NAMESPACE, "istio-remote-secret-other")
    meta = {"name": theirs.name, "namespace": NAMESPACE}
    ground.clusters["west"].seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    for leave in uninstall(ground.world, Scope("prod", seconds=2)):
        list(do(ground.world, leave.plan))
    west = ground.clusters["west"]
    assert west.get(Ref("v1", "Secret", NAMESPACE, "istio-remote-secret-east")) is None
    assert west.get(theirs) is not None


def test_a_namespace_of_another_mesh_stays_as_that_has_it() -> None:
    ground = Ground()
    ground.link()
    home = ground.clusters["east"].get(HOME)
    other = Ground(MULTI_PRIMARY.replace("prod", "test"))
    other.clusters.update(ground.clusters)
    other.link()
    assert ground.clusters["east"].get(HOME) == home
    other.unlink()
    assert ground.clusters["east"].get(HOME) == home
    assert ground.holders() == ["meshctl-reader.prod.west.1"]
