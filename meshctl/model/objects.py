"""Kubernetes objects as plain data, and what names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP = re.compile(r"\[(\d+)\]|((?:\\.|[^.\[\]])+)")
"""One step of a dotted path: an index in its first group, or a key, still escaped, in its second."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one object of one cluster; `namespace` is empty for what belongs to the whole cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def place(self) -> str:
        """`namespace/name`, or the bare name of a cluster-wide object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        """`Deployment istio-system/istiod`, the form people read."""
        return f"{self.kind} {self.place}"


@dataclass(frozen=True)
class Object:
    """A Kubernetes object. `content` is its JSON form and is never changed in place."""

    content: Mapping[str, Any]

    @cached_property
    def ref(self) -> Ref:
        """What names this object."""
        meta = self.content.get("metadata", {})
        return Ref(
            self.content["apiVersion"], self.content["kind"], meta.get("namespace", ""), meta.get("name", "")
        )

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels, possibly none."""
        return self.at("metadata.labels", {})  # type: ignore[no-any-return]  # JSON

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations, possibly none."""
        return self.at("metadata.annotations", {})  # type: ignore[no-any-return]  # JSON

    @property
    def uid(self) -> str:
        """UID given by the API server; empty for an object that was never sent."""
        return self.at("metadata.uid", "")  # type: ignore[no-any-return]  # JSON

    @property
    def owners(self) -> frozenset[str]:
        """UIDs of the objects that own it, possibly none."""
        return frozenset(each.get("uid", "") for each in self.at("metadata.ownerReferences", ()))

    @property
    def is_leaving(self) -> bool:
        """Whether its deletion was asked for."""
        return bool(self.at("metadata.deletionTimestamp"))

    def __repr__(self) -> str:
        """Its name only: the content of a Secret must not end up in a log by way of a `repr`."""
        meta = self.content.get("metadata") or {}
        return f"Object({self.content.get('kind', '')} {meta.get('namespace', '')}/{meta.get('name', '')})"

    def at(self, path: str, default: Any = None) -> Any:
        r"""The value at a dotted path such as `spec.ports[0].name`; `\.` escapes a dot in a key.

        A missing step and an explicit null both give `default`.
        """
        here: Any = self.content
        for index, key in STEP.findall(path):
            if index and isinstance(here, list) and int(index) < len(here):
                here = here[int(index)]
            elif key and isinstance(here, dict):
                here = here.get(key.replace("\\.", "."))
            else:
                return default
            if here is None:
                return default
        return here


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind as a cluster serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()
    """What the API server allows on it, such as `list`; empty where unknown."""

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]
