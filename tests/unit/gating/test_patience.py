"""For how long the gate puts up with objections."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from meshctl.errors import FailedError
from meshctl.model.upgrade import Gate
from meshctl.stages.gating.judgement import Objection
from meshctl.stages.gating.patience import Patience

STALE = Objection("shop/web-1", "stale", "it has not acknowledged CDS")


def looked(patience: Patience, looks: Iterable[tuple[float, bool]]) -> None:
    for now, is_well in looks:
        patience.judge(() if is_well else (STALE,), now)


def test_an_objection_late_in_a_long_soak_has_the_time_of_the_gate_to_go_away() -> None:
    patience = Patience(Gate(seconds=60, soak=600), "new", 0.0)
    looked(patience, [(0, True), (300, True), (301, False), (340, False), (341, True), (940, True)])
    assert not patience.has_held
    looked(patience, [(941, True)])
    assert patience.has_held


def test_what_does_not_go_away_in_the_time_of_the_gate_fails_it_whenever_it_came() -> None:
    patience = Patience(Gate(seconds=60, soak=600), "new", 0.0)
    looked(patience, [(0, True), (300, True), (301, False), (359, False)])
    with pytest.raises(FailedError) as caught:
        looked(patience, [(360, False)])
    assert caught.value.code == "gate-failed"
    first = Patience(Gate(seconds=60), "new", 0.0)
    with pytest.raises(FailedError):
        looked(first, [(0, False), (60, False)])


def test_proxies_that_waver_for_ever_fail_it_in_the_end() -> None:
    patience = Patience(Gate(seconds=60, soak=600), "new", 0.0)
    looked(patience, [(now, now % 60 < 30) for now in range(0, 720, 30)])
    with pytest.raises(FailedError):
        looked(patience, [(720, False)])
