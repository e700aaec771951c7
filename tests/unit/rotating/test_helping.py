"""Who is told, who is made anew, and when a rotation stops for those that must come by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from meshctl.model.objects import Ref
from meshctl.model.rotation import Renewal, Rotation, Scope, Seat, Stage, Witness
from meshctl.stages.rotating.helping import HEARING, TELLS, Anew, Halt, Leave, Tell, Tried, Wait, help_for
from meshctl.stages.rotating.judging import behind, last_end, named

OLD, NEW, BEFORE, AFTER = "old", "new", "before", "after"
SEAT = Seat("west", "shop", "istio-system", ("west", "far"), BEFORE, (OLD,), is_ours=True)
END = datetime(2026, 1, 2, 12, tzinfo=UTC)


def rotation(**changes: Any) -> Rotation:
    made = Rotation("2026-01-01T12:00:00+00:00", Scope.ROOT, NEW, (OLD,), (), (SEAT,), Stage.RENEW)
    return replace(made, **changes)


def witness(name: str, **changes: Any) -> Witness:
    place = Ref("apps/v1", "Deployment", "shop", name)
    both = frozenset({OLD, NEW})
    return replace(Witness("west", "shop", f"{name}-1", place, BEFORE, OLD, both, END), **changes)


WEB = ("west", Ref("apps/v1", "Deployment", "shop", "web"))
API = ("west", Ref("apps/v1", "Deployment", "shop", "api"))


class TestBehind:
    @pytest.mark.parametrize(
        ("stage", "trusts", "root", "words"),
        [
            (Stage.TRUST, {OLD}, OLD, "does not trust"),
            (Stage.TRUST, {OLD, NEW}, OLD, ""),
            (Stage.RENEW, {OLD, NEW}, OLD, "of the old root"),
            (Stage.RENEW, {OLD, NEW}, "", "of the old root"),
            (Stage.RENEW, {OLD}, NEW, "does not trust"),
            (Stage.RENEW, {OLD, NEW}, NEW, ""),
            (Stage.DROP, {OLD, NEW}, NEW, "still trusts"),
            (Stage.DROP, {NEW}, NEW, ""),
            (Stage.DROP, {NEW, "a friend's"}, NEW, ""),
        ],
    )
    def test_is_who_is_not_where_the_stage_wants_it(
        self, stage: Stage, trusts: set[str], root: str, words: str
    ) -> None:
        told = behind(rotation(stage=stage), witness("web", trusts=frozenset(trusts), root=root))
        assert words in told
        assert bool(words) == bool(told)

    @pytest.mark.parametrize(
        ("issuer", "words"), [(BEFORE, "of the old intermediate"), ("", "of the old"), (AFTER, "")]
    )
    def test_is_known_by_the_intermediate_where_roots_stay(self, issuer: str, words: str) -> None:
        only = rotation(scope=Scope.INTERMEDIATE, leaving=(), signer="")
        told = behind(only, witness("web", issuer=issuer))
        assert words in told
        assert bool(words) == bool(told)

    def test_on_the_way_back_it_is_the_other_way_round(self) -> None:
        back = rotation(is_back=True)
        assert behind(back, witness("web")) == ""
        assert "of the new root" in behind(back, witness("web", root=NEW))
        assert "still trusts" in behind(replace(back, stage=Stage.DROP), witness("web"))

    def test_is_not_who_cannot_be_asked_or_is_served_from_elsewhere(self) -> None:
        assert behind(rotation(), witness("web", unseen="it is silent", issuer="")) == ""
        assert behind(rotation(), witness("web", cluster="elsewhere")) == ""
        assert behind(rotation(), witness("web", cluster="far")) != ""

    def test_is_told_by_names_and_by_the_end_of_the_last_certificate(self) -> None:
        many = [witness(f"w{number}") for number in range(7)]
        assert named(many).endswith("west/shop/w4-1 and 2 more")
        assert last_end([*many, witness("x", expires=END.replace(day=3))]) == "2026-01-03T12:00:00+00:00"
        assert last_end([witness("x", expires=None)]) == ""


class TestHelp:
    def test_is_a_new_pod_for_what_does_not_listen(self) -> None:
        late = [witness("web"), witness("web", pod="web-2"), witness("api", hears=True)]
        assert help_for(rotation(), late, Tried(), 0) == Anew((WEB,))

    def test_is_another_word_for_what_listens_once_it_had_its_time(self) -> None:
        late = [witness("web", hears=True)]
        assert help_for(rotation(), late, Tried(), HEARING - 1) == Wait()
        assert help_for(rotation(), late, Tried(), HEARING) == Tell(frozenset({"west"}))
        assert help_for(rotation(), late, Tried(told=TELLS), HEARING) == Anew((WEB,))

    def test_is_a_word_at_once_where_nothing_has_told_them_yet(self) -> None:
        only = rotation(scope=Scope.INTERMEDIATE, leaving=(), signer="")
        assert help_for(only, [witness("web", hears=True)], Tried(), 0) == Tell(frozenset({"west"}))

    def test_is_a_new_pod_for_all_where_that_is_asked(self) -> None:
        late = [witness("web", hears=True), witness("api")]
        assert help_for(rotation(renewal=Renewal.RESTART), late, Tried(), 0) == Anew((API, WEB))

    def test_is_not_given_twice(self) -> None:
        assert help_for(rotation(), [witness("web")], Tried(anew=frozenset({WEB})), 0) == Wait()

    def test_ends_where_only_others_can_help(self) -> None:
        late = [witness("web")]
        tried = Tried(anew=frozenset({WEB}), fixed={WEB: "a bare pod"})
        assert help_for(rotation(), late, tried, 0) == Halt(tuple(late))

    def test_ends_at_once_where_they_are_to_renew_by_themselves(self) -> None:
        late = [witness("web")]
        waits = rotation(renewal=Renewal.WAIT)
        assert help_for(waits, late, Tried(), 0) == Halt(tuple(late))
        both = [*late, witness("api", hears=True)]
        assert help_for(waits, both, Tried(), 0) == Wait()
        assert help_for(waits, both, Tried(), HEARING) == Tell(frozenset({"west"}))
        assert isinstance(help_for(waits, both, Tried(told=TELLS), HEARING), Halt)

    def test_is_not_needed_by_those_that_trust_too_much_at_the_end(self) -> None:
        late = [witness("web", root=NEW)]
        drop = rotation(stage=Stage.DROP)
        assert help_for(drop, late, Tried(), 0) == Leave(tuple(late))
        assert help_for(replace(drop, renewal=Renewal.RESTART), late, Tried(), 0) == Anew((WEB,))
        listening = [*late, witness("api", hears=True, root=NEW)]
        assert help_for(drop, listening, Tried(), 0) == Wait()


class TestRoots:
    def test_of_a_cluster_are_old_and_new_until_the_last_stage(self) -> None:
        assert rotation(stage=Stage.TRUST).trusted(SEAT) == (NEW, OLD)
        assert rotation(stage=Stage.RENEW).trusted(SEAT) == (NEW, OLD)
        assert rotation(stage=Stage.DROP).trusted(SEAT) == (NEW,)
        assert rotation(stage=Stage.DROP, is_back=True).trusted(SEAT) == (OLD,)

    def test_that_leave_other_clusters_are_trusted_meanwhile_too(self) -> None:
        several = rotation(leaving=("other", OLD), stage=Stage.TRUST)
        assert several.trusted(SEAT) == (NEW, OLD, "other")
        assert replace(several, stage=Stage.DROP).trusted(SEAT) == (NEW,)

    def test_stay_where_only_intermediates_are_replaced(self) -> None:
        only = rotation(scope=Scope.INTERMEDIATE, leaving=(), signer="", stage=Stage.DROP)
        assert only.trusted(SEAT) == (OLD,)
        assert only.goes == ()

    def test_every_stage_there_and_back_has_its_own_moment(self) -> None:
        moments = {rotation(stage=stage, is_back=back).moment for stage in Stage for back in (False, True)}
        assert len(moments) == 2 * len(Stage)
