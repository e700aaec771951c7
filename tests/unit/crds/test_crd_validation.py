"""Objects of Istio's API against its definitions, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.crds import kinds
from meshctl.crds.validation import examined, is_ours


def obj(kind: str, spec: Any, group: str = "networking.istio.io/v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "a"}, "spec": spec, **rest}


def told(content: dict[str, Any], minor: str = "1.32") -> list[tuple[tuple[Any, ...], str]]:
    return [(each.path, each.code) for each in examined(content, minor).problems]


def test_a_right_object_is_taken() -> None:
    route = [{"destination": {"host": "reviews", "port": {"number": 80}}, "weight": 100}]
    assert (
        told(obj("VirtualService", {"hosts": ["reviews"], "http": [{"route": route, "timeout": "5s"}]})) == []
    )


def test_no_rule_of_any_kind_is_beyond_us() -> None:
    for minor in ("1.30", "1.31", "1.32"):
        for kind in kinds(minor):
            for version in kind.versions:
                content = obj(kind.name, {}, f"{kind.group}/{version.name}")
                assert examined(content, minor).unread == ()


def test_structure_rules_and_metadata_are_all_told() -> None:
    content = obj("ServiceEntry", {"hosts": ["*"], "port": []}, metadata={"name": "A", "labels": {"a": 1}})
    assert told(content) == [
        (("metadata", "name"), "wrong-value"),
        (("metadata", "labels", "a"), "wrong-type"),
        (("spec", "port"), "unknown-field"),
        (("spec", "hosts", 0), "rule-broken"),
    ]


def test_a_field_of_a_newer_minor_is_unknown_to_an_older_one() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "c", "insecureSkipVerify": True}
    server = {"port": {"number": 443, "name": "h", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls}
    content = obj("Gateway", {"servers": [server]})
    assert told(content, "1.31") == []
    assert told(content, "1.30") == [(("spec", "servers", 0, "tls", "insecureSkipVerify"), "unknown-field")]


def test_a_status_is_istiods_and_only_its_names_are_looked_at() -> None:
    status = {"conditions": [{"type": 5, "lastProbeTime": "never"}], "anything": {"at": "all"}}
    assert told(obj("Sidecar", {}, status=status)) == []
    wrong = {"conditions": [{"typ": "x"}]}
    assert told(obj("Sidecar", {}, status=wrong)) == [(("status", "conditions", 0, "typ"), "unknown-field")]


def test_an_unknown_field_beside_spec_is_told_with_what_was_meant() -> None:
    (found,) = examined({**obj("Sidecar", {}), "specs": {}}, "1.32").problems
    assert found.path == ("specs",)
    assert "did you mean 'spec'?" in found.message


def test_an_unknown_kind_or_version_is_told_with_what_is_near() -> None:
    (found,) = examined(obj("VirtualServices", {}), "1.32").problems
    assert (found.path, found.code) == (("kind",), "unknown-kind")
    assert "did you mean 'VirtualService'?" in found.message
    (found,) = examined(obj("VirtualService", {}, "networking.istio.io/v2"), "1.32").problems
    assert (found.path, found.code) == (("apiVersion",), "unknown-api-version")
    assert "networking.istio.io/v1" in found.hint
    (found,) = examined(obj("Sidecar", {}, "security.istio.io/v1"), "1.32").problems
    assert "networking.istio.io/v1" in found.hint


METADATA: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "none": (None, ("metadata", "name"), "missing-field"),
    "no name": ({}, ("metadata", "name"), "missing-field"),
    "empty name": ({"name": ""}, ("metadata", "name"), "wrong-value"),
    "name with a capital": ({"name": "Reviews"}, ("metadata", "name"), "wrong-value"),
    "name too long": ({"name": "a" * 254}, ("metadata", "name"), "wrong-value"),
    "namespace with a dot": ({"name": "a", "namespace": "a.b"}, ("metadata", "namespace"), "wrong-value"),
    "label too long": ({"name": "a", "labels": {"k": "a" * 64}}, ("metadata", "labels", "k"), "wrong-value"),
    "label without a name": (
        {"name": "a", "labels": {"x.io/": "a"}},
        ("metadata", "labels", "x.io/"),
        "wrong-value",
    ),
    "label without a domain": (
        {"name": "a", "labels": {"/k": "a"}},
        ("metadata", "labels", "/k"),
        "wrong-value",
    ),
    "number as annotation": (
        {"name": "a", "annotations": {"k": 1}},
        ("metadata", "annotations", "k"),
        "wrong-type",
    ),
    "annotations too large": (
        {"name": "a", "annotations": {"k": "a" * 300_000}},
        ("metadata", "annotations"),
        "wrong-value",
    ),
    "unknown field": ({"name": "a", "label": {}}, ("metadata", "label"), "unknown-field"),
    "owner without a name": (
        {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "uid": "u"}]},
        ("metadata", "ownerReferences", 0, "name"),
        "missing-field",
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_wrong_metadata_is_told(case: str) -> None:
    metadata, path, code = METADATA[case]
    assert (path, code) in told({**obj("Sidecar", {}), "metadata": metadata})


@pytest.mark.parametrize(
    "metadata",
    [
        {"generateName": "a-"},
        {
            "name": "a.b-1",
            "creationTimestamp": None,
            "labels": {"a.io/B_c": ""},
            "annotations": {"A/b": "x y"},
        },
    ],
)
def test_right_metadata_is_taken(metadata: dict[str, Any]) -> None:
    assert told({**obj("Sidecar", {}), "metadata": metadata}) == []


OURS = {
    ("networking.istio.io/v1", "VirtualService"): True,
    ("networking.istio.io/v9", "Anything"): True,
    ("networking.isto.io/v1", "VirtualService"): True,
    ("config.istio.io/v1alpha2", "rule"): True,
    ("install.istio.io/v1alpha1", "IstioOperator"): False,
    ("gateway.networking.k8s.io/v1", "Gateway"): False,
    ("networking.gke.io/v1", "Gateway"): False,
    ("v1", "Service"): False,
    ("telemetry.example.com/v1", "Telemetry"): False,
}


@pytest.mark.parametrize(("api_version", "kind"), OURS)
def test_an_object_is_istios_by_its_group_even_when_misspelt(api_version: str, kind: str) -> None:
    assert is_ours(api_version, kind) is OURS[api_version, kind]
