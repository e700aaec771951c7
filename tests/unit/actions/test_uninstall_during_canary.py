"""A mesh that is removed while a canary upgrade has changed labels of namespaces."""

from __future__ import annotations

import pytest

from meshctl.actions.uninstall import Leave, remove, uninstall
from meshctl.errors import StoppedError
from meshctl.model.event import Changed
from meshctl.model.objects import Ref
from meshctl.model.plan import Relabel
from meshctl.model.removal import Scope
from tests.unit.actions.canary_ground import Ground

SHOP, BANK = (Ref("v1", "Namespace", "", name) for name in ("shop", "bank"))


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Both batches have moved: every label that a canary changes is changed."""
    made = Ground(monkeypatch, "minimal")
    with pytest.raises(StoppedError):
        made.upgrade(pause=True)
    with pytest.raises(StoppedError):
        made.resume()
    assert labels(made) == [{"istio.io/rev": "1-32-0"}] * 2
    return made


def labels(ground: Ground) -> list[dict[str, str]]:
    return [ground.labels(SHOP), ground.labels(BANK)]


def leave(ground: Ground) -> Leave:
    (turn,) = uninstall(ground.world, Scope("mesh", force=True, seconds=5))
    return turn


BEFORE = [{"istio-injection": "enabled"}, {"istio.io/rev": "default"}]


def test_labels_are_as_before_and_the_upgrade_is_forgotten(ground: Ground) -> None:
    list(remove(ground.world, leave(ground)))
    assert labels(ground) == BEFORE
    assert ground.releases.upgrade("mesh") is None
    assert ground.releases.of("mesh") == ()


def test_the_labels_are_shown_before_anything_is_done(ground: Ground) -> None:
    shown = leave(ground).labels.steps
    assert {step.ref for step in shown if isinstance(step, Relabel)} == {SHOP, BANK}


def test_a_removal_that_is_killed_between_two_labels_is_continued_by_the_next(ground: Ground) -> None:
    story = remove(ground.world, leave(ground))
    next(each for each in story if isinstance(each, Changed))
    story.close()
    assert ground.releases.upgrade("mesh") is not None
    list(remove(ground.world, leave(ground)))
    assert labels(ground) == BEFORE
    assert ground.releases.upgrade("mesh") is None


def test_labels_come_back_even_where_nothing_else_is_left_to_remove(ground: Ground) -> None:
    upgrade = ground.under_way
    list(remove(ground.world, leave(ground)))
    ground.cluster.patch(SHOP, {"metadata": {"labels": {"istio-injection": None, "istio.io/rev": "1-32-0"}}})
    ground.releases.write_upgrade(upgrade)
    turn = leave(ground)
    assert turn.plan.is_empty
    assert not turn.is_empty
    list(remove(ground.world, turn))
    assert labels(ground) == BEFORE
