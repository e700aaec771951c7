"""What holds for the injection templates before any istiod reads them."""

from __future__ import annotations

import re

import pytest

from meshctl.registry import data
from meshctl.stages.rendering.injection import injection_templates

ALL = ("agentgateway_waypoint", "fips_140_3", "proxy_init_image", "trimmed_canonical_names")
NAMES = [
    "agentgateway",
    "agentgateway-waypoint",
    "gateway",
    "grpc-agent",
    "grpc-simple",
    "kube-gateway",
    "sidecar",
    "waypoint",
]


def test_there_is_a_template_for_everything_istiod_injects_and_deploys() -> None:
    assert list(injection_templates(ALL)) == NAMES


def test_a_template_that_istiod_does_not_know_is_left_out() -> None:
    assert set(NAMES) - set(injection_templates(())) == {"agentgateway-waypoint"}


@pytest.mark.parametrize(
    ("feature", "template", "text"),
    [
        ("proxy_init_image", "sidecar", ".ProxyInitImage"),
        ("fips_140_3", "gateway", "fips140=only"),
        ("trimmed_canonical_names", "sidecar", 'trimAll "-_."'),
    ],
)
def test_a_feature_is_used_only_where_it_is_there(feature: str, template: str, text: str) -> None:
    assert text in injection_templates(ALL)[template]
    assert text not in injection_templates(each for each in ALL if each != feature)[template]
    assert text not in injection_templates(())[template]


def test_the_same_features_give_the_same_bytes() -> None:
    assert injection_templates(ALL) == injection_templates(reversed(ALL))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_of_the_putting_together(name: str) -> None:
    text = injection_templates(ALL)[name]
    assert not re.search(r"<%|%>|<<|>>|<#|#>", text)
    assert text.count("{{") == len(re.findall(r"\{\{.*?\}\}", text, re.DOTALL))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_reads_well_in_the_config_map(name: str) -> None:
    # YAML writes a text with blanks at a line's end as one long quoted line.
    lines = injection_templates(ALL)[name].split("\n")
    assert lines.pop() == ""
    assert all(line == line.rstrip() != "" for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_ended(name: str) -> None:
    actions = re.findall(r"\{\{-? *(if|range|with|end)\b", injection_templates(ALL)[name])
    assert actions.count("end") * 2 == len(actions)


def test_no_part_is_left_unused() -> None:
    folder = data("templates") / "sidecar"
    sources = {path.stem: path.read_text() for path in folder.glob("parts/*.j2")}
    everything = "\n".join(path.read_text() for path in folder.rglob("*.j2"))
    words = set(re.findall(r"\w+", re.sub(r"<% macro \w+|<#.*?#>", "", everything, flags=re.DOTALL)))
    for part, source in sources.items():
        for macro in re.findall(r"<% macro (\w+)", source):
            assert macro in words, f"{part}.{macro}"
