"""Clusters and links as they stand, what is wrong with each told where it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from meshctl.actions.fleet import listing as cluster_list
from meshctl.actions.fleet.listing import Listing, listing
from meshctl.actions.links.remote_clusters import Reading
from meshctl.cli.links import listing_data, listing_text
from meshctl.errors import AccessError, UnreachableError
from meshctl.model.mesh import Inputs
from meshctl.ports import World
from meshctl.stages.settings.load import load_all
from tests.fakes import FakeCluster, FakeFiles
from tests.unit.linking.ground import Ground


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    says(monkeypatch, {"west": "synced", "east": "synced"})
    made = Ground()
    made.link("west", "east")
    made.link("east", "west")
    return made


def says(monkeypatch: pytest.MonkeyPatch, states: dict[str, str]) -> None:
    reading = Reading("istiod-1", "default", states)
    monkeypatch.setattr(cluster_list, "remote_clusters", lambda *_: (reading,))


def seen(ground: Ground) -> Listing:
    return listing(ground.world, ground.asked)


def faults(found: Listing) -> list[str]:
    return [f"{each.link}: {each.fault}" for each in found.links if each.fault]


def test_a_fleet_that_is_linked_is_sound(ground: Ground) -> None:
    found = seen(ground)
    assert found.is_sound
    assert [str(each.link) for each in found.links] == ["west → east", "east → west"]
    assert {each.by for each in found.links} == {"meshctl"}
    text = listing_text(found)
    assert "2026-04-01, 90 days" in text
    assert "1/1" in text


def test_what_is_missing_due_or_revoked_is_told_of_its_link(ground: Ground) -> None:
    ground.unlink("west", "east")
    ground.clock.advance(timedelta(days=70).total_seconds())
    assert faults(seen(ground)) == [
        "west → east: there is none",
        "east → west: its token ends at 2026-04-01 12:00 UTC",
    ]


def test_what_istiod_says_counts(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, {"east": "timeout", "west": "synced"})
    found = seen(ground)
    assert not found.is_sound
    assert "! west → east: istiod istiod-1 says: timeout" in listing_text(found)


def test_a_link_that_nobody_asks_for_is_told(ground: Ground) -> None:
    meta = {
        "name": "istio-remote-secret-old",
        "namespace": "istio-system",
        "labels": {"istio/multiCluster": "true"},
    }
    ground.clusters["west"].seed(
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"old": ""}}
    )
    assert faults(seen(ground)) == ["west → old: the mesh.yaml does not ask for it"]


def test_a_cluster_that_does_not_answer_is_told_and_the_others_are_still_listed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> str:
        raise UnreachableError("no-answer", "no answer from the API server")

    monkeypatch.setattr(ground.clusters["east"], "version", away)
    found = seen(ground)
    assert "! east: no answer from the API server" in listing_text(found)
    assert [str(each.link) for each in found.links] == ["west → east"]
    assert listing_data(found)["clusters"][1]["error"]["code"] == "no-answer"


def test_one_cluster_alone_is_judged_by_what_it_tells(ground: Ground) -> None:
    (asked,) = ground.asked
    west = asked.mesh.clusters[0]
    found = listing(ground.world, [replace(asked, mesh=replace(asked.mesh, clusters=(west,)))])
    assert [(str(each.link), each.is_wanted, each.fault) for each in found.links] == [
        ("west → east", True, "")
    ]


def test_secrets_that_may_not_be_read_are_no_missing_links(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AccessError("not-allowed", "we may not list secrets")

    monkeypatch.setattr(ground.clusters["east"], "list", refused)
    found = seen(ground)
    assert "! east: we may not list secrets" in listing_text(found)


def test_without_a_mesh_file_a_cluster_tells_what_its_istiods_read(ground: Ground) -> None:
    west = ground.clusters["west"]
    asked = load_all(Inputs(cluster="west"))
    world = World({"west": west}, {"west": ground.world.releases["west"]}, ground.clock, FakeFiles())
    found = listing(world, asked)
    assert [(str(each.link), each.fault) for each in found.links] == [("west → east", "")]
    assert FakeCluster("bare").list("v1", "Secret") == ()
