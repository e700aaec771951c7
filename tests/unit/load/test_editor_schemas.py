"""The JSON Schemas for editors say what loading says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.registry import data
from meshctl.stages.schema.editor import DIALECT, DOCUMENTS
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings import catalogue
from tests.golden import CASES
from tests.json_schema import misfits
from tests.strategies import of_field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIELDS = sorted(schema().paths(), key=lambda each: each.path)
SCHEMAS = {name: told() for name, told in DOCUMENTS.items()}


def wrong(name: str, value: Any) -> list[str]:
    return list(misfits(SCHEMAS[name], value, SCHEMAS[name]))


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for below in inside:
        yield from nodes(below)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_whole_and_can_be_written(name: str) -> None:
    told = SCHEMAS[name]
    assert told["$schema"] == DIALECT
    assert json.loads(json.dumps(told)) == told == DOCUMENTS[name]()
    for node in nodes(told):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/$defs/") in told["$defs"]
        if isinstance(node.get("pattern"), str):
            re.compile(node["pattern"])


def test_every_packaged_profile_and_default_satisfies_it() -> None:
    for name in catalogue.profiles():
        said = yaml.safe_load((data("profiles") / f"{name}.yaml").read_text("utf-8"))
        assert wrong("values", said.get("values", {})) == [], name
    for component in catalogue.components().values():
        assert wrong("values", component.overlay.tree.get("values", {})) == [], component.name


def files(kind: str) -> list[Path]:
    found = [*(data("profiles") / "topologies").glob("*.yaml")] if kind == "Mesh" else []
    found += [path for path in CASES.rglob("*.yaml") if f"kind: {kind}\n" in path.read_text("utf-8")]
    return [path for path in sorted(found) if not (path.parent / "refused.txt").exists()]


@pytest.mark.parametrize(("name", "kind"), [("operator", "IstioOperator"), ("mesh", "Mesh")])
def test_every_example_satisfies_it(name: str, kind: str) -> None:
    for path in files(kind):
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            if isinstance(document, dict) and document.get("kind") == kind:
                assert wrong(name, document) == [], path


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("values", {"pilot": {"traceSamplin": 1}}, "traceSamplin"),
        ("values", {"pilot": {"traceSampling": "1"}}, "traceSampling"),
        ("values", {"pilot": {"tolerations": [{"effect": "NoSchedul"}]}}, "tolerations"),
        ("values", {"meshConfig": {"defaultConfig": {"tracing": {"zipkn": {}}}}}, "meshConfig"),
        ("values", {"revision": "A"}, "revision"),
        ("operator", {"kind": "IstioOperator"}, "apiVersion: required"),
        ("operator", {"spec": {"components": {"pilot": {"k8s": {"replicaCount": "2"}}}}}, "spec"),
        ("mesh", {"spec": {"clusters": {}}}, "clusters"),
    ],
)
def test_what_loading_refuses_it_refuses(name: str, said: dict[str, Any], told: str) -> None:
    assert any(told in each for each in wrong(name, said))


def test_secrets_are_marked() -> None:
    secret = [node for node in nodes(SCHEMAS["values"]) if node.get("writeOnly")]
    assert secret


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_loading_accepts_it_accepts(data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(FIELDS))
    value: Any = data.draw(of_field(field))
    for step in reversed(field.path[1:]):
        value = {step: value}
    assert wrong("values", value) == []
