"""`values`: what is set, where it is from, what may be set, and never a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.conftest import Said

    Run = Callable[..., Said]

TOKEN = "meshConfig.defaultConfig.tracing.lightstep.accessToken=hush-hush"
ADDRESS = "meshConfig.defaultConfig.tracing.lightstep.address=a:1"


def test_the_winner_and_what_it_beat_are_named_with_their_lines(meshctl: Run) -> None:
    result = meshctl("values", "--profile", "demo", "--explain", "pilot.traceSampling")
    first, second = result.out.splitlines()
    assert first.startswith("100  profiles/demo.yaml:")
    assert second.startswith("  over 1  templates/istiod/component.yaml:")


def test_explanations_are_data_too(meshctl: Run) -> None:
    result = meshctl("values", "-o", "json", "--explain", "global.proxy.resources.limits")
    (found,) = json.loads(result.out)
    assert found["value"] == {"cpu": "2000m", "memory": "1024Mi"}
    assert found["file"] == "templates/istiod/component.yaml"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("pilot.traceSamplin", "did you mean 'pilot.traceSampling'?"),
        ("pilto.traceSampling", "did you mean 'pilot'?"),
        ("meshConfig.accessLogFil", "did you mean 'meshConfig.accessLogFile'?"),
        ("components.pilto", "did you mean 'components.pilot'?"),
        ("pilot.resources.limit", "did you mean 'pilot.resources.limits'?"),
        ("traceSampling", "there is pilot.traceSampling"),
    ],
)
def test_a_path_that_nobody_could_set_is_refused_with_the_nearest(meshctl: Run, path: str, told: str) -> None:
    result = meshctl("values", "--explain", path)
    assert result.code == 2
    assert told in result.err


@pytest.mark.parametrize("path", ["pilot.env.ANYTHING", "pilot.podLabels.mine", "meshConfig.accessLogFile"])
def test_what_may_be_set_and_is_not_is_said_to_be_set_by_nobody(meshctl: Run, path: str) -> None:
    result = meshctl("values", "--explain", path)
    assert (result.code, result.out) == (0, f"nobody sets {path}\n")


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("path", ["", "meshConfig", "meshConfig.defaultConfig.tracing.lightstep.accessToken"])
def test_a_token_is_not_shown(meshctl: Run, output: str, path: str) -> None:
    asked = ["--explain", path] if path else []
    result = meshctl("values", "-o", output, "--set", TOKEN, "--set", ADDRESS, *asked)
    assert result.code == 0
    assert "hush" not in result.out + result.err
    assert "(secret)" in result.out


@pytest.mark.parametrize("document", ["values", "operator", "mesh"])
def test_schemas_for_editors_are_printed(meshctl: Run, document: str) -> None:
    result = meshctl("values", "--schema", document)
    assert json.loads(result.out)["$schema"].endswith("2020-12/schema")
