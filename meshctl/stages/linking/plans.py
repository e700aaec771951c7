"""The steps that link two clusters, renew the link, and take it away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.model.labels import COMPONENT, MESH
from meshctl.model.link import LinkKind
from meshctl.model.objects import Object
from meshctl.model.observation import Observation
from meshctl.model.plan import Apply, Await, Condition, Delete, Phase, Plan, Provide, Restart
from meshctl.model.recipe import Access
from meshctl.stages.linking.secrets import PART, holder
from meshctl.stages.linking.standing import fault, next_holder, stale
from meshctl.stages.planning.kinds import by_rank
from meshctl.stages.planning.plan import applying

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from meshctl.model.link import Link
    from meshctl.model.manifest import Part
    from meshctl.model.objects import Ref
    from meshctl.stages.linking.reader import Reader
    from meshctl.stages.linking.standing import Seen, Wanted

_DAY = 24 * 3600
SECONDS = 300.0
"""Budget of each wait."""


@dataclass(frozen=True)
class Leftover:
    """What a link leaves in a cluster, and nobody needs any more.

    Attributes:
        made: objects that were made for links alone.
        lent: namespaces of others that we had said something of, as they are.
    """

    made: tuple[Ref, ...] = ()
    lent: tuple[Object, ...] = ()


def access(
    wanted: Wanted,
    seen: Seen,
    reader: Reader,
    live: Mapping[Ref, Object],
    now: datetime,
    *,
    owner: str,
    renew: bool = False,
) -> Plan:
    """What has to be in the cluster that is read, before there can be a token for it.

    What is there of the account and its roles is left as it is: an install looks after it.

    Args:
        wanted: what the link is to be.
        seen: what there is of it.
        reader: the account with all that it stands on.
        live: what there is of that.
        now: this moment.
        owner: the mesh of the cluster that is read.
        renew: whether the token is replaced though nothing is wrong with it.
    """
    phases = [*_making(reader.parts, live)]
    if renew or fault(wanted, seen, now):
        ref, there = next_holder(wanted, seen)
        if not there:
            made = holder(ref, wanted.link, wanted.account, owner, long_lived=wanted.tokens.long_lived)
            phases.append(Phase("Apply what the token hangs on", (Apply(PART, made),)))
    return Plan(wanted.link.reads, tuple(phases))


def linking(
    wanted: Wanted,
    seen: Seen,
    home: Sequence[Part],
    live: Mapping[Ref, Object],
    now: datetime,
    *,
    renew: bool = False,
) -> Plan:
    """The remote secret, beside the istiod that reads by it.

    An istiod takes a new one as it comes; the one with its configuration it reads when it starts.

    Args:
        wanted: what the link is to be.
        seen: what there is of it.
        home: the namespace of that istiod, as an install makes it.
        live: that namespace, and Deployments of istiods that would have to start again, as they are there.
        now: this moment.
        renew: whether the token is replaced though nothing is wrong with it.
    """
    link = wanted.link
    phases: list[Phase] = []
    why = fault(wanted, seen, now) or ("it is renewed" if renew else "")
    if why:
        step = Provide(PART, wanted.secret, recipe(wanted, seen), why, live=seen.secret is not None)
        phases = [*_making(home, live), Phase(f"Provide access to {link.reads}", (step,))]
    # While the former token is there, a run may have been stopped before istiod was started again.
    if link.kind is LinkKind.CONFIG and (why or stale(seen)):
        phases += _restarted(sorted(ref for ref in live if ref.kind == "Deployment"), now)
    return Plan(link.server, tuple(phases))


def recipe(wanted: Wanted, seen: Seen) -> Access:
    """What the remote secret is made from, when its turn comes."""
    link, tokens = wanted.link, wanted.tokens
    bound, _ = next_holder(wanted, seen)
    seconds = 0 if tokens.long_lived else tokens.days * _DAY
    return Access(
        wanted.mesh, link.reads, wanted.account, wanted.server, bound, seconds, wanted.secret, link.key
    )


def retiring(link: Link, seen: Seen) -> Plan:
    """The end of tokens that were replaced: they go with what they hang on."""
    return _deleting(link.reads, "Revoke tokens that were replaced", stale(seen), "another token is in use")


def unlinking(link: Link, seen: Seen, leftover: Leftover) -> Plan:
    """The end of a link on the side of the istiod that reads; `leftover` is what it leaves there."""
    there = () if seen.secret is None else (seen.secret.ref,)
    ending = _deleting(link.server, f"End access to {link.reads}", there, "it is unlinked")
    return _and_leftover(ending, leftover)


def releasing(link: Link, seen: Seen, leftover: Leftover) -> Plan:
    """The end of a link on the side of the cluster that is read; `leftover` is what it leaves there."""
    holders = sorted(each.ref for each in seen.holders)
    revoking = _deleting(link.reads, f"Revoke the tokens of {link.server}", holders, "it is unlinked")
    return _and_leftover(revoking, leftover)


def _and_leftover(first: Plan, leftover: Leftover) -> Plan:
    phases = list(first.phases)
    for what, refs in by_rank(leftover.made, reverse=True):
        phases += _deleting(first.cluster, f"Remove {what}", refs, "it was made for links alone").phases
    if leftover.lent:
        steps = tuple(Apply(PART, _bare(each), each) for each in leftover.lent)
        phases.append(Phase("Take back what was said of namespaces", steps))
    return Plan(first.cluster, tuple(phases))


def _bare(obj: Object) -> Object:
    """What is sent of an object so that all goes that we said of it."""
    return Object(
        {**{key: obj.content[key] for key in ("apiVersion", "kind")}, "metadata": {"name": obj.ref.name}}
    )


def _making(parts: Sequence[Part], live: Mapping[Ref, Object]) -> Iterator[Phase]:
    """The phases that make what is not there; what is leaving has to be gone first."""
    wanted = [replace(part, objects=tuple(_lacking(part, live))) for part in parts]
    waits = tuple(
        Await(part.name, obj.ref, Condition.GONE, SECONDS)
        for part in wanted
        for obj in part.objects
        if obj.ref in live and live[obj.ref].is_leaving
    )
    if waits:
        yield Phase("Wait until what is being removed is gone", waits)
    yield from applying(wanted, Observation("", "", objects=live), {}, take_over=False)


def _lacking(part: Part, live: Mapping[Ref, Object]) -> Iterator[Object]:
    """What of a part is to be sent: all that is not there, and of a namespace what istiod reads of it.

    A namespace that others made is not marked as the mesh's: it would go with the mesh. One of another mesh
    is left as that says.
    """
    for obj in part.objects:
        there = live.get(obj.ref)
        if there is None or there.is_leaving:
            yield obj
        elif obj.ref.kind == "Namespace" and MESH not in there.labels:
            yield _without_marks(obj)
        elif obj.ref.kind == "Namespace" and there.labels[MESH] == obj.labels[MESH]:
            yield obj


def _without_marks(obj: Object) -> Object:
    """An object without what says whose it is."""
    meta = {key: value for key, value in obj.content["metadata"].items() if key != "labels"}
    labels = {key: value for key, value in obj.labels.items() if key not in (MESH, COMPONENT)}
    return Object({**obj.content, "metadata": {**meta, **({"labels": labels} if labels else {})}})


def _restarted(workloads: Iterable[Ref], now: datetime) -> Iterator[Phase]:
    why = "it reads its configuration by another token"
    for ref in workloads:
        moment = now.isoformat(timespec="seconds")
        yield Phase("Start istiod again", (Restart("istiod", ref, moment, why),))
        yield Phase("Wait for istiod", (Await("istiod", ref, Condition.READY, SECONDS),))


def _deleting(cluster: str, title: str, refs: Iterable[Ref], why: str) -> Plan:
    steps = tuple(Delete(PART, ref, why) for ref in refs)
    return Plan(cluster, (Phase(title, steps),) if steps else ())
