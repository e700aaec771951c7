"""The steps that make tags lead somewhere, and those that take tags away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.labels import TAG
from meshctl.model.objects import Object
from meshctl.model.observation import Observation
from meshctl.model.plan import Apply, Change, Delete, Phase, Plan
from meshctl.model.tag import DEFAULT
from meshctl.stages.planning.kinds import by_rank
from meshctl.stages.planning.plan import applying, with_waits
from meshctl.stages.planning.tags import INJECTOR, serves_unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.model.manifest import Part
    from meshctl.model.objects import Ref
    from meshctl.model.tag import Tag

_NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}
_STILL = {"namespaceSelector": _NEVER, "objectSelector": _NEVER}
"""Selectors that select nothing, in the words that istioctl gives an injector that must keep still."""


def pointing(
    cluster: str, parts: Sequence[Part], live: Mapping[Ref, Object], *, seconds: float = 300.0
) -> Plan:
    """The steps that make tags lead to a control plane. A tag that is there is changed in place.

    Args:
        cluster: name of the cluster.
        parts: from `rendering.tag.tag_part`.
        live: all webhook configurations, and live objects of `parts`.
        seconds: budget of the wait until istiod has put its CA there.

    Returns:
        The Services, then the webhooks, then the wait, then whatever other injector serves namespaces
        labelled `istio-injection: enabled` is put to rest: pods that start in between are injected
        by one of the two. Records are left alone: a tag is not part of a release. Empty when all is so.
    """
    seen = Observation(cluster, "", objects=live)
    sent = tuple(applying(parts, seen, {}, take_over=True))
    desired = {obj.ref for part in parts for obj in part.objects}
    resting: tuple[Phase, ...] = ()
    if any(obj.labels.get(TAG) == DEFAULT for part in parts for obj in part.objects):
        steps = tuple(_resting(live, desired))
        resting = (Phase("Let the former default injector rest", steps),) if steps else ()
    if not sent and not resting:
        return Plan(cluster)
    return Plan(cluster, (*with_waits(parts, sent, seconds), *resting))


def _resting(live: Mapping[Ref, Object], desired: set[Ref]) -> Iterator[Apply]:
    """Injectors that would serve the unnamed beside the tag `default`; they keep what else they have."""
    for ref, obj in sorted(live.items()):
        if ref in desired or TAG in obj.labels or not serves_unnamed(obj):
            continue
        entries = obj.at("webhooks", ())
        still = [{"name": each["name"], **_STILL} for each in entries]
        changes = tuple(
            Change(f"webhooks[name={each['name']}].{field}", each.get(field), selector)
            for each in entries
            for field, selector in _STILL.items()
        )
        content = {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name},
            "webhooks": still,
        }
        yield Apply("tag", Object(content), obj, changes, take_over=True)


def after(plan: Plan, configurations: Iterable[Object]) -> tuple[Object, ...]:
    """Mutating webhook configurations as they will be once a plan of `pointing` is done."""
    known = {each.ref: each for each in configurations}
    for step in plan.steps:
        if isinstance(step, Apply) and step.ref.kind == INJECTOR:
            is_whole = TAG in step.object.labels
            known[step.ref] = step.object if is_whole or not step.live else _rested(step.live)
    return tuple(known[ref] for ref in sorted(known) if ref.kind == INJECTOR)


def _rested(injector: Object) -> Object:
    entries = [{**each, **_STILL} for each in injector.at("webhooks", ())]
    return Object({**injector.content, "webhooks": entries})


def removing(cluster: str, tags: Sequence[Tag]) -> Plan:
    """The steps that remove tags: webhooks before the Services that stand for them."""
    part = {ref: f"tag/{tag.name}" for tag in tags for ref in tag.refs}
    return Plan(
        cluster,
        tuple(
            Phase(f"Remove {what}", tuple(Delete(part[ref], ref, "the tag is removed") for ref in refs))
            for what, refs in by_rank(part, reverse=True)
        ),
    )
