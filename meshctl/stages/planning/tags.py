"""Revision tags: whom they lead to, and that an install never moves one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.model.labels import REVISION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.objects import Object, Ref

COMPONENT = "tag"
_UNNAMED = "default"


def leads_elsewhere(obj: Object, revision: str) -> bool:
    """Whether a tag's object leads to another revision than this one; empty is the unnamed one."""
    return obj.labels.get(REVISION, _UNNAMED) != (revision or _UNNAMED)


def without_taken(desired: Manifest, live: Mapping[Ref, Object], revision: str) -> Manifest:
    """What is desired, without the tag that another revision has.

    The first control plane gets the tag `default`; one that comes to stand beside it does not take it,
    as that would change which istiod serves every namespace that names no revision.
    """

    def is_taken(part: Part) -> bool:
        return part.component == COMPONENT and any(
            obj.ref in live and leads_elsewhere(live[obj.ref], revision) for obj in part.objects
        )

    return replace(desired, parts=tuple(part for part in desired.parts if not is_taken(part)))
