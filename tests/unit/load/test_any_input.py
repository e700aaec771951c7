"""Whatever is written into a file is taken or refused with a place; nothing falls over."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.crds.schema import Array, Map, Object, Schema
from meshctl.errors import ConfigError, ProblemsError
from meshctl.model.mesh import Inputs
from meshctl.stages.schema.schema import schema
from meshctl.stages.schema.typed import type_of
from meshctl.stages.settings import operator
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "a", "1", "true", "*", "25%", "1Gi", "a=b", "10.0.0.0/8", "10s", "1e99"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["name", "type", "a", "$patch"]), inner)
    ),
    max_leaves=4,
)  # fmt: skip
FIELDS = sorted(schema().paths(), key=lambda each: each.path)


@st.composite
def nearly(draw: Any, node: Schema, depth: int = 0) -> Any:
    """Values of the right outline with anything in some of its places."""
    if depth > 4 or draw(st.integers(0, 5)) == 0:
        return draw(ANYTHING)
    match node:
        case Object() if node.fields:
            names = draw(st.lists(st.sampled_from(sorted(node.fields)), max_size=3, unique=True))
            return {name: draw(nearly(node.fields[name], depth + 1)) for name in names}
        case Array():
            return [draw(nearly(node.items, depth + 1)) for _ in range(draw(st.integers(0, 2)))]
        case Map():
            return {"a": draw(nearly(node.values, depth + 1))}
        case _:
            return draw(ANYTHING)


@st.composite
def said(draw: Any) -> dict[str, Any]:
    """A spec with one value, or one change of a component."""
    if draw(st.booleans()):
        field = draw(st.sampled_from(FIELDS))
        known = type_of(field.type, field.of)
        value: Any = draw(nearly(known.schema) if known else ANYTHING)
        for step in reversed(field.path):
            value = {step: value}
        return dict(value)
    key = draw(st.sampled_from(sorted(operator.KUBERNETES)))
    place = operator.declared(("components", "pilot", "k8s", key))
    change = draw(nearly(place) if place is not None else ANYTHING)
    return {"components": {"pilot": {"k8s": {key: change}}}}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(said())
def test_anything_is_taken_or_refused_at_its_place(spec: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": operator.API_VERSION, "kind": "IstioOperator", "spec": spec})
    try:
        asked = load(Inputs(files=("-",)), stdin=text)
        resolve(asked, asked.mesh.clusters[0])
    except ConfigError as refusal:
        found = refusal.problems if isinstance(refusal, ProblemsError) else (refusal,)
        assert all(each.where is not None and each.message for each in found)
