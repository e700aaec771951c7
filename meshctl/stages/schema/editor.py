"""The schemas of our input files as JSON Schema (draft 2020-12), for editors that check while one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from meshctl.crds.kubernetes import MADE_TEXT
from meshctl.crds.schema import Array, Boolean, IntOrString, Map, Number, Object, Text
from meshctl.stages.fleet import meshshape
from meshctl.stages.schema import typed
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings import catalogue, operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.crds.schema import Schema
    from meshctl.stages.fleet.meshshape import Shape
    from meshctl.stages.settings.catalogue import Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SNAKE = "^[a-z0-9]+(_[a-zA-Z0-9]+)+$"
"""How protobuf spells fields in its own files; istiod reads them too."""
_PORTS = r"^(\*|([0-9]{1,5}|\*)?( *, *([0-9]{1,5}|\*)?)*)$"
_RANGES = r"^(\*|[0-9a-fA-F.:/]+( *, *[0-9a-fA-F.:/]+)*)?$"
_SIMPLE: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "text": {"type": ["string", "number"]},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "amount": {"type": ["integer", "string"], "pattern": "^[0-9]+%$", "minimum": 0},
    "ports": {"type": "string", "pattern": _PORTS},
    "cidrs": {"type": "string", "pattern": _RANGES},
    "scalar": {"type": ["string", "number", "boolean"]},
    "map": {"type": "object"},
    "list": {"type": "array"},
    "any": {},
}


def values() -> dict[str, Any]:
    """A file of values."""
    definitions: dict[str, Any] = {}
    return _document("Values of meshctl and istioctl", _values(definitions), definitions)


def istio_operator() -> dict[str, Any]:
    """A file with an IstioOperator."""
    definitions: dict[str, Any] = {}
    body = _closed(
        {
            "apiVersion": {"const": operator.API_VERSION},
            "kind": {"const": "IstioOperator"},
            "metadata": {"type": "object"},
            "spec": _spec(operator.SPEC, definitions),
            "status": {},
        }
    )
    return _document("IstioOperator", {**body, "required": ["apiVersion", "kind"]}, definitions)


def mesh() -> dict[str, Any]:
    """A mesh.yaml."""
    definitions: dict[str, Any] = {}
    return _document("A mesh of meshctl", _shape(meshshape.shape(), definitions), definitions)


DOCUMENTS = {"values": values, "operator": istio_operator, "mesh": mesh}
"""What there is a schema of, by the name of the file."""


def _document(title: str, body: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    known = {"$defs": {name: definitions[name] for name in sorted(definitions)}} if definitions else {}
    return {"$schema": DIALECT, "title": title, **body, **known}


def _closed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(fields), "additionalProperties": False}


def _or_null(node: dict[str, Any]) -> dict[str, Any]:
    """The same, where null says nothing."""
    if not node.keys() - {"description"}:
        return node
    about = {"description": node.pop("description")} if "description" in node else {}
    return {**about, "anyOf": [node, {"type": "null"}]}


def _values(definitions: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for field in sorted(schema().paths(), key=lambda each: each.path):
        here = tree
        for step in field.path[1:-1]:
            here = here.setdefault(step, {})
        here[field.path[-1]] = field
    return _group(tree, definitions)


def _group(tree: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return _closed(
        {
            key: _or_null(
                _group(below, definitions) if isinstance(below, dict) else _field(below, definitions)
            )
            for key, below in tree.items()
        }
    )


def _field(field: Field, definitions: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"description": field.doc}
    if field.default is not None:
        about["default"] = field.default
    if field.choices:
        return {**about, "enum": list(field.choices)}
    known = typed.type_of(field.type, field.of)
    if known is not None:
        node = _node(known.schema, definitions, needed=False, protobuf=known.protobuf)
        return (
            {**node, **about}
            if not isinstance(known.schema, Text)
            else {**about, "anyOf": [node, {"const": ""}]}
        )
    node = dict(_SIMPLE[field.type])
    limits = {"minimum": field.minimum, "maximum": field.maximum, "pattern": field.pattern or None}
    node |= {name: limit for name, limit in limits.items() if limit is not None}
    if field.of:
        node["items" if field.type == "list" else "additionalProperties"] = dict(_SIMPLE[field.of])
    return {**node, **about}


def _node(
    node: Schema, definitions: dict[str, Any], *, needed: bool = True, protobuf: bool = False
) -> dict[str, Any]:
    """A declared type.

    Args:
        node: the type.
        definitions: where types with a name are kept, to be referred to.
        needed: whether fields that must be there must be in this file.
        protobuf: whether fields and numbers may be spelled as protobuf's JSON does.
    """
    about: dict[str, Any] = {"description": node.doc} if node.doc else {}
    if node.secret:
        about["writeOnly"] = True
    match node:
        case Text() if node.choices and not protobuf:
            return about | {"enum": [*_text(node)["enum"], ""]}  # empty is as good as not given
        case Text():
            return about | _text(node)
        case Number():
            limits = {"minimum": node.smallest, "maximum": node.largest}
            kind: Any = [node.type, "string"] if protobuf else node.type
            return about | {"type": kind} | {name: at for name, at in limits.items() if at is not None}
        case Boolean():
            return about | {"type": "boolean"}
        case IntOrString():
            pattern = {"pattern": node.pattern} if node.pattern else {}
            return about | {"type": ["number", "string"]} | pattern
        case Array():
            return about | {"type": "array", "items": _node(node.items, definitions, protobuf=protobuf)}
        case Map():
            below = _or_null(_node(node.values, definitions, protobuf=protobuf))
            keys = {"propertyNames": _text(node.keys)} if node.keys else {}
            if node.type_name in MADE_TEXT:
                below = {"type": ["string", "number", "boolean", "null"]}
            return about | {"type": "object", "additionalProperties": below} | keys
        case Object() if node.type_name and needed:
            if node.type_name not in definitions:
                definitions[node.type_name] = {}
                definitions[node.type_name] = _object(node, definitions, needed, protobuf)
            return about | {"$ref": f"#/$defs/{node.type_name}"}
        case Object():
            return _object(node, definitions, needed, protobuf)
        case _:
            assert_never(node)


def _text(node: Text) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "string"}
    if node.choices:
        return {"enum": [choice.value for choice in node.choices]}
    limits = {"pattern": node.pattern, "minLength": node.shortest, "maxLength": node.longest}
    return said | {name: limit for name, limit in limits.items() if limit}


def _object(node: Object, definitions: dict[str, Any], needed: bool, protobuf: bool) -> dict[str, Any]:
    about: dict[str, Any] = {"description": node.doc} if node.doc else {}
    if node.open:
        return about | {"type": "object"}
    fields = {
        name: _or_null(_node(below, definitions, protobuf=protobuf)) for name, below in node.fields.items()
    }
    told = about | _closed(fields)
    required = [name for name, below in node.fields.items() if below.mandatory]
    if required and needed:
        told["required"] = required
    if protobuf:
        told["patternProperties"] = {_SNAKE: {}}
    return told


def _spec(known: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """What may stand in an IstioOperator; `operator.SPEC` says how it is written."""
    if known is operator.SPEC:
        fields = {name: _spec(below, definitions) for name, below in operator.SPEC.items()}
        fields["values"] = _or_null(_values(definitions))
        fields["meshConfig"] = _or_null(_mesh_config(definitions))
        fields["profile"] = {"type": "string", "examples": list(catalogue.profiles())}
        return _closed(fields)
    if isinstance(known, operator.Declared):
        kind = typed.type_of(known.name, known.of)
        assert kind is not None
        return _or_null(_node(kind.schema, definitions, needed=False))
    if isinstance(known, dict):
        return _or_null(_closed({name: _spec(below, definitions) for name, below in known.items()}))
    if isinstance(known, list):
        return _or_null({"type": "array", "items": _spec(known[0], definitions)})
    kinds = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object"}
    names = sorted({kinds[each] for each in known if each in kinds})
    return _or_null({"type": names[0] if len(names) == 1 else names}) if names else {}


def _mesh_config(definitions: dict[str, Any]) -> dict[str, Any]:
    kind = typed.type_of("MeshConfig")
    assert kind is not None
    return _node(kind.schema, definitions, needed=False, protobuf=True)


def _part(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What an IstioOperator takes under this name, too."""
    match name:
        case "values":
            return _values(definitions)
        case "meshConfig":
            return _mesh_config(definitions)
        case _:
            return _spec(operator.SPEC["components"], definitions)


def _shape(said: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    """A place of a mesh.yaml."""
    about: dict[str, Any] = {"description": said.doc}
    if said.choices:
        return about | {"enum": list(said.choices)}
    match said.type:
        case "map":
            required = [name for name, below in said.keys.items() if below.required]
            body = _closed({name: _shape(below, definitions) for name, below in said.keys.items()})
            return about | body | ({"required": required} if required else {})
        case "list":
            assert said.of is not None
            return about | {"type": "array", "items": _shape(said.of, definitions)}
        case "boolean":
            return about | {"type": "boolean"}
        case "port":
            return about | {"type": "integer", "minimum": 1, "maximum": 65535}
        case "days":
            return about | {"type": "integer", "minimum": 1, "maximum": 36500}
        case "profile":
            return about | {"enum": list(catalogue.profiles())}
        case "platform":
            return about | {"enum": list(catalogue.platforms())}
        case "values" | "meshConfig" | "components":
            if said.type not in definitions:
                definitions[said.type] = {}
                definitions[said.type] = _part(said.type, definitions)
            return about | {"$ref": f"#/$defs/{said.type}"}
        case "text" | "address":
            return about | {"type": "string"} | ({"pattern": said.pattern} if said.pattern else {})
        case _:
            assert_never(said.type)
