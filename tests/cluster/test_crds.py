"""Our CustomResourceDefinitions in a real API server.

Wrong objects are made from the definitions themselves: for every limit of every field one object that
breaks this limit alone. None of them must get in, and the API server must name the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from meshctl.crds import crds, kinds
from meshctl.crds.schema import Array, Boolean, IntOrString, Kind, Map, Number, Object, Schema, Text
from meshctl.errors import FailedError
from meshctl.model.objects import Object as KubernetesObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.ports import Cluster

pytestmark = pytest.mark.cluster

MINOR = "1.32"
WATCH_SECONDS = 30.0


@dataclass(frozen=True)
class Wrong:
    """An object that breaks one limit, and the field that the API server should name."""

    content: dict[str, Any]
    field: str
    why: str


@dataclass(frozen=True)
class Place:
    """A node of a definition within an object: `put` builds the spec around a value for it."""

    schema: Schema
    field: str
    put: Callable[[Any], Any]


def right(schema: Schema) -> Any:
    """The smallest value that a node accepts."""
    match schema:
        case Text():
            return right_text(schema)
        case Number():
            return max(schema.smallest or 1, 1)
        case Boolean():
            return True
        case IntOrString():
            return 1
        case Array():
            return [right(schema.items)] * (schema.fewest or 1)
        case Map():
            return {"80": right(schema.values)}  # both a label key and a port
        case Object():
            return {name: right(field) for name, field in schema.fields.items() if field.mandatory}


def right_text(text: Text) -> str:
    """Text that satisfies the rules we have: a duration, an address, or a letter."""
    if text.choices:
        return text.choices[0].value
    rules = " ".join(rule.cel for rule in text.rules)
    if "duration(self)" in rules:
        return "5s"
    if "url(self)" in rules:
        return "https://a.example"
    return "" if "self.size() == 0" in rules else "a"


def places(place: Place) -> Iterator[Place]:
    """A place and every place within it."""
    yield place
    match place.schema:
        case Array(items=items):
            yield from places(Place(items, f"{place.field}[0]", lambda value: place.put([value])))
        case Map(values=values):
            yield from places(Place(values, f"{place.field}.80", lambda value: place.put({"80": value})))
        case Object(fields=fields):
            least = right(place.schema)
            for name, field in fields.items():

                def put(value: Any, name: str = name) -> Any:
                    return place.put({**least, name: value})

                yield from places(Place(field, f"{place.field}.{name}", put))
        case _:
            pass


def wrongs(schema: Schema) -> Iterator[tuple[str, str, Any]]:
    """Broken limit, field below the node that is named, and a value that breaks the limit."""
    match schema:
        case Text():
            yield from wrong_texts(schema)
        case Number():
            if schema.smallest is not None:
                yield "too small", "", schema.smallest - 1
            if schema.largest is not None:
                yield "too large", "", schema.largest + 1
        case Array(items=items, keys=keys):
            if keys:
                yield "said twice", "[1]", [right(items)] * 2
            if schema.fewest:
                yield "too few", "", []
            if schema.most is not None:
                yield "too many", "", [right(items)] * (schema.most + 1)
        case Map(values=values):
            if schema.fewest:
                yield "too few", "", {}
            if schema.most is not None:
                yield "too many", "", {f"a{number}": right(values) for number in range(schema.most + 1)}
        case Object():
            yield from wrong_objects(schema)
        case Boolean() | IntOrString():
            pass
    yield "wrong type", "", "text" if isinstance(schema, Number | Boolean | Object | Map) else {"a": 1}


def wrong_texts(text: Text) -> Iterator[tuple[str, str, Any]]:
    """Texts that break a limit."""
    if text.choices:
        yield "unknown value", "", "NO_SUCH"
    if text.longest is not None:
        yield "too long", "", "a" * (text.longest + 1)
    if text.shortest:
        yield "too short", "", ""
    if text.pattern:
        yield "pattern", "", "-!-"
    if any("duration(self)" in rule.cel for rule in text.rules):
        yield "no duration", "", "1us"


def wrong_objects(record: Object) -> Iterator[tuple[str, str, Any]]:
    """Objects that lack a field or have two that exclude each other."""
    least = right(record)
    for name in least:
        yield "missing", f".{name}", {other: value for other, value in least.items() if other != name}
    for group in (*record.oneofs, *record.exclusive):
        if len(group) > 1:
            yield "two of one", "", {**least, **{name: right(record.fields[name]) for name in group[:2]}}


def wrong_resources(kind: Kind) -> Iterator[Wrong]:
    """Objects of a kind that each break one limit."""
    head = {
        "apiVersion": f"{kind.group}/{kind.versions[0].name}",
        "kind": kind.name,
        "metadata": {"name": "wrong", "namespace": "default"},
    }
    for place in places(Place(kind.spec, "spec", lambda value: value)):
        for why, below, value in wrongs(place.schema):
            yield Wrong({**head, "spec": place.put(value)}, place.field + below, why)


def refused(cluster: Cluster, wrong: Wrong) -> str:
    """Empty when the API server refuses an object and names its field, else what it did."""
    try:
        cluster.create(KubernetesObject(wrong.content))
    except FailedError as error:
        named = any(wrong.field in line for line in error.details)
        return "" if named else f"{wrong.content['kind']} {wrong.field} {wrong.why}: {error.details}"
    return f"{wrong.content['kind']} {wrong.field} {wrong.why}: accepted"


def established(cluster: Cluster) -> set[str]:
    """Names of our definitions that the API server serves."""
    return {
        found.ref.name
        for found in cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        if any(
            state["type"] == "Established" and state["status"] == "True"
            for state in found.at("status.conditions", [])
        )
    }


def apply_all(cluster: Cluster) -> None:
    """Apply every definition and wait until each is served."""
    sent = {cluster.apply(KubernetesObject(crd)).ref.name for crd in crds(MINOR)}
    watch = cluster.watch("apiextensions.k8s.io/v1", "CustomResourceDefinition", seconds=WATCH_SECONDS)
    for _ in watch:
        if sent <= established(cluster):
            break
    watch.close()
    assert sent - established(cluster) == set()


def test_every_definition_is_established(cluster: Cluster) -> None:
    apply_all(cluster)


def test_an_object_that_breaks_a_limit_is_refused_at_its_field(cluster: Cluster) -> None:
    apply_all(cluster)
    outcomes = [refused(cluster, wrong) for kind in kinds(MINOR) for wrong in wrong_resources(kind)]
    assert len(outcomes) > 1000
    assert [outcome for outcome in outcomes if outcome] == []
