from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.errors import ConfigError
from meshctl.model.mesh import Cluster, Inputs, Layer, Overlay
from meshctl.model.observation import Observation
from meshctl.model.values import Values, merge, merged
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve


def settled(inputs: Inputs, seen: Observation | None = None) -> Values:
    asked = load(inputs)
    return resolve(asked, asked.mesh.clusters[0], seen)


def seen(*platforms: str) -> Observation:
    return Observation("cluster", "v1.34.4", platforms=platforms)


trees = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)
    ),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)
maps = st.dictionaries(st.sampled_from("abcd"), trees, max_size=4)


@given(maps, maps)
def test_everything_in_the_upper_tree_stands_in_the_merged_one(base: dict, over: dict) -> None:
    result = merge(base, over)
    assert merge(result, over) == result
    assert merge({}, over) == over
    assert merge(base, {}) == base
    assert base.keys() | over.keys() == result.keys()


@given(st.lists(maps, max_size=4))
def test_merging_is_from_the_lowest_up_and_changes_no_overlay(given_trees: list[dict]) -> None:
    overlays = [Overlay(Layer.FILE, str(index), tree) for index, tree in enumerate(given_trees)]
    before = repr(overlays)
    result = merged(overlays)
    if given_trees:
        assert merge(result, given_trees[-1]) == result
    assert repr(overlays) == before


def test_each_layer_beats_those_below_it() -> None:
    inputs = Inputs(profile="demo", sets=("values.pilot.traceSampling=7",))
    found = settled(inputs).explain("pilot.traceSampling")
    assert [value for value, _ in found] == [7, 100, 1]
    assert [where.file for _, where in found] == [
        "--set",
        "profiles/demo.yaml",
        "templates/istiod/component.yaml",
    ]
    assert all(where.line for _, where in found[1:])


def test_a_path_is_understood_with_and_without_its_beginning() -> None:
    values = settled(Inputs())
    assert (
        values.explain("values.pilot.image")
        == values.explain("pilot.image")
        == values.explain("spec.values.pilot.image")
    )
    assert values.at("components.pilot.enabled") is True
    assert values.at(r"pilot.nothing\.here", "default") == "default"


def test_what_nobody_says_is_explained_by_nothing() -> None:
    assert settled(Inputs()).explain("pilot.nothing") == []


def test_plain_values_are_the_merged_ones_and_own_values_are_the_users() -> None:
    values = settled(Inputs(sets=("values.global.meshID=m", "hub=h.io")))
    assert values.plain()["values"]["global"]["meshID"] == "m"
    assert values.own() == {"hub": "h.io", "values": {"global": {"meshID": "m", "hub": "h.io"}}}


def test_a_platform_seen_on_the_nodes_lies_over_the_profile_and_under_the_users_settings() -> None:
    values = settled(Inputs(profile="demo", sets=("values.global.imagePullPolicy=Always",)), seen("sandbox"))
    assert values.at("global.hub") == "sandbox.meshctl.dev/istio"
    assert values.at("global.tag") == "1.31.0"
    assert values.at("global.imagePullPolicy") == "Always"
    assert values.at("meshConfig.defaultProviders") == {"metrics": []}
    assert values.at("meshConfig.accessLogFile") == "/dev/stdout"
    assert values.at("pilot.env.PILOT_ENABLE_ALPN_FILTER") == "false"
    assert values.at("telemetry.enabled") is False


def test_without_being_seen_a_platform_changes_nothing() -> None:
    assert settled(Inputs()).at("global.hub") == "registry.istio.io/release"
    assert settled(Inputs(), seen()).at("global.hub") == "registry.istio.io/release"


def test_a_platform_that_the_user_names_is_laid_too_and_must_exist() -> None:
    assert settled(Inputs(sets=("values.global.platform=openshift",))).at("pilot.cni.provider") == "multus"
    with pytest.raises(ConfigError, match="unknown platform 'moon'") as refusal:
        settled(Inputs(sets=("values.global.platform=moon",)))
    assert "openshift" in refusal.value.hint
    assert "sandbox" not in refusal.value.hint


def test_a_clusters_own_network_beats_files_but_not_the_command_line() -> None:
    asked = load(Inputs(files=("-",)), stdin="global: {network: file}\n")
    here = replace(asked.mesh.clusters[0], network="cluster")
    assert resolve(asked, here).at("global.network") == "cluster"
    forced = load(Inputs(sets=("values.global.network=set",)))
    assert resolve(forced, Cluster("cluster", network="cluster")).at("global.network") == "set"


def test_values_follow_from_the_components_that_are_on() -> None:
    assert settled(Inputs()).at("pilot.enabled") is True
    assert settled(Inputs(profile="empty")).at("pilot.enabled") is False
