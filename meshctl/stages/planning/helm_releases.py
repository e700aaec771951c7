"""Helm's own records: what a release is called, and what it holds."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.model.labels import HELM_RELEASE
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.model.objects import Object

RECORDS = "owner=helm"
"""Label of the Secrets (or ConfigMaps) that Helm keeps its releases in."""
_NAMESPACE = f"{HELM_RELEASE.removesuffix('-name')}-namespace"


@dataclass(frozen=True, order=True)
class HelmRelease:
    """A release of Helm's, in all its revisions.

    Attributes:
        name: of the release.
        namespace: where it is kept.
        records: the Secrets or ConfigMaps of its revisions, oldest first.
        objects: what its latest revision holds.
        is_readable: whether that could be read.
    """

    name: str
    namespace: str
    records: tuple[Ref, ...]
    objects: tuple[Ref, ...] = ()
    is_readable: bool = True


def named(objects: Iterable[Object]) -> frozenset[tuple[str, str]]:
    """The releases that objects say they are part of, as `(namespace, name)`."""
    return frozenset(
        (obj.annotations.get(_NAMESPACE, obj.ref.namespace), obj.annotations[HELM_RELEASE])
        for obj in objects
        if obj.annotations.get(HELM_RELEASE)
    )


def releases(records: Iterable[Object], wanted: frozenset[tuple[str, str]]) -> tuple[HelmRelease, ...]:
    """The releases that are wanted, from Helm's records.

    Args:
        records: Secrets or ConfigMaps labelled `RECORDS`.
        wanted: as `named` gives them.
    """
    found: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for obj in records:
        key = (obj.ref.namespace, obj.labels.get("name", ""))
        if key in wanted:
            found[key].append(obj)
    return tuple(_release(*key, found[key]) for key in sorted(found))


def _release(namespace: str, name: str, records: Sequence[Object]) -> HelmRelease:
    ordered = sorted(records, key=_revision)
    refs = tuple(each.ref for each in ordered)
    try:
        objects = tuple(_objects(ordered[-1], namespace))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error):
        return HelmRelease(name, namespace, refs, is_readable=False)
    return HelmRelease(name, namespace, refs, objects)


def _revision(record: Object) -> int:
    text = record.labels.get("version", "")
    return int(text) if text.isdigit() else 0


def _objects(record: Object, namespace: str) -> list[Ref]:
    """Names in the manifest of a record: JSON, compressed, as base64 text (once more in a Secret)."""
    data: Any = record.at("data.release", "")
    if record.ref.kind == "Secret":
        data = base64.b64decode(data)
    content = base64.b64decode(data)
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return [_ref(each, namespace) for each in _documents(json.loads(content)["manifest"])]


def _documents(text: str) -> list[dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return [each for each in yaml.load_all(text, loader) if each]
    except yaml.YAMLError as fault:
        raise ValueError(str(fault)) from fault


def _ref(content: dict[str, Any], namespace: str) -> Ref:
    """The name of an object; one that says no namespace is in the release's, if it is in one at all."""
    meta = content["metadata"]
    return Ref(content["apiVersion"], content["kind"], meta.get("namespace") or namespace, meta["name"])
