from __future__ import annotations

import pytest
import yaml

from meshctl.registry import data
from meshctl.stages.settings import catalogue


def test_the_sandbox_is_recognised_by_its_node_and_by_nothing_else() -> None:
    (sandbox,) = [each for each in catalogue.detections() if each.platform == "sandbox"]
    assert sandbox.labels == ("meshctl.dev/sandbox",)
    assert (sandbox.versions, sandbox.groups) == ((), ())


def test_every_profile_and_platform_has_a_summary() -> None:
    for name in catalogue.profiles():
        assert catalogue.profile(name)[-1].summary.endswith(".")


@pytest.mark.parametrize("name", sorted(catalogue.components()))
def test_a_components_file_says_only_what_is_read(name: str) -> None:
    told = yaml.safe_load((data("templates") / name / "component.yaml").read_text("utf-8"))
    known = {"summary", "label", "chart", "root", "own", "apart", "scopes", "needs", "yields"}
    known |= {"values", "variants", "each", "like"}
    assert told.keys() <= known
    for said in (*told.get("values", {}).values(), *told.get("each", {}).values()):
        assert said.keys() <= {
            "type",
            "default",
            "doc",
            "unit",
            "values",
            "minimum",
            "maximum",
            "pattern",
            "of",
            "keys",
            "feature",
        }
        assert said.keys() >= {"type", "doc"}
