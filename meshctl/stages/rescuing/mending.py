"""The steps that mend webhooks nobody answers, and the pods that show it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.labels import REVISION
from meshctl.model.objects import Object
from meshctl.model.plan import Apply, Await, Change, Delete, Phase, Plan, Restore
from meshctl.model.rescue import Remedy
from meshctl.model.tag import DEFAULT
from meshctl.model.webhook import called
from meshctl.stages.injecting.selection import INJECT
from meshctl.stages.planning.injection import injectors
from meshctl.stages.planning.kinds import WEBHOOKS
from meshctl.stages.planning.tags import INJECTOR, serves_unnamed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from meshctl.model.objects import Ref
    from meshctl.model.plan import Step
    from meshctl.model.rescue import Blocker

_PART = "rescue"


def tags_to_move(found: Sequence[Blocker], live: Mapping[Ref, Object]) -> tuple[str, ...]:
    """Tags that are made to lead elsewhere, by name.

    It is those whose webhooks nobody answers, and `default` where the injector goes that served whatever
    names no revision without a tag.
    """
    tags = {each.tag for each in found if each.remedy is Remedy.REPOINT}
    if any(
        each.remedy is Remedy.REMOVE and not each.tag and serves_unnamed(live[each.ref]) for each in found
    ):
        tags.add(DEFAULT)
    return tuple(sorted(tags))


def left(found: Sequence[Blocker], live: Mapping[Ref, Object]) -> dict[Ref, Object]:
    """What of the live objects is there once what must go has gone."""
    gone = {each.ref for each in found if each.remedy is Remedy.REMOVE}
    return {ref: obj for ref, obj in live.items() if ref not in gone}


def mending(
    cluster: str,
    found: Sequence[Blocker],
    live: Mapping[Ref, Object],
    recorded: Mapping[Ref, Object],
    moves: Plan,
) -> Plan:
    """The steps that let a cluster make pods again.

    Webhook configurations go first: the API server asks no webhook about them, whatever it is that
    others stop. Services follow; they answer nothing here, and may be what somebody else's webhook
    stops.

    Args:
        cluster: name of the cluster.
        found: from `blockers.blockers`.
        live: webhook configurations.
        recorded: Services that our records hold.
        moves: the steps that move tags, from `tagging.pointing`.
    """
    first: list[Step] = []
    moved = {step.ref for step in moves.steps if isinstance(step, Apply)}
    for each in found:
        # A tag whose configuration another mesh's namespace has named has a new one by now.
        is_replaced = each.remedy is Remedy.REPOINT and each.ref not in moved
        if each.remedy is Remedy.REMOVE or is_replaced:
            first.append(Delete(_PART, each.ref, each.why))
        elif each.remedy is Remedy.TRIM:
            first.append(_trimmed(each, live[each.ref]))
    rest = [step for step in moves.steps if not isinstance(step, Await)]
    first += [step for step in rest if isinstance(step, Apply) and step.ref.kind in WEBHOOKS]
    services = [step for step in rest if isinstance(step, Apply) and step.ref.kind not in WEBHOOKS]
    services += [Apply(_PART, recorded[ref]) for ref in _missing(found, live, recorded)]
    waits = tuple(step for step in moves.steps if isinstance(step, Await))
    phases = (
        Phase("Mend webhooks", tuple(first)),
        Phase("Wait for the CA bundle", waits),
        Phase("Mend Services", tuple(services)),
    )
    return Plan(cluster, tuple(phase for phase in phases if phase.steps))


def _trimmed(blocker: Blocker, obj: Object) -> Restore:
    entries = obj.at("webhooks", ())
    staying = [each for each in entries if each.get("name") not in blocker.entries]
    changes = tuple(Change(f"webhooks[name={name}]", blocker.why, None) for name in blocker.entries)
    meta = {key: value for key, value in obj.content["metadata"].items() if key != "managedFields"}
    return Restore(_PART, Object({**obj.content, "metadata": meta, "webhooks": staying}), obj, changes)


def _missing(
    found: Sequence[Blocker], live: Mapping[Ref, Object], recorded: Mapping[Ref, Object]
) -> Iterator[Ref]:
    wanted = {
        ref
        for each in found
        if each.remedy is Remedy.RESTORE
        for hook in live[each.ref].at("webhooks", ())
        if hook.get("name") in each.entries and (ref := called(hook))
    }
    yield from sorted(wanted & recorded.keys())


def probes(
    found: Sequence[Blocker], live: Mapping[Ref, Object], namespaces: Collection[Object], most: int = 10
) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Namespaces and labels of pods that these webhooks refused, one for each way that leads to one.

    Args:
        found: the webhooks.
        live: webhook configurations as they were.
        namespaces: of the cluster.
        most: how many at most.
    """
    wanted: dict[tuple[str, ...], tuple[str, Mapping[str, str]]] = {}
    for each in found:
        obj = live[each.ref]
        if obj.ref.kind != INJECTOR:
            continue
        ways: tuple[Mapping[str, str], ...] = (
            {},
            {INJECT: "true"},
            {REVISION: each.tag or each.revision or DEFAULT},
        )
        for labels in ways:
            for namespace in namespaces:
                if not namespace.is_leaving and injectors([obj], namespace.labels, labels):
                    wanted[namespace.ref.name, *sorted(labels)] = (namespace.ref.name, labels)
                    break
    chosen = list(wanted.values())[:most]
    return tuple(chosen) or (("default", {}),)
