from __future__ import annotations

from typing import Any

import pytest

from meshctl.errors import ConfigError
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings.setpath import Selector, guess, overlay, setting

BELOW = {
    "components": {"ingressGateways": [{"name": "istio-ingressgateway", "enabled": True}, {"name": "b"}]}
}


def tree(said: str, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(overlay(setting(said), user or {}, BELOW, schema()).tree)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a.b", ("a", "b")),
        ("spec.a", ("a",)),
        ("a[0].b", ("a", 0, "b")),
        ("a.[0]", ("a", 0)),
        ("a[name:foo].b", ("a", Selector("name", "foo"), "b")),
        ("a.[name:foo]", ("a", Selector("name", "foo"))),
        (r"a.example\.com/x", ("a", "example.com/x")),
        ("a[url:http://x:1]", ("a", Selector("url", "http://x:1"))),
    ],
)
def test_a_path_is_read_as_istioctl_reads_it(path: str, steps: tuple[object, ...]) -> None:
    assert setting(f"{path}=1").steps == steps


@pytest.mark.parametrize("said", ["a", "", "=1", "a..b=1", "[0]=1", "a[x].b=1", "a[0=1", "a]b=1", ".a=1"])
def test_what_does_not_follow_the_grammar_is_refused(said: str) -> None:
    with pytest.raises(ConfigError, match="cannot read") as refusal:
        setting(said)
    assert refusal.value.code == "bad-set"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1", -1), ("1.5", 1.5), ("2.0", 2), ("1e3", 1000), ("true", True), ("False", False),
        ("", ""), ("a", "a"), (r"a\,b", "a,b"), ("1.2.3", "1.2.3"), ("nan", "nan"), ("t", "t"),
        ("x=y", "x=y"),
    ],
)  # fmt: skip
def test_a_free_value_is_an_integer_a_number_a_boolean_or_text(text: str, value: object) -> None:
    assert guess(text) == value
    assert type(guess(text)) is type(value)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("hub=h", {"hub": "h"}),
        ("tag=1.10", {"tag": "1.10"}),
        ("compatibilityVersion=1.30", {"compatibilityVersion": "1.30"}),
        ("values.global.tag=1.10", {"values": {"global": {"tag": "1.10"}}}),
        ("values.global.network=1", {"values": {"global": {"network": "1"}}}),
        ("values.pilot.traceSampling=5", {"values": {"pilot": {"traceSampling": 5}}}),
        ("pilot.traceSampling=5", {"values": {"pilot": {"traceSampling": 5}}}),
        ("values.pilot.env.X=1", {"values": {"pilot": {"env": {"X": 1}}}}),
        ("meshConfig.enableTracing=true", {"values": {"meshConfig": {"enableTracing": True}}}),
        (
            "meshConfig.defaultConfig.proxyMetadata.A=1",
            {"values": {"meshConfig": {"defaultConfig": {"proxyMetadata": {"A": "1"}}}}},
        ),
        ("components.pilot.enabled=false", {"components": {"pilot": {"enabled": False}}}),
        ("values.revisionTags={a,b}", {"values": {"revisionTags": ["a", "b"]}}),
        ('values.pilot.tolerations=[{"key":"a"}]', {"values": {"pilot": {"tolerations": [{"key": "a"}]}}}),
        ("values.revisionTags[0]=a", {"values": {"revisionTags": ["a"]}}),
    ],
)
def test_a_setting_is_laid_where_istioctl_lays_it(said: str, wanted: dict[str, Any]) -> None:
    assert tree(said) == wanted


def test_an_index_counts_within_the_users_own_list_and_appends_past_its_end() -> None:
    user = {"components": {"egressGateways": [{"name": "a", "k8s": {"x": 1}}]}}
    changed = tree("components.egressGateways[0].k8s.y=2", user)
    assert changed["components"]["egressGateways"] == [{"name": "a", "k8s": {"x": 1, "y": 2}}]
    appended = tree("components.egressGateways[1].name=b", user)
    assert [each["name"] for each in appended["components"]["egressGateways"]] == ["a", "b"]
    assert user == {"components": {"egressGateways": [{"name": "a", "k8s": {"x": 1}}]}}


def test_a_selector_finds_elements_of_the_profile_too() -> None:
    changed = tree("components.ingressGateways[name:b].enabled=false")
    assert changed["components"]["ingressGateways"] == [
        {"name": "istio-ingressgateway", "enabled": True},
        {"name": "b", "enabled": False},
    ]


def test_a_selector_that_finds_nothing_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no element with name 'c'") as refusal:
        tree("components.ingressGateways[name:c].enabled=false")
    assert refusal.value.hint == "the list has istio-ingressgateway, b"


def test_lists_within_lists_are_reached() -> None:
    user = {"components": {"egressGateways": [{"name": "a", "k8s": {"env": [{"name": "X", "value": "1"}]}}]}}
    changed = tree("components.egressGateways[0].k8s.env[name:X].value=2", user)
    assert changed["components"]["egressGateways"][0]["k8s"]["env"] == [{"name": "X", "value": "2"}]


def test_a_structure_that_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither JSON nor a list"):
        tree("values.pilot.tolerations=[{key:a}]")
