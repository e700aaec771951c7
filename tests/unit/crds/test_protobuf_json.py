"""JSON is read as protobuf reads it, and places are told as the user spelled them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.crds.mesh_config import MESH_CONFIG
from meshctl.crds.protobuf_json import as_spelled, canonical, field_name


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("access_log_file", "accessLogFile"),
        ("accessLogFile", "accessLogFile"),
        ("mesh_mTLS", "meshMTLS"),
        ("enable_64bit_trace_id", "enable64bitTraceId"),
        ("h2_upgrade_policy", "h2UpgradePolicy"),
    ],
)
def test_a_field_has_two_names(spelled: str, name: str) -> None:
    assert field_name(spelled) == name


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"access_log_file": "x"}, {"accessLogFile": "x"}),
        ({"defaultConfig": {"status_port": "15020"}}, {"defaultConfig": {"statusPort": 15020}}),
        ({"enableTracing": None, "defaultConfig": {"tracing": None}}, {"defaultConfig": {}}),
        ({"default_config": {"runtimeValues": {"a_b": "1"}}},
         {"defaultConfig": {"runtimeValues": {"a_b": "1"}}}),
        ({"defaultConfig": {"tracing": {"sampling": "1.5"}}},
         {"defaultConfig": {"tracing": {"sampling": 1.5}}}),
        ({"nobody_knows": 1}, {"nobody_knows": 1}),
    ],
)  # fmt: skip
def test_what_is_read_is_in_one_form(said: dict[str, Any], read: dict[str, Any]) -> None:
    assert canonical(MESH_CONFIG, said) == read
    assert canonical(MESH_CONFIG, read) == read


def test_a_place_is_told_as_it_was_spelled() -> None:
    said = {"extension_providers": [{"name": "a", "zipkin": {"max_tag_length": -1}}]}
    path = ("extensionProviders", 0, "zipkin", "maxTagLength")
    assert as_spelled(said, path) == ("extension_providers", 0, "zipkin", "max_tag_length")
    assert as_spelled(said, ("extensionProviders", 0, "zipkin", "port"))[-1] == "port"


KEYS = st.sampled_from(["defaultConfig", "tracing", "a_b", "sampling"])
SAID = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner)),
    max_leaves=6,
)


@settings(deadline=None)
@given(SAID)
def test_whatever_was_said_can_be_read_and_read_again(said: Any) -> None:
    once = canonical(MESH_CONFIG, said)
    assert canonical(MESH_CONFIG, once) == once
