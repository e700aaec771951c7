"""From a definition to a CustomResourceDefinition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from meshctl.crds.schema import Array, Boolean, IntOrString, Map, Number, Object, Text
from meshctl.crds.shared import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.crds.schema import Column, Kind, Rule, Schema, Version

LABELS = {"app": "istio-pilot", "chart": "istio", "heritage": "Tiller", "release": "istio"}
"""What upstream's own file carries; an installer puts its labels in their place."""


def root(kind: Kind) -> Object:
    """What an object of `kind` holds beside apiVersion, kind and metadata."""
    return Object(doc=kind.doc, fields={"spec": kind.spec, "status": STATUS})


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition (apiextensions.k8s.io/v1) of `kind`."""
    singular = kind.name.lower()
    names: dict[str, Any] = {
        "categories": ["istio-io", kind.group.replace(".", "-")],
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.resource,
        "singular": singular,
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.crd,
            "labels": dict(sorted({**LABELS, **kind.labels}.items())),
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [served(kind, version) for version in kind.versions],
        },
    }


def served(kind: Kind, version: Version) -> dict[str, Any]:
    """One entry of `spec.versions`."""
    entry: dict[str, Any] = {"name": version.name, "served": True, "storage": version.stored}
    if kind.columns:
        entry["additionalPrinterColumns"] = [printed(column) for column in kind.columns]
    entry["subresources"] = {"status": {}}
    entry["schema"] = {"openAPIV3Schema": openapi(root(kind))}
    return entry


def printed(column: Column) -> dict[str, Any]:
    """One entry of `additionalPrinterColumns`."""
    return {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.doc}


def openapi(schema: Schema) -> dict[str, Any]:
    """The structural OpenAPI schema of a node; every call makes new dicts, free to be changed."""
    node: dict[str, Any] = {"description": schema.doc} if schema.doc else {}
    node.update(limits(schema))
    if schema.accepts_null:
        node["nullable"] = True
    rules = list(all_rules(schema))
    if rules:
        node["x-kubernetes-validations"] = rules
    return node


def limits(schema: Schema) -> dict[str, Any]:
    """What the node's own kind contributes."""
    match schema:
        case Text():
            return {"type": "string", **text_limits(schema)}
        case Number():
            bounds = given(format=schema.format, minimum=schema.smallest, maximum=schema.largest)
            return {"type": schema.type, **bounds}
        case Boolean():
            return {"type": "boolean"}
        case IntOrString():
            either = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
            return {**either, **given(pattern=schema.pattern)}
        case Array():
            return {"type": "array", "items": openapi(schema.items), **array_limits(schema)}
        case Map():
            bounds = given(minProperties=schema.fewest, maxProperties=schema.most)
            return {"type": "object", "additionalProperties": openapi(schema.values), **bounds}
        case Object():
            return {"type": "object", **object_limits(schema)}
        case _:
            assert_never(schema)


def text_limits(text: Text) -> dict[str, Any]:
    """Enumeration, pattern, format and lengths."""
    return given(
        enum=[choice.value for choice in text.choices],
        pattern=text.pattern,
        format=text.format,
        minLength=text.shortest,
        maxLength=text.longest,
    )


def array_limits(array: Array) -> dict[str, Any]:
    """Sizes, and the keys by which server-side apply merges."""
    node = given(minItems=array.fewest, maxItems=array.most)
    if array.keys:
        node["x-kubernetes-list-type"] = "map"
        node["x-kubernetes-list-map-keys"] = list(array.keys)
    return node


def object_limits(record: Object) -> dict[str, Any]:
    """Fields, those that must be there, and those that exclude each other."""
    node = given(
        properties={name: openapi(field) for name, field in record.fields.items()},
        required=[name for name, field in record.fields.items() if field.mandatory],
    )
    groups = [one_of(names) for names in record.oneofs]
    if len(groups) == 1:
        node["oneOf"] = groups[0]
    elif groups:
        node["allOf"] = [{"oneOf": group} for group in groups]
    if record.open:
        node["x-kubernetes-preserve-unknown-fields"] = True
    return node


def one_of(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A protobuf oneof in OpenAPI: none of the names, or just one."""
    alone: list[dict[str, Any]] = [{"required": [name]} for name in names]
    return [{"not": {"anyOf": [{"required": [name]} for name in names]}}, *alone]


def all_rules(schema: Schema) -> Iterator[dict[str, str]]:
    """CEL rules: groups of which one may be set, then the node's own."""
    if isinstance(schema, Object):
        for names in schema.exclusive:
            total = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
            yield {"rule": f"{total} <= 1", "message": f"set at most one of {', '.join(names)}"}
    for rule in schema.rules:
        yield said(rule)


def said(rule: Rule) -> dict[str, str]:
    """A rule as the API server takes it."""
    return {"rule": rule.cel, "message": rule.message}


def given(**limits: Any) -> dict[str, Any]:
    """The limits that were set."""
    return {name: value for name, value in limits.items() if value or value == 0}
