"""What a pod is told about itself, as the API documents it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from meshctl.errors import FailedError
from meshctl.sandbox.light_fields import environment, expand, field_value, quantity
from tests.unit.sandbox_light.fake_api import FakeApi

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"app": "web", "a/b": "c"},
        "annotations": {"note": 'say "hi"\n'},
    },
    "spec": {"nodeName": "n1", "serviceAccountName": "web"},
    "status": {"podIP": "100.65.0.1"},
}


def at(path: str) -> str:
    return field_value(POD, {}, {"fieldRef": {"fieldPath": path}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("spec.serviceAccountName", "web"),
        ("status.podIP", "100.65.0.1"),
        ("status.hostIP", ""),
        ("metadata.labels['a/b']", "c"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'a/b="c"\napp="web"'),
        ("metadata.annotations", 'note="say \\"hi\\"\\n"'),
    ],
)
def test_a_field_is_read_by_its_path(path: str, value: str) -> None:
    assert at(path) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", "2"), ("500m", "0.5"), ("2Gi", 2**31), ("10k", 10_000), ("1.5Mi", 3 * 2**19)],
)
def test_quantities_are_read_exactly(text: str, value: str | int) -> None:
    assert quantity(text) == Decimal(value)


def test_something_else_is_no_quantity() -> None:
    with pytest.raises(FailedError, match="'lots' is not a quantity"):
        quantity("lots")


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "2"),
        ("limits.cpu", "1m", "1500"),
        ("limits.memory", None, str(2**30)),
        ("limits.memory", "1Mi", "1024"),
        ("requests.cpu", None, "0"),
    ],
)
def test_a_resource_is_given_in_its_divisor_rounded_up(
    resource: str, divisor: str | None, value: str
) -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}
    reference = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    assert field_value(POD, container, {"resourceFieldRef": reference}) == value


def test_without_a_limit_a_program_is_told_a_small_node() -> None:
    assert field_value(POD, {}, {"resourceFieldRef": {"resource": "limits.cpu"}}) == "1"


def test_variables_are_expanded_where_known_and_a_double_dollar_is_one() -> None:
    assert expand("$(A)/$(B)/$$(A)/$A", {"A": "x"}) == "x/$(B)/$(A)/$A"


def test_a_variable_sees_those_before_it_and_keys_of_objects() -> None:
    api = FakeApi(
        {
            "/api/v1/namespaces/shop/configmaps/settings": {"data": {"mode": "loud"}},
            "/api/v1/namespaces/shop/secrets/keys": {"data": {"pin": "MTIzNA=="}},
        }
    )
    container = {
        "env": [
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "GREETING", "value": "hello $(NAME)"},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
            {"name": "PIN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "pin"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no", "optional": True}}},
        ]
    }
    assert environment(api, POD, container) == {
        "NAME": "web-1",
        "GREETING": "hello web-1",
        "MODE": "loud",
        "PIN": "1234",
    }


def test_a_key_that_must_be_there_is_named_when_it_is_not() -> None:
    reference = {"configMapKeyRef": {"name": "settings", "key": "mode"}}
    with pytest.raises(FailedError, match="key mode in configmap 'settings'"):
        environment(FakeApi({}), POD, {"env": [{"name": "MODE", "valueFrom": reference}]})
