"""Objects are paired by what they are, picked by pattern, and none is lost."""

from __future__ import annotations

import pytest

from meshctl.errors import ConfigError
from meshctl.model.comparison import Comparison, Side
from meshctl.model.objects import Object
from meshctl.stages.comparing.objects_difference import compare
from meshctl.stages.comparing.picking import Ignored, Pattern, Picked, Renamed
from tests.building import obj, ref

NS = "istio-system"
LEFT = (
    obj("Deployment", "istiod", NS, spec={"replicas": 1, "template": {"metadata": {"labels": {"v": "1"}}}}),
    obj("Service", "old", NS, spec={"type": "ClusterIP"}),
    obj("ConfigMap", "same", NS),
)
RIGHT = (
    obj("Deployment", "istiod", NS, spec={"replicas": 2, "template": {"metadata": {"labels": {"v": "2"}}}}),
    obj("Service", "new", NS, spec={"type": "NodePort"}),
    obj("ConfigMap", "same", NS),
)


def found(picked: Picked | None = None, right: tuple[Object, ...] = RIGHT) -> Comparison:
    return compare(Side("a", LEFT), Side("b", right), picked or Picked())


def paths(comparison: Comparison) -> list[str]:
    return [leaf.path for each in comparison.changed for leaf in each.leaves]


def test_what_both_have_is_compared_and_what_one_lacks_is_named() -> None:
    told = found()
    assert paths(told) == ["spec.replicas", "spec.template.metadata.labels.v"]
    assert told.only_left == (ref("Service", "old", NS),)
    assert told.only_right == (ref("Service", "new", NS),)
    assert told.equal == 1
    assert not told.is_equal
    assert found(right=LEFT).is_equal


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Deployment", 1),
        ("deployment::istiod", 1),
        ("*:istio-*:*", 4),
        ("::same", 1),
        (":other:", 0),
        ("Service", 2),
        ("Dep*:istio-system:i?tiod", 1),
    ],
)
def test_objects_are_selected_by_globs(said: str, left: int) -> None:
    told = found(Picked(chosen=(Pattern.parse(said, "--select"),)))
    assert len(told.changed) + len(told.only_left) + len(told.only_right) + told.equal == left


def test_objects_are_left_out_by_globs() -> None:
    told = found(Picked(left_out=(Pattern.parse("Service", "--ignore-objects"),)))
    assert told.only_left == told.only_right == ()


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("spec.replicas", ["spec.template.metadata.labels.v"]),
        ("spec.template", ["spec.replicas"]),
        ("spec", []),
        ("spec.*", []),
        ("**.labels.*", ["spec.replicas"]),
        ("**.v", ["spec.replicas"]),
        ("**.replicas", ["spec.template.metadata.labels.v"]),
        ("spec.rep", ["spec.replicas", "spec.template.metadata.labels.v"]),
        ("Deployment:::spec", []),
        ("Service:::spec", ["spec.replicas", "spec.template.metadata.labels.v"]),
    ],
)
def test_fields_are_ignored_with_all_below_them(said: str, left: list[str]) -> None:
    assert paths(found(Picked(ignored=(Ignored.parse(said),)))) == left


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("spec.containers[*].image", "spec.containers[a/b].image"),
        (r"metadata.labels.helm\.sh/chart", r"metadata.labels.helm\.sh/chart"),
        ("metadata.labels.*", r"metadata.labels.helm\.sh/chart"),
        ("data.mesh", "data.mesh:defaultConfig.image"),
        ("data.mesh:defaultConfig", "data.mesh:defaultConfig.image"),
        ("**.image", "image"),
        ("spec.containers", "spec.containers[a].image"),
    ],
)
def test_a_path_fits_every_form_of_a_step(said: str, path: str) -> None:
    assert Ignored.parse(said).fits(ref("ConfigMap", "c", NS), path)


@pytest.mark.parametrize(
    "said", ["Service::old=Service::new", "Service:istio-system:old->::new", "::old=::new"]
)
def test_an_object_is_compared_under_its_new_name(said: str) -> None:
    told = found(Picked(renamed=(Renamed.parse(said),)))
    assert told.only_left == told.only_right == ()
    (service,) = [each for each in told.changed if each.right.kind == "Service"]
    assert (service.left.name, service.right.name) == ("old", "new")
    assert [leaf.path for leaf in service.leaves] == ["spec.type"]


def test_an_object_that_one_side_has_twice_is_told() -> None:
    told = found(right=(*RIGHT, obj("ConfigMap", "same", NS, data={"a": "b"})))
    assert told.notes == ("ConfigMap istio-system/same is there twice in b; the last one counts",)
    assert "data" in paths(told)


@pytest.mark.parametrize(
    "parse",
    [
        lambda: Pattern.parse("a:b:c:d", "--select"),
        lambda: Pattern.parse(" ", "--select"),
        lambda: Ignored.parse("Deployment:::"),
        lambda: Renamed.parse("Service:a:b"),
        lambda: Renamed.parse("=Service:a:b"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused_with_the_form(parse: object) -> None:
    with pytest.raises(ConfigError) as told:
        parse()  # type: ignore[operator]
    assert told.value.code == "pattern-invalid"
    assert told.value.hint.startswith("write ")
