"""The YAML of objects that a user may want back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.stages.rendering import emit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.objects import Object

_SERVERS = frozenset(
    {"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields"}
    | {"resourceVersion", "selfLink", "uid"}
)
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def dump(objects: Iterable[Object]) -> str:
    """Objects as YAML documents that can be applied again, sorted, without what the server filled in."""
    return emit.dump(clean(obj) for obj in sorted(objects, key=lambda each: each.ref))


def clean(obj: Object) -> dict[str, Any]:
    """An object as its user wrote it: without status and what the API server filled in."""
    meta = {key: value for key, value in obj.content["metadata"].items() if key not in _SERVERS}
    notes = {key: value for key, value in meta.pop("annotations", {}).items() if key != _APPLIED}
    meta |= {"annotations": notes} if notes else {}
    rest = {key: value for key, value in obj.content.items() if key not in ("metadata", "status")}
    head = {"apiVersion": rest.pop("apiVersion"), "kind": rest.pop("kind"), "metadata": meta}
    return {**head, **rest}
