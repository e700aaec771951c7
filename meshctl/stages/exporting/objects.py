"""One file an object, in folders that are the parts of the manifest."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from meshctl.stages.planning.kinds import rank
from meshctl.stages.rendering.emit import block, dump

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.manifest import Part
    from meshctl.model.objects import Object

Files: TypeAlias = dict[str, str]
"""Text by path, relative to the folder that holds all; paths have slashes on every system."""

KUSTOMIZATION = "kustomization.yaml"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def files(part: Part) -> Files:
    """A file for each object of a part, in the order in which their kinds are sent."""
    ordered = sorted(part.objects, key=lambda each: (rank(each.ref.kind), each.ref))
    twice = Counter(_name(each) for each in ordered)
    found = {}
    for each in ordered:
        name = _name(each)
        if twice[name] > 1:
            name = f"{name}.{each.ref.namespace}"
        found[f"{folder(part)}/{name}.yaml"] = dump([each.content])
    return found


def folder(part: Part) -> str:
    """The folder of a part: its component's, and below it that of an instance."""
    return "/".join(_UNSAFE.sub("_", step).lstrip(".") or "_" for step in part.name.split("/", 1))


def _name(obj: Object) -> str:
    # What Kubernetes allows in some names, file systems do not: `system:node`.
    return _UNSAFE.sub("_", f"{obj.ref.kind.lower()}-{obj.ref.name}")


def kustomization(resources: Iterable[str]) -> str:
    """A kustomization of these files or folders, which keeps their order."""
    return block(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": list(resources),
            "sortOptions": {"order": "fifo"},
        }
    )
