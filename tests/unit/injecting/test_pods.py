"""Pods as Go would keep them."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.errors import ConfigError
from meshctl.stages.injecting.overlay import overlaid
from meshctl.stages.injecting.pods import canonical, go_json, go_text, quantity


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("0.1", "100m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000", "1k"), ("1024", "1024"),
        (0.5, "500m"), (2, "2"), ("1e3", "1e3"), ("12e6", "12e6"), ("0.5Ki", "512"), ("1.2Ki", "1228800m"),
        ("500000000", "500M"), ("-1", "-1"), ("0", "0"), ("0.0000000001", "1n"), ("5E", "5E"),
    ],
)  # fmt: skip
def test_a_quantity_has_one_form(written: Any, kept: str) -> None:
    assert quantity(written) == kept


@pytest.mark.parametrize("written", ["lots", "", "1 Gi", "1gi", "--1", True, "1.2.3"])
def test_what_is_no_quantity_is_refused(written: Any) -> None:
    with pytest.raises(ValueError):
        quantity(written)


def test_empty_and_unknown_fields_are_left_out() -> None:
    pod = {
        "spec": {
            "containers": [{"name": "a", "image": "", "env": [], "future": 1, "stdin": False}],
            "volumes": None,
        }
    }
    assert canonical(pod) == {"spec": {"containers": [{"name": "a"}]}}


def test_what_may_be_absent_is_kept_where_it_is_there() -> None:
    rights = {"runAsUser": 0, "privileged": False, "capabilities": {}}
    assert canonical(rights, "SecurityContext") == rights


def test_a_number_stands_for_text_but_in_a_template() -> None:
    env = {"name": "A", "value": 1}
    assert canonical(env, "EnvVar") == {"name": "A", "value": "1"}
    with pytest.raises(ConfigError, match="1 is not text"):
        canonical(env, "EnvVar", strict=True)


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"containers": {}}, "spec.containers"),
        (
            {"containers": [{"name": "a", "ports": [{"hostPort": "x"}]}]},
            "spec.containers[0].ports[0].hostPort",
        ),
        ({"containers": [], "priority": 2**31}, "spec.priority"),
        ({"hostNetwork": "yes"}, "spec.hostNetwork"),
    ],
)
def test_a_misfit_is_told_with_its_place(spec: Any, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        canonical({"spec": spec})
    assert caught.value.where is not None
    assert caught.value.where.path == place


def test_json_is_written_as_go_writes_it() -> None:
    action = {"port": "a<b", "httpHeaders": [{"name": "X", "value": ""}]}
    text = go_text(go_json(canonical(action, "HTTPGetAction"), "HTTPGetAction"))
    assert text == '{"port":"a\\u003cb","httpHeaders":[{"name":"X","value":""}]}'
    assert go_text(go_json({"port": 1}, "GRPCAction")) == '{"port":1,"service":null}'


def test_a_list_has_what_the_patch_adds_first_and_keeps_the_order_of_what_both_have() -> None:
    base = {"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "x"}, {"name": "c"}]}}
    patch = {"spec": {"containers": [{"name": "new"}, {"name": "b", "tty": True}]}}
    merged = overlaid(base, patch)["spec"]["containers"]
    assert merged == [{"name": "new"}, {"name": "a"}, {"name": "b", "image": "x", "tty": True}, {"name": "c"}]


def test_a_patch_may_delete_and_replace() -> None:
    base = {
        "spec": {
            "containers": [{"name": "a"}, {"name": "b", "args": ["1"]}],
            "volumes": [{"name": "v"}],
            "dnsPolicy": "x",
        }
    }
    patch = {
        "spec": {
            "containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "args": ["2"]}],
            "volumes": [{"$patch": "replace"}, {"name": "w"}],
            "dnsPolicy": None,
        }
    }
    assert overlaid(base, patch) == {
        "spec": {"containers": [{"name": "b", "args": ["2"]}], "volumes": [{"name": "w"}]}
    }


def test_an_element_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="an element of 'volumes' has no 'name'"):
        overlaid({"spec": {"volumes": [{"name": "v"}]}}, {"spec": {"volumes": [{"emptyDir": {}}]}})
