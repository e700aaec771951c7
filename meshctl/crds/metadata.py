"""What the API server asks of every object's metadata."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshctl.crds.structural import Path, Problem, problems
from meshctl.model.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WORD = "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_PREFIX = re.compile(_SUBDOMAIN)
_NAME = re.compile(_WORD)
_ANNOTATIONS_MOST = 256 * 1024
"""Bytes of all annotations of an object together."""

_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_NUMBER: dict[str, Any] = {"type": "integer"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 253, "pattern": f"^{_SUBDOMAIN}$"},
        "generateName": {
            "type": "string",
            "maxLength": 253,
            "pattern": rf"^({_LABEL}\.)*[a-z0-9][-a-z0-9]*$",
        },
        "namespace": {"type": "string", "maxLength": 63, "pattern": f"^{_LABEL}$"},
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": 63, "pattern": f"^({_WORD})?$"},
        },
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    "apiVersion": _TEXT,
                    "kind": _TEXT,
                    "name": _TEXT,
                    "uid": _TEXT,
                    "controller": {"type": "boolean"},
                    "blockOwnerDeletion": {"type": "boolean"},
                },
            },
        },
        "managedFields": {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": True}},
        "creationTimestamp": _TIME,
        "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": _NUMBER,
        "generation": _NUMBER,
        "resourceVersion": _TEXT,
        "selfLink": _TEXT,
        "uid": _TEXT,
    },
}
"""ObjectMeta, as OpenAPI v3."""
_HINTS = {
    "name": "lower-case letters, digits, - and ., with a letter or digit at both ends",
    "generateName": "lower-case letters, digits, - and ., with a letter or digit first",
    "namespace": "up to 63 lower-case letters, digits and -, with a letter or digit at both ends",
    "labels": "up to 63 letters, digits, -, _ and ., with a letter or digit at both ends",
}


def metadata_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the metadata of an object; paths begin with `metadata`."""
    metadata = content.get("metadata")
    if metadata is None:
        metadata = {}
    for each in problems(SCHEMA, metadata, ("metadata",)):
        hint = _HINTS.get(str(each.path[1])) if each.code == "wrong-value" else None
        yield replace(each, hint=hint) if hint else each
    if not isinstance(metadata, dict):
        return
    if not metadata.get("name") and not metadata.get("generateName"):
        path = ("metadata", "name")
        yield Problem(
            path, "missing-field", "metadata has no 'name'", "set name, in lower case, such as my-rule"
        )
    for field in ("labels", "annotations"):
        below = metadata.get(field)
        for key in below if isinstance(below, dict) else ():
            yield from _key(key if field == "labels" else key.lower(), ("metadata", field, key))
    yield from _size(metadata.get("annotations"))


def _key(key: str, path: Path) -> Iterator[Problem]:
    """A label's or annotation's key: a name, with or without a domain before it."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (_PREFIX.fullmatch(prefix) and len(prefix) <= 253):
        what = f"the key {quoted(str(path[-1]))} has no domain before its slash"
        yield Problem(path, "wrong-value", what, "write it as in example.com/name")
    elif not (_NAME.fullmatch(name) and len(name) <= 63):
        what = f"the key {quoted(str(path[-1]))} is no name"
        yield Problem(path, "wrong-value", what, _HINTS["labels"])


def _size(annotations: Any) -> Iterator[Problem]:
    if not isinstance(annotations, dict):
        return
    size = sum(len(f"{key}{value}".encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_MOST:
        what = f"annotations have {size} bytes"
        yield Problem(("metadata", "annotations"), "wrong-value", what, f"at most {_ANNOTATIONS_MOST} fit")
