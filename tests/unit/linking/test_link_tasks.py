"""Links of a fleet are made, renewed and taken away side by side."""

from __future__ import annotations

import pytest

from meshctl.actions.links.tasks import carried_out, chosen, previewed
from meshctl.errors import ConfigError, UnreachableError
from meshctl.model.fleet import Ended
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.stages.settings.load import load_all
from tests.unit.linking.ground import IN_SYNC, MULTI_PRIMARY, NAMESPACE, Ground, istiods_say, objects

THREE = MULTI_PRIMARY + "    - {name: north, context: n}\n"


def names(ground: Ground, *said: str) -> list[str]:
    return [str(each.link) for each in chosen(ground.asked, said)]


def ended(ground: Ground, *said: str, **how: bool) -> list[Ended]:
    news = carried_out(ground.world, chosen(ground.asked, said), **how)
    return [each for each in news if isinstance(each, Ended)]


def test_no_name_means_every_link_one_its_own_and_several_those_between() -> None:
    ground = Ground(THREE)
    assert len(names(ground)) == 6
    assert names(ground, "north") == ["west → north", "east → north", "north → west", "north → east"]
    assert names(ground, "west", "east") == ["west → east", "east → west"]


def test_an_unknown_name_a_lonely_cluster_and_no_mesh_file_are_told() -> None:
    with pytest.raises(ConfigError, match="no cluster is called 'wets'; did you mean 'west'"):
        chosen(Ground().asked, ["wets"])
    alone = load_all(Inputs(files=("-",)), stdin=MULTI_PRIMARY.replace("- {name: east, context: e}", ""))
    with pytest.raises(ConfigError, match="there is nothing to link"):
        chosen(alone, [])
    with pytest.raises(ConfigError, match="which clusters there are is not known"):
        chosen(load_all(Inputs()), [])


def test_a_fleet_is_linked_at_once_and_a_second_time_nothing_is_sent() -> None:
    ground = Ground(THREE)
    assert all(each.is_done and each.changed for each in ended(ground))
    sent = {name: len(door.writes) for name, door in ground.clusters.items()}
    assert all(each.plan.is_empty for each in previewed(ground.world, chosen(ground.asked, [])))
    assert not any(each.changed for each in ended(ground))
    assert {name: len(door.writes) for name, door in ground.clusters.items()} == sent


def test_a_fleet_that_is_unlinked_is_as_it_was() -> None:
    ground = Ground(THREE)
    before = {name: objects(door) for name, door in ground.clusters.items()}
    ended(ground)
    assert all(each.is_done for each in ended(ground, away=True))
    assert {name: objects(door) for name, door in ground.clusters.items()} == before


def test_one_cluster_leaves_and_the_links_of_the_others_stay() -> None:
    ground = Ground(THREE)
    ended(ground)
    ended(ground, "north", away=True)
    assert ground.holders("east") == ["meshctl-reader.prod.west.1"]
    assert ground.holders("north") == []
    assert ground.clusters["north"].get(Ref("v1", "Namespace", "", NAMESPACE)) is None
    assert ground.clusters["east"].get(Ref("v1", "Namespace", "", NAMESPACE)) is not None


def test_rotation_renews_every_token_and_revokes_the_former(monkeypatch: pytest.MonkeyPatch) -> None:
    istiods_say(monkeypatch, IN_SYNC)
    ground = Ground()
    ended(ground)
    ended(ground, renew=True)
    assert ground.holders("east") == ["meshctl-reader.prod.west.2"]
    assert ground.holders("west") == ["meshctl-reader.prod.east.2"]


def test_a_cluster_that_is_away_keeps_back_its_own_links_alone() -> None:
    ground = Ground(THREE)
    secret = Ref("v1", "Secret", NAMESPACE, "istio-remote-secret-east")
    ground.clusters["west"].fail("apply", str(secret), UnreachableError("no-answer", "no answer"))
    failed = [each for each in ended(ground) if not each.is_done]
    assert [str(each.task.link) for each in failed] == ["west → east"]
    assert all(each.is_done for each in ended(ground))


def test_a_cluster_that_cannot_be_planned_keeps_back_its_own_links_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ground = Ground(THREE)

    def away(*_: object, **__: object) -> None:
        raise UnreachableError("no-answer", "no answer from the API server")

    monkeypatch.setattr(ground.clusters["north"], "list", away)
    shown = previewed(ground.world, chosen(ground.asked, []))
    assert {str(each.task.link) for each in shown if each.error} == {"west → north", "east → north"}
    monkeypatch.setattr(ground.clusters["west"], "list", away)
    monkeypatch.setattr(ground.clusters["east"], "list", away)
    with pytest.raises(UnreachableError):
        previewed(ground.world, chosen(ground.asked, []))
