"""Two settled sets of values differ setting by setting, each with the line that says it."""

from __future__ import annotations

import itertools

import pytest

from meshctl.model.mesh import Inputs
from meshctl.model.values import Values
from meshctl.stages.comparing.values_difference import compare
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve


def settled(profile: str = "default", *sets: str) -> Values:
    asked = load(Inputs(profile=profile, sets=sets))
    return resolve(asked, asked.mesh.clusters[0])


def test_a_setting_is_told_with_both_values_and_both_places() -> None:
    found = {each.path: each for each in compare(settled("default"), settled("demo"))}
    told = found["values.pilot.traceSampling"]
    assert told.right == 100
    assert told.left is not None and told.left != 100
    assert told.left_from is not None and told.left_from.file.startswith("templates/")
    assert told.right_from is not None and told.right_from.file == "profiles/demo.yaml"
    assert told.right_from.line is not None
    lines = (catalogue.data("profiles") / "demo.yaml").read_text().splitlines()
    assert "traceSampling" in lines[told.right_from.line - 1]


def test_what_only_one_side_says_has_no_place_on_the_other() -> None:
    (told,) = compare(settled(), settled("default", "meshConfig.accessLogFile=/dev/stdout"))
    assert (told.path, told.left, told.right) == ("values.meshConfig.accessLogFile", None, "/dev/stdout")
    assert told.left_from is None
    assert told.right_from is not None and told.right_from.file == "--set"


def test_a_map_that_is_empty_on_one_side_is_told_by_its_settings() -> None:
    found = compare(settled(), settled("default", "pilot.env.A=b"))
    assert [each.path for each in found] == ["values.pilot.env.A"]


def test_tokens_among_values_are_not_shown() -> None:
    sets = "meshConfig.defaultConfig.tracing.lightstep.accessToken="
    (told,) = compare(settled("default", f"{sets}planted-1"), settled("default", f"{sets}planted-2"))
    assert told.path.endswith("accessToken")
    assert "planted" not in f"{told.left}{told.right}"
    assert told.left != told.right


@pytest.mark.parametrize("name", catalogue.profiles())
def test_a_profile_does_not_differ_from_itself(name: str) -> None:
    assert compare(settled(name), settled(name)) == ()


def test_a_difference_is_the_same_from_either_side() -> None:
    for one, other in itertools.combinations(("default", "demo", "minimal", "empty"), 2):
        there = [(each.path, each.left, each.right) for each in compare(settled(one), settled(other))]
        back = [(each.path, each.right, each.left) for each in compare(settled(other), settled(one))]
        assert there == back != []
