"""From definitions to CustomResourceDefinitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshctl.crds import crds, kinds
from meshctl.crds.declare import AGE, array, boolean, choice, duration, record, string, uint32, versions
from meshctl.crds.generate import definition, openapi
from meshctl.crds.schema import IntOrString, Kind
from meshctl.errors import UnsupportedError


def spec_of(name: str, minor: str) -> Any:
    """The spec schema of the first version of a CRD."""
    found = next(crd for crd in crds(minor) if crd["metadata"]["name"] == name)
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema["properties"]["spec"]


def test_a_small_kind_becomes_a_whole_definition() -> None:
    kind = Kind(
        name="Lamp",
        group="light.istio.io",
        doc="A lamp.",
        spec=record("How it shines.", watts=uint32("Power.").required(), on=boolean("Whether it is lit.")),
        versions=versions("v1", "v1beta1", stored="v1"),
        short_names=("lp",),
        columns=(AGE,),
        labels={"istio": "light"},
    )
    made = definition(kind)
    first, second = made["spec"].pop("versions")
    assert made == {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "lamps.light.istio.io",
            "labels": {
                "app": "istio-pilot",
                "chart": "istio",
                "heritage": "Tiller",
                "istio": "light",
                "release": "istio",
            },
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": "light.istio.io",
            "names": {
                "categories": ["istio-io", "light-istio-io"],
                "kind": "Lamp",
                "listKind": "LampList",
                "plural": "lamps",
                "singular": "lamp",
                "shortNames": ["lp"],
            },
            "scope": "Namespaced",
        },
    }
    assert (first["name"], first["served"], first["storage"]) == ("v1", True, True)
    assert (second["name"], second["served"], second["storage"]) == ("v1beta1", True, False)
    assert first["schema"] == second["schema"]
    assert first["subresources"] == {"status": {}}
    assert first["additionalPrinterColumns"][0]["jsonPath"] == ".metadata.creationTimestamp"
    assert first["schema"]["openAPIV3Schema"]["properties"]["spec"] == {
        "description": "How it shines.",
        "type": "object",
        "properties": {
            "watts": {"description": "Power.", "type": "integer", "minimum": 0, "maximum": 4294967295},
            "on": {"description": "Whether it is lit.", "type": "boolean"},
        },
        "required": ["watts"],
    }


def test_a_oneof_allows_none_or_one() -> None:
    assert openapi(record(a=string(), b=string()).one_of("a", "b"))["oneOf"] == [
        {"not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}},
        {"required": ["a"]},
        {"required": ["b"]},
    ]


def test_two_oneofs_both_hold() -> None:
    both = openapi(record(a=string(), b=string()).one_of("a").one_of("b"))
    assert [list(group) for group in both["allOf"]] == [["oneOf"], ["oneOf"]]
    assert "oneOf" not in both


def test_an_exclusive_group_is_a_rule_before_the_others() -> None:
    rules = openapi(record(a=string(), b=string()).check("true", "never").at_most_one("a", "b"))
    assert rules["x-kubernetes-validations"] == [
        {
            "rule": "(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) <= 1",
            "message": "set at most one of a, b",
        },
        {"rule": "true", "message": "never"},
    ]


def test_a_limit_of_zero_is_a_limit() -> None:
    assert openapi(uint32(smallest=0))["minimum"] == 0
    assert openapi(string(longest=0)) == {"type": "string", "maxLength": 0}


def test_a_list_with_keys_is_merged_by_them() -> None:
    merged = openapi(array("Ports.", record(name=string().required()), keys=("name",), most=3))
    assert (merged["x-kubernetes-list-type"], merged["x-kubernetes-list-map-keys"]) == ("map", ["name"])
    assert merged["maxItems"] == 3


def test_an_int_or_string_is_structural() -> None:
    assert openapi(IntOrString()) == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }


def test_a_duration_is_checked_by_the_api_server() -> None:
    (rule,) = openapi(duration("A time."))["x-kubernetes-validations"]
    assert rule["rule"] == "duration(self) >= duration('1ms')"


def test_choices_are_an_enumeration() -> None:
    assert openapi(choice("Which.", "A", "B"))["enum"] == ["A", "B"]


def test_all_fifteen_kinds_are_there_in_a_fixed_order() -> None:
    assert [kind.name for kind in kinds("1.32")] == [
        "TrafficExtension",
        "WasmPlugin",
        "DestinationRule",
        "EnvoyFilter",
        "Gateway",
        "ProxyConfig",
        "ServiceEntry",
        "Sidecar",
        "VirtualService",
        "WorkloadEntry",
        "WorkloadGroup",
        "AuthorizationPolicy",
        "PeerAuthentication",
        "RequestAuthentication",
        "Telemetry",
    ]


def test_the_same_minor_gives_the_same_bytes() -> None:
    assert json.dumps(crds("1.32")) == json.dumps(crds("1.32"))


def test_a_caller_may_change_what_it_got() -> None:
    before = json.dumps(crds("1.32"))
    for crd in crds("1.32"):
        crd["metadata"]["labels"].clear()
        for version in crd["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"]["properties"]["spec"].clear()
            version["additionalPrinterColumns"] = []
    assert json.dumps(crds("1.32")) == before


def test_no_part_of_a_definition_is_the_same_object_as_another() -> None:
    """Shared parts would come out as YAML anchors."""
    seen: set[int] = set()

    def visit(node: Any) -> None:
        if isinstance(node, dict | list):
            assert id(node) not in seen
            seen.add(id(node))
            for child in node.values() if isinstance(node, dict) else node:
                visit(child)

    made = crds("1.32")
    for crd in made:
        visit(crd)


def test_every_definition_fits_the_annotation_of_client_side_apply() -> None:
    sizes = {crd["metadata"]["name"]: len(json.dumps(crd)) for crd in crds("1.32")}
    assert {name: size for name, size in sizes.items() if size > 250_000} == {}


def test_fields_come_with_their_minor() -> None:
    path = ("trafficPolicy", "connectionPool", "http")

    def http(minor: str) -> Any:
        node = spec_of("destinationrules.networking.istio.io", minor)
        for name in path:
            node = node["properties"][name]
        return node["properties"]

    assert "http2KeepAlive" not in http("1.30")
    assert "http2KeepAlive" in http("1.31")


def test_values_of_an_enumeration_come_with_their_minor() -> None:
    def operations(minor: str) -> Any:
        patches = spec_of("envoyfilters.networking.istio.io", minor)["properties"]["configPatches"]
        return patches["items"]["properties"]["patch"]["properties"]["operation"]["enum"]

    assert operations("1.31") == [*operations("1.30"), "MERGE_AND_REPLACE_LIST"]


def test_a_minor_newer_than_every_mark_has_everything() -> None:
    assert crds("1.99") == crds("1.32")


def test_a_minor_from_before_our_definitions_is_refused() -> None:
    with pytest.raises(UnsupportedError) as refused:
        crds("1.29")
    assert refused.value.code == "istio-too-old"
    assert "1.30" in refused.value.hint


@pytest.mark.parametrize("text", ["", "latest", "1", "1.x", "1.32.1"])
def test_what_is_not_a_minor_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        crds(text)
    assert refused.value.code == "unknown-istio-minor"
