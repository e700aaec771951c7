"""Revision tags in a cluster: whom they lead to, and that an install never moves one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.model.labels import REVISION, TAG, installed_by
from meshctl.model.tag import DEFAULT, Tag
from meshctl.stages.planning.claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.objects import Object, Ref

INJECTOR = "MutatingWebhookConfiguration"
VALIDATOR = "ValidatingWebhookConfiguration"


def tags(objects: Iterable[Object]) -> tuple[Tag, ...]:
    """The tags among some objects of a cluster, by name, whoever made them.

    Where the objects of one tag differ, as a run cut short leaves them, its injection webhooks decide.
    """
    found: dict[str, dict[Ref, Object]] = defaultdict(dict)
    for obj in objects:
        if obj.labels.get(TAG):
            found[obj.labels[TAG]][obj.ref] = obj
    return tuple(_tag(name, list(found[name].values())) for name in sorted(found))


def _tag(name: str, objects: list[Object]) -> Tag:
    first = min(objects, key=lambda obj: (obj.ref.kind != INJECTOR, obj.ref))
    return Tag(name, revision_of(first), _made_by(first), tuple(sorted(obj.ref for obj in objects)))


def _made_by(obj: Object) -> str:
    """Who made a tag. `istioctl tag set` copies every label of the control plane, ours as well."""
    told = installed_by(obj)
    claims = Claims.of(obj)
    return "istioctl" if told == "meshctl" and claims.known and claims.ours is None else told


def revision_of(obj: Object) -> str:
    """The revision that an object of a control plane or a tag leads to; empty is the unnamed one."""
    revision = obj.labels.get(REVISION, DEFAULT)
    return "" if revision == DEFAULT else revision


def leads_elsewhere(obj: Object, revision: str) -> bool:
    """Whether a tag's object leads to another revision than this one; empty is the unnamed one."""
    return revision_of(obj) != (revision if revision != DEFAULT else "")


def is_given_away(live: Object, revision: str) -> bool:
    """Whether this is an object of a tag that another revision has got since this one made it."""
    return TAG in live.labels and leads_elsewhere(live, revision)


def held_back(desired: Manifest, live: Mapping[Ref, Object], revision: str) -> Manifest:
    """What is desired, without the tags that another revision has, in whichever part they are.

    The first control plane gets the tag `default`; one that comes to stand beside it does not take it,
    as that would change which istiod serves every namespace that names no revision. The same holds for
    the tags of `values.revisionTags`: only `tag set` and a promotion move what is there.

    Args:
        desired: the manifest of a control plane.
        live: at least the live objects of that manifest.
        revision: of that control plane; empty is the unnamed one.
    """
    wanted: dict[str, list[Object]] = defaultdict(list)
    for obj in desired.objects:
        if TAG in obj.labels and obj.ref in live:
            wanted[obj.labels[TAG]].append(live[obj.ref])
    taken = {name for name, objects in wanted.items() if _is_taken(objects, revision)}
    if any(serves_unnamed(obj) and leads_elsewhere(obj, revision) for obj in live.values()):
        taken.add(DEFAULT)
    if not taken:
        return desired
    parts = (_without(part, taken) for part in desired.parts)
    return replace(desired, parts=tuple(part for part in parts if part.objects))


def _is_taken(objects: list[Object], revision: str) -> bool:
    deciding = [obj for obj in objects if obj.ref.kind == INJECTOR] or objects
    return any(leads_elsewhere(obj, revision) for obj in deciding)


def _without(part: Part, taken: set[str]) -> Part:
    left = tuple(obj for obj in part.objects if obj.labels.get(TAG) not in taken)
    if len(left) == len(part.objects):
        return part
    gone = {obj.ref for obj in part.objects} - {obj.ref for obj in left}
    return replace(part, objects=left, ready=tuple(ref for ref in part.ready if ref not in gone))


def serves_unnamed(obj: Object) -> bool:
    """Whether these are injection webhooks for namespaces labelled `istio-injection: enabled`."""
    return obj.ref.kind == INJECTOR and any(
        rule.get("key") == "istio-injection" and "enabled" in (rule.get("values") or ())
        for entry in obj.at("webhooks", ())
        for rule in (entry.get("namespaceSelector") or {}).get("matchExpressions") or ()
        if str(entry.get("name", "")).endswith(".istio.io")
    )
