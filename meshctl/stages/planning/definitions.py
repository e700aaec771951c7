"""Definitions that a newer Istio brought stay: an older one would take fields from the users' resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from semver import Version as Number

from meshctl.stages.planning.kinds import DEFINITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.objects import Object, Ref
    from meshctl.model.release import Release

_BASE: Final = "base"
_VERSION: Final = "app.kubernetes.io/version"


def newest_kept(desired: Manifest, live: Mapping[Ref, Object], releases: Iterable[Release]) -> Manifest:
    """What is desired, with the definitions of a newer Istio that a release of ours has sent.

    Args:
        desired: the manifest of one revision.
        live: at least the live objects of that manifest and of the releases.
        releases: those whose objects may be in the cluster, of whichever revision.
    """
    asked = newest(desired)
    newer: dict[Ref, Object] = {}
    for obj in (obj for each in releases for obj in each.manifest.objects):
        sent = _version(obj)
        if asked and sent and sent > asked and obj.ref in live and _version(live[obj.ref]) == sent:
            newer[obj.ref] = obj
    if not newer:
        return desired
    parts = (_with(part, newer) if part.component == _BASE else part for part in desired.parts)
    return replace(desired, parts=tuple(parts))


def newest(manifest: Manifest) -> Number | None:
    """The Istio that the newest definitions of a manifest are of; None where it has none that say so."""
    return max((number for obj in manifest.objects if (number := _version(obj))), default=None)


def _with(part: Part, newer: Mapping[Ref, Object]) -> Part:
    own = {obj.ref for obj in part.objects}
    more = tuple(obj for ref, obj in sorted(newer.items()) if ref not in own)
    return replace(part, objects=(*more, *(newer.get(obj.ref, obj) for obj in part.objects)))


def _version(obj: Object) -> Number | None:
    """The Istio that a definition is of; None for other objects, and where it does not say."""
    told = obj.labels.get(_VERSION, "") if obj.ref.kind == DEFINITION else ""
    return Number.parse(told) if Number.is_valid(told) else None
