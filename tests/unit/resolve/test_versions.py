"""What the catalogue knows of Istio's minors, and what only some of them know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from meshctl.errors import ConfigError, UnsupportedError
from meshctl.model.mesh import Inputs
from meshctl.registry import data
from meshctl.stages.rendering.render import render
from meshctl.stages.settings import catalogue, versions
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

READER = "values.global.readerServiceAccount.name=mine"
MESSAGES = "pilot.terminationMessagePolicy"


def test_exactly_one_version_is_the_default() -> None:
    known = [minor for minor in versions.versions() if versions.is_default(minor)]
    assert known == [versions.version(None).minor] == ["1.31"]


def test_versions_are_listed_oldest_first() -> None:
    assert versions.versions() == ("1.30", "1.31", "1.32")


@pytest.mark.parametrize("minor", versions.versions())
def test_every_version_says_what_it_must(minor: str) -> None:
    told = yaml.safe_load((data("profiles") / "versions" / f"{minor}.yaml").read_text("utf-8"))
    known = {"summary", "extends", "default", "kubernetes", "upgradesFrom", "images", "crds", "features"}
    assert told.keys() <= known | {"compatibility", "values", "released", "oldestProxy", "changes"}
    assert re.fullmatch(r">=1\.\d+, <1\.\d+", told["kubernetes"])
    found = versions.version(minor)
    assert found.full.startswith(f"{minor}.")
    assert found.crds == minor


@pytest.mark.parametrize(("minor", "before"), [("1.31", "1.30"), ("1.32", "1.31")])
def test_a_minor_is_stepped_to_from_the_one_before(minor: str, before: str) -> None:
    assert before in versions.version(minor).upgrades_from


@pytest.mark.parametrize(
    ("wanted", "full"),
    [
        ("1.30", "1.30.3"), ("v1.30", "1.30.3"), ("1.30.9", "1.30.9"), ("v1.31.2", "1.31.2"),
        ("1.32.0-rc.1", "1.32.0-rc.1"),
    ],
)  # fmt: skip
def test_a_minor_stands_for_its_newest_known_patch(wanted: str, full: str) -> None:
    assert versions.version(wanted).full == full


@pytest.mark.parametrize(
    "wanted", ["1.29", "2.0.0", "latest", "", "1", "1.31.", "1.31.x", "1.31.1.1", "1.31 "]
)
def test_what_is_no_version_of_ours_is_refused_with_what_there_is(wanted: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        versions.version(wanted)
    assert "1.31" in refused.value.hint


def test_every_feature_is_asked_for_and_every_question_is_answered() -> None:
    told = {name for minor in versions.versions() for name in versions.version(minor).features}
    templates = [path for path in data("templates").rglob("*.j2") if path.is_file()]
    asked = {name for path in templates for name in re.findall(r"\bfeatures\.(\w+)", path.read_text("utf-8"))}
    asked |= {field.feature for each in catalogue.components().values() for field in each.fields}
    code = Path(versions.__file__).parents[2]
    asked |= {name for name in told if any(f'"{name}"' in path.read_text() for path in code.rglob("*.py"))}
    assert asked - {""} == told


def test_a_setting_that_a_version_does_not_have_is_refused_with_the_one_that_brought_it() -> None:
    with pytest.raises(ConfigError, match=r"Istio 1\.30\.3 has no global\.readerServiceAccount\.name") as no:
        load(Inputs(version="1.30", sets=(READER,)))
    assert "it came with Istio 1.31" in no.value.hint
    assert "--set" in str(no.value.where)


@pytest.mark.parametrize("minor", ["1.31", "1.32"])
def test_it_is_taken_where_it_is_known(minor: str) -> None:
    load(Inputs(version=minor, sets=(READER,)))


def test_a_setting_that_asks_for_nothing_is_taken_everywhere() -> None:
    load(Inputs(version="1.30", sets=(f"values.{MESSAGES}=",)))


def test_a_platform_sets_only_what_the_version_has() -> None:
    found = {}
    for minor in ("1.30", "1.31"):
        asked = load(Inputs(version=minor, sets=("values.global.platform=openshift", "profile=minimal")))
        found[minor] = resolve(asked, asked.mesh.clusters[0]).at(MESSAGES)
    assert found == {"1.30": None, "1.31": "FallbackToLogsOnError"}


def environment(version: str, *sets: str) -> dict[str, str]:
    """istiod's environment, as far as it holds plain values."""
    asked = load(Inputs(version=version, sets=("profile=minimal", *sets)))
    objects = render(resolve(asked, asked.mesh.clusters[0])).objects
    found = next(
        each.content for each in objects if (each.ref.kind, each.ref.name) == ("Deployment", "istiod")
    )
    container = found["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_a_compatibility_version_takes_back_what_changed_since() -> None:
    old = environment("1.31", "compatibilityVersion=1.29")
    assert old["PILOT_ENABLE_STRICT_GATEWAY_MERGING"] == "false"
    assert old["PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE"] == "false"
    assert "DISABLE_TRACK_REMAINING_CB_METRICS" not in old


def test_a_compatibility_version_leaves_out_what_its_file_sets_to_null() -> None:
    switch = "PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY"
    with_it = [
        minor for minor in ("1.25", "1.26", "1.27", "1.28", "1.29", "1.30")
        if switch in environment("1.31", f"compatibilityVersion={minor}")
    ]  # fmt: skip
    assert with_it == ["1.25", "1.26", "1.27", "1.30"]


@pytest.mark.parametrize(("version", "wanted"), [("1.30", "1.30"), ("1.30", "1.31"), ("1.32", "1.24")])
def test_a_version_behaves_as_those_before_it_and_no_others(version: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown compatibility version '{wanted}'") as refused:
        load(Inputs(version=version, sets=(f"compatibilityVersion={wanted}",)))
    assert "1.29" in refused.value.hint
