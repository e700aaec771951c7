"""load → resolve → render on whole inputs; each folder of tests/cases/pipe is one.

`ask.yaml` holds the arguments of `Inputs`, and under `seen` what is known of the cluster. Files named there
stand beside it. `values.yaml` and `manifest.yaml`, or `refused.txt`, are what is expected. CRDs and the text
of injection templates have tests of their own and are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meshctl.errors import ConfigError, ProblemsError
from meshctl.model.mesh import Inputs
from meshctl.model.observation import Observation
from meshctl.stages.rendering.emit import block, dump
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.golden import Case, cases

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize("case", cases("pipe"), ids=str)
def test_each_station_of_the_pipe_gives_what_is_expected(
    case: Case, update: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.path)
    ask = dict(case.data("ask.yaml"))
    seen = Observation("cluster", **ask.pop("seen")) if "seen" in ask else None
    whole = ask.pop("install", {})
    inputs = Inputs(**{key: tuple(value) if isinstance(value, list) else value for key, value in ask.items()})
    try:
        asked = load(inputs)
        values = resolve(asked, asked.mesh.clusters[0], seen)
        manifest = render(values, **whole)
    except ConfigError as refusal:
        case.check("refused.txt", told(refusal), update=update)
        return
    case.check("values.yaml", block(values.own()), update=update)
    parts = [
        f"# {part.name}: needs {list(part.needs)}, ready {[str(ref) for ref in part.ready]}\n"
        + dump(
            shortened(each.content) for each in part.objects if each.ref.kind != "CustomResourceDefinition"
        )
        for part in manifest.parts
    ]
    case.check("manifest.yaml", "".join(parts), update=update)


def told(refusal: ConfigError) -> str:
    """An error as text, every problem of it."""
    problems = refusal.problems if isinstance(refusal, ProblemsError) else (refusal,)
    return "".join(
        f"{each.code}\n  {each.where}\n  {each.message}\n" + (f"  hint: {each.hint}\n" if each.hint else "")
        for each in problems
    )


def shortened(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object without the text of injection templates."""
    data = content.get("data") or {}
    if content["kind"] != "ConfigMap" or "config" not in data:
        return content
    config = yaml.safe_load(data["config"])
    config["templates"] = dict.fromkeys(config["templates"], "left out")
    return {**content, "data": {**data, "config": block(config)}}
