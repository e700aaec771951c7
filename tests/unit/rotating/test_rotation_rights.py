"""The rights that are asked for before a rotation are all that it needs to write."""

from __future__ import annotations

import pytest

from meshctl.actions.rotation.preparing import Prepared
from meshctl.model.right import Right
from meshctl.model.rotation import Stage
from meshctl.stages.permitting import rotations
from meshctl.stages.permitting.resources import plural
from tests.unit.rotating.rotation_ground import HOME, Ground, cut_in

VERBS = {"apply": "patch"}
GROUPS = {"Deployment": "apps", "Lease": "coordination.k8s.io"}


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    found = Ground(monkeypatch)
    found.signer.add("new")
    return found


def held(ground: Ground, planned: Prepared, name: str) -> tuple[Right, ...]:
    seats = [seat for seat in planned.rotation.seats if seat.cluster == name]
    steps = [step for each in planned.restarts if each.cluster == name for step in each.steps]
    return rotations.needs("shop", seats, {"shop"}, steps).flat()


def done(ground: Ground, name: str) -> list[Right]:
    """What was written, as rights; the label that hurries kubelets is set where it may be."""
    asked = []
    for each in ground.places[name].cluster.writes:
        verb, kind, place = each.split(" ")
        namespace, _, thing = place.rpartition("/")
        if kind != "Pod":
            asked.append(Right(namespace, GROUPS.get(kind, ""), plural(kind), VERBS.get(verb, verb), thing))
    return asked


@pytest.mark.parametrize("listens", [True, False])
def test_what_is_written_was_asked_for(ground: Ground, listens: bool) -> None:
    for place in ground.places.values():
        place.multiroot, place.deaf = listens, set() if listens else {"web", "api"}
    planned = ground.prepared()
    rights = {name: held(ground, planned, name) for name in ground.places}
    for place in ground.places.values():
        place.cluster.writes.clear()
    ground.rotate()
    for name in ground.places:
        written = done(ground, name)
        assert Right(HOME, "", "secrets", "patch", "cacerts") in written
        assert [each for each in written if not any(right.covers(each) for right in rights[name])] == []


def test_what_is_written_on_the_way_back_was_asked_for(ground: Ground) -> None:
    planned = ground.prepared()
    rights = {name: held(ground, planned, name) for name in ground.places}
    for place in ground.places.values():
        place.cluster.writes.clear()
    cut_in(ground, Stage.RENEW)
    ground.abort()
    for name in ground.places:
        assert [
            each for each in done(ground, name) if not any(right.covers(each) for right in rights[name])
        ] == []
