"""How the API server reads an object: which lists it merges by which fields, what equals what."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.model.quantity import amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.model.objects import Object, Ref

SECRET = "(secret)"  # noqa: S105 - what is shown in place of one

# Lists that server-side apply merges, and the fields that tell their elements apart; from the
# `x-kubernetes-list-map-keys` of the API server's OpenAPI. All other lists are replaced as a whole.
_MERGED: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "listeners": ("name",),
    "matchConditions": ("name",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "variables": ("name",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "webhooks": ("name",),
}
_PORTS = {
    "Service": "port",
    **dict.fromkeys(("DaemonSet", "Deployment", "Pod", "StatefulSet"), "containerPort"),
}
SETS = frozenset({"finalizers"})
"""Lists of text that are merged element by element."""
_CUSTOM = re.compile(r"(^|\.)istio\.io$")  # kinds whose lists and maps the server merges in no special way

_QUANTITY_MAPS = frozenset({"limits", "requests", "hard", "capacity"})
_QUANTITIES = frozenset({"averageValue", "divisor", "sizeLimit", "storage", "value"})
_NUMBER_OR_TEXT = frozenset({"maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort"})

_SERVERS = frozenset({"status", "apiVersion", "kind"})
_SERVERS_META = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What is special about a kind; `custom` is a kind of Istio's own."""

    kind: str
    custom: bool

    @classmethod
    def of(cls, ref: Ref) -> Shape:
        """The shape of an object."""
        return cls(ref.kind, bool(_CUSTOM.search(ref.group)))

    def keys(self, name: str) -> tuple[str, ...]:
        """The fields that tell the elements of a merged list apart; none when it is replaced whole."""
        if name == "ports" and self.kind in _PORTS:
            return (_PORTS[self.kind], "protocol")
        if self.custom or (name == "imagePullSecrets" and self.kind == "ServiceAccount"):
            return ()
        return _MERGED.get(name, ())

    def equal(self, name: str, path: str, one: Any, other: Any) -> bool:
        """Whether the server takes two leaves for the same: figures may be written in several ways."""
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        if one == other:
            return True
        if self.custom or isinstance(one, dict | list) or isinstance(other, dict | list):
            return False
        if name in _NUMBER_OR_TEXT and str(one) == str(other):
            return True
        if name in _QUANTITIES or any(step in _QUANTITY_MAPS for step in path.split(".")[-2:-1]):
            number = amount(one)
            return number is not None and number == amount(other)
        return False


def named_key(name: str) -> tuple[str, ...]:
    """The fields that tell elements of a list of this name apart, where the kind does not matter."""
    return _MERGED.get(name, ("name",))


def plain(obj: Object) -> dict[str, Any]:
    """The content that an apply decides about: no status, none of the server's own metadata."""
    content = {key: value for key, value in obj.content.items() if key not in _SERVERS}
    meta = content.get("metadata") or {}
    content["metadata"] = {key: value for key, value in meta.items() if key not in _SERVERS_META}
    if isinstance(content.get("stringData"), dict):
        text = content.pop("stringData")
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        content["data"] = {**(content.get("data") or {}), **encoded}
    return content


def is_servers(path: str) -> bool:
    """Whether a place is the server's own to write."""
    first, _, rest = path.partition(".")
    return first in _SERVERS or (first == "metadata" and rest in _SERVERS_META)


def key_values(item: Mapping[str, Any], keyed: tuple[str, ...]) -> dict[str, Any]:
    """The fields that tell an element apart, with their values."""
    return {key: item.get(key, "TCP" if key == "protocol" else None) for key in keyed}


def matching(elements: Sequence[Any], keys: Mapping[str, Any]) -> Any:
    """The element with these keys; None when there is none."""
    dicts = (each for each in elements if isinstance(each, dict))
    return next((each for each in dicts if key_values(each, tuple(keys)) == keys), None)


def shown(keys: Mapping[str, Any]) -> str:
    """An element's keys within a path: `[80/TCP]`."""
    return "/".join(str(value) for value in keys.values())


def joined(path: str, key: str) -> str:
    r"""A path with one more key, a dot in which reads `\.`."""
    escaped = key.replace(".", "\\.")
    return f"{path}.{escaped}" if path else escaped
