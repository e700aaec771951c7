"""Values of types that Kubernetes or Istio declare, held against the declarations.

A setting of such a type names it in its component.yaml: `type: Affinity`, or `type: list, of: Toleration`.
What a user says is looked at twice: each file and flag alone, where fields may be missing because another
file has them, and all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.crds.kubernetes import MADE_TEXT, is_map, knows, plain, shape
from meshctl.crds.schema import Array, Map, Object, Text
from meshctl.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.schema import Schema
    from meshctl.crds.structural import Path, Problem

_MESH = frozenset({"MeshConfig", "MeshNetworks"})
_SIMPLE = frozenset(
    {"string", "text", "integer", "number", "boolean", "amount", "ports", "cidrs", "scalar", "any"}
)
_CONTAINERS = frozenset({"list", "map"})


@dataclass(frozen=True)
class Type:
    """A declared type; what is `protobuf` may spell fields and numbers as protobuf's JSON does."""

    schema: Schema
    protobuf: bool = False


def form(name: str) -> str:
    """`map` or `list` for types whose values hold others; else the name itself."""
    if name in _SIMPLE or name in _CONTAINERS:
        return name
    return "map" if name in _MESH or is_map(name) else "string"


@cache
def type_of(name: str, of: str = "") -> Type | None:
    """The declared type of a setting; None where it has a simple one, or nothing is declared of its inside.

    Raises:
        KeyError: there is no such type.
    """
    if name in _CONTAINERS:
        below = type_of(of) if of and of not in _SIMPLE and of not in _CONTAINERS else None
        if below is None:
            return None
        inside = below.schema
        return replace(below, schema=Array(items=inside) if name == "list" else Map(values=inside))
    if name in _SIMPLE:
        return None
    if name in _MESH:
        from meshctl.crds import mesh_config

        return Type(mesh_config.MESH_CONFIG if name == "MeshConfig" else mesh_config.MESH_NETWORKS, True)
    if not knows(name):
        raise KeyError(name)
    return Type(shape(name))


def problems(
    known: Type, value: Any, *, name: str = "", partial: bool, sparse: bool = False
) -> Iterator[Problem]:
    """What is wrong with a value, with paths from it, as the user spelled them.

    Args:
        known: its type.
        value: as the user gave it; null stands for nothing, and empty text for a text not given.
        name: what messages call the value itself.
        partial: whether it is one file's share of a value: fields that are missing may be elsewhere.
        sparse: whether it is a flag's share, which may be one field of one item of a list.
    """
    from meshctl.crds.generate import openapi
    from meshctl.crds.protobuf_json import as_spelled, canonical
    from meshctl.crds.rules import broken
    from meshctl.crds.structural import problems as misfits

    if value in ("", {}, []):  # as good as not given
        return
    read = canonical(known.schema, value) if known.protobuf else plain(known.schema, value)
    told = _openapi(known) if isinstance(known.schema, Object) else openapi(known.schema)
    root = (name,) if name else ()
    found = [each for each in misfits(told, read, root) if not (partial and _may_be_elsewhere(each, sparse))]
    if not found:
        found = [*broken(known.schema, read, _rules(known), root, whole=not partial, whole_items=not sparse)]
    if not found and not partial and known.protobuf and _has_cel(told, read):
        from meshctl.crds.cel import judged

        found = list(judged(told, read).problems)
        root = ()
    for each in found:
        path = each.path[len(root) :]
        explained = _explained(known, replace(each, path=path))
        yield replace(explained, path=as_spelled(value, path) if known.protobuf else path)


@cache
def _openapi_of(name: str) -> Mapping[str, Any]:
    from meshctl.crds.generate import openapi

    known = type_of(name)
    assert known is not None
    return openapi(known.schema)


def _openapi(known: Type) -> Mapping[str, Any]:
    return _openapi_of(known.schema.type_name)


def _rules(known: Type) -> Mapping[str, Any]:
    if known.protobuf:
        from meshctl.crds.mesh_rules import RULES as MESH_RULES

        return MESH_RULES
    from meshctl.crds.kubernetes_rules import RULES

    return RULES


def _may_be_elsewhere(problem: Problem, sparse: bool) -> bool:
    within = any(isinstance(step, int) for step in problem.path)
    return problem.code == "missing-field" and (sparse or not within)


def _has_cel(told: Mapping[str, Any], value: Any) -> bool:
    """Whether a rule in CEL is about some part of the value."""
    if told.get("x-kubernetes-validations"):
        return True
    match value:
        case dict():
            fields, rest = told.get("properties", {}), told.get("additionalProperties") or {}
            return any(_has_cel(fields.get(name, rest), below) for name, below in value.items())
        case list():
            return any(_has_cel(told.get("items", {}), each) for each in value)
        case _:
            return False


def _explained(known: Type, problem: Problem) -> Problem:
    """A problem whose hint says what the type is, where the schema can only name a pattern."""
    node = node_at(known.schema, problem.path)
    if node is not None and node.secret:
        return replace(problem, message=f"{problem.path[-1]} is not what it should be", hint="")
    if problem.code == "wrong-value" and node is not None and "has to match" in problem.hint and node.doc:
        return replace(problem, hint=f"it is {node.doc}")
    if problem.code == "unknown-field" and known.schema.type_name == "MeshConfig":
        return replace(problem, hint=_elsewhere(known.schema, str(problem.path[-1])) or problem.hint)
    return problem


def _elsewhere(schema: Schema, name: str) -> str:
    """Where a field of the mesh configuration stands that was looked for at the wrong place."""
    from meshctl.crds.mesh_config import RESERVED

    if name in RESERVED and not (places := list(_places(schema, name, ()))):
        return "Istio has no such field any more; leave it out"
    places = list(_places(schema, name, ()))
    return f"there is {listed('.'.join(each) for each in places[:3])}" if places else ""


def _places(schema: Schema, name: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(schema, Object):
        for key, below in schema.fields.items():
            if key == name:
                yield (*path, key)
            if len(path) < 2:
                yield from _places(below, name, (*path, key))


def node_at(schema: Schema | None, path: Path) -> Schema | None:
    """What is declared of a place within a value; None where nothing is."""
    for step in path:
        match schema:
            case Object():
                schema = schema.fields.get(str(step))
            case Map():
                schema = schema.values
            case Array():
                schema = schema.items
            case _:
                return None
    return schema


def field_names(schema: Schema) -> tuple[str, ...] | None:
    """The fields that a declared map has; None where it has any."""
    return tuple(schema.fields) if isinstance(schema, Object) and not schema.open else None


def is_text(schema: Schema | None) -> bool:
    """Whether only text can stand there."""
    return isinstance(schema, Text)


def is_container(schema: Schema | None) -> bool:
    """Whether a list or a map stands there."""
    return isinstance(schema, (Array, Map, Object))


def makes_text(schema: Schema | None) -> bool:
    """Whether it is a map whose numbers, true and false templates turn into text."""
    return schema is not None and schema.type_name in MADE_TEXT
