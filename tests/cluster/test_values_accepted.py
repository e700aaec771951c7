"""What the schema of values accepts, a real API server accepts too.

Values are drawn from the declarations, rendered, and sent as a server-side dry run. What only a cluster can
know is left out: which namespaces and address families it has.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st

from meshctl.errors import ConfigError, MeshctlError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.stages.rendering.render import render
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.strategies import of_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from meshctl.ports import Cluster
    from meshctl.stages.settings.catalogue import Field

pytestmark = pytest.mark.cluster

OF_THE_WORLD = re.compile(
    r"profile|compatibilityVersion|global\.platform|global\.istioNamespace|cni\.provider"
    r"|.*\.(namespace|istioNamespace|ipFamilyPolicy|ipFamilies)"
)
"""Settings whose values have to fit a cluster, not only a schema."""
FIELDS = tuple(
    field for field in sorted(schema().paths(), key=lambda each: each.path)
    if not OF_THE_WORLD.fullmatch(".".join(field.path[1:]))
)  # fmt: skip
EVERYTHING = ("components.cni.enabled=true", "components.ztunnel.enabled=true")
SLICE = 40
LONG = 1200


@st.composite
def some_values(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[tuple[Field, Any]]:
    """One to four settings and a value for each."""
    fields = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique_by=lambda each: each.path))
    return [(field, draw(of_field(field))) for field in fields]


@pytest.fixture(scope="module")
def accepted(cluster: Cluster, going: list[Ref]) -> Iterator[Callable[[Object], str]]:
    """Why the API server refuses an object; empty when it does not. The same object is asked about once."""
    ref = Ref("v1", "Namespace", "", "istio-system")
    made = cluster.get(ref) is None
    if made:
        cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ref.name}}))
    known: dict[str, str] = {}

    def asked(obj: Object) -> str:
        text = json.dumps(obj.content, sort_keys=True)
        if text not in known:
            try:
                cluster.apply(obj, dry_run=True, take_over=True)
                known[text] = ""
            except MeshctlError as refusal:
                known[text] = f"{refusal.message} {' '.join(refusal.details)}"
        return known[text]

    yield asked
    if made:
        cluster.delete(ref)
        going.append(ref)


def rendered(folder: Path, said: Mapping[str, Any]) -> list[Object]:
    """What an install would send for a file of values.

    Raises:
        ConfigError: the values are not accepted.
    """
    file = folder / "values.yaml"
    file.write_text(json.dumps(said), "utf-8")
    asked = load(Inputs(profile="demo", files=(str(file),), sets=EVERYTHING))
    return list(render(resolve(asked, asked.mesh.clusters[0]), owner="mesh").objects)


def tree(said: list[tuple[Field, Any]]) -> dict[str, Any]:
    """Settings as a file of values has them."""
    found: dict[str, Any] = {}
    for field, value in said:
        here = found
        for step in field.path[1:-1]:
            here = here.setdefault(step, {})
        here[field.path[-1]] = value
    return found


def test_what_the_schema_accepts_the_api_server_accepts(
    accepted: Callable[[Object], str],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> None:
    folder = tmp_path_factory.mktemp("values")
    long = request.config.getoption("--long")

    @seed(4)
    @settings(
        max_examples=LONG if long else SLICE,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(said=some_values())
    def holds(said: list[tuple[Field, Any]]) -> None:
        try:
            objects = rendered(folder, tree(said))
        except ConfigError as refusal:
            event(f"refused: {refusal.code}")
            return
        event("accepted")
        refused = {str(each.ref): why for each in objects if (why := accepted(each))}
        assert refused == {}, tree(said)

    holds()
