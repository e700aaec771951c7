"""The plans of a rotation, one cluster each; what is as it should be is not touched again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from meshctl.model.plan import Await, Condition, Delete, Phase, Plan, Provide, Relabel, Restart
from meshctl.model.recipe import Copied
from meshctl.model.rotation import Scope
from meshctl.stages.trusting.cacerts import ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.objects import Ref
    from meshctl.model.plan import Step
    from meshctl.model.recipe import Recipe
    from meshctl.model.rotation import Rotation, Seat
    from meshctl.stages.rotating.live import Live

PART: Final = "trust"
OURS: Final = "meshctl"
_READS: Final = "meshctl.dev/authority"


def trusting(rotation: Rotation, seat: Seat, live: Live) -> Plan:
    """Have the proxies of a cluster trust the roots of this stage; its authority stays as it is."""
    if live.trusted == rotation.trusted(seat):
        return Plan(seat.cluster)
    return _plan(seat, _phase("Trust other roots", _rooted(rotation, seat, live, "other roots to trust")))


def told_again(rotation: Rotation, seat: Seat, live: Live) -> Plan:
    """Write the same roots in other words, so that istiod tells every proxy that listens.

    istiod compares the text, and a proxy that is told of roots asks for a new certificate at once.
    """
    step = _rooted(rotation, seat, live, "the same roots written anew, so that proxies renew")
    return _plan(seat, _phase("Have proxies renew", step))


def has_new(rotation: Rotation, seat: Seat, live: Live) -> bool:
    """Whether a cluster has its new authority."""
    return live.root == rotation.signer if rotation.scope is Scope.ROOT else live.mark != seat.before


def issuing(rotation: Rotation, seat: Seat, live: Live, kept: Live | None, recipe: Recipe) -> Plan:
    """Put the present authority aside, and make a new one by `recipe` in its place."""
    if has_new(rotation, seat, live):
        return Plan(seat.cluster)
    new = Provide(PART, ref(seat.namespace), recipe, "a new intermediate", live=True)
    issue = _phase("Issue a new authority", new)
    if kept is not None and kept.mark == live.mark:
        return _plan(seat, issue)
    aside = Copied(seat.mesh, seat.cluster, ref(seat.namespace), seat.kept, live.text.decode(), is_ours=True)
    keep = Provide(PART, seat.kept, aside, "the old intermediate, to return to", live=kept is not None)
    return _plan(seat, _phase("Keep the old authority", keep), issue)


def returning(rotation: Rotation, seat: Seat, live: Live) -> Plan:
    """Put the authority that was kept back in its place."""
    if not seat.before or not has_new(rotation, seat, live):
        return Plan(seat.cluster)
    roots = rotation.certificates(rotation.trusted(seat))
    place, text = ref(seat.namespace), live.rewritten(roots)
    recipe = Copied(seat.mesh, seat.cluster, seat.kept, place, text, is_ours=seat.is_ours)
    step = Provide(PART, place, recipe, "the old intermediate again", live=True)
    return _plan(seat, _phase("Put the old authority back", step))


def ending(seat: Seat, kept: Live | None) -> Plan:
    """Take away what was kept to return to."""
    if kept is None:
        return Plan(seat.cluster)
    step = Delete(PART, seat.kept, "nothing returns to it any more")
    return _plan(seat, _phase("Forget the old authority", step))


def hurrying(seat: Seat, live: Live, pods: Iterable[Ref]) -> Plan:
    """Have kubelets bring a changed Secret to istiods now, not within a minute or two.

    They look at the volumes of a pod when anything of it changes; the label says nothing else.
    """
    word = hashlib.sha256(live.mark.encode() + live.text).hexdigest()[:16]
    steps = (
        Relabel(PART, each, ((_READS, word),), "so that its Secret is read anew") for each in sorted(pods)
    )
    return _plan(seat, _phase("Have istiod read its authority anew", *steps))


def restarting(seat: Seat, istiods: Iterable[Ref], moment: str, seconds: float) -> Plan:
    """Have istiods start anew, as they do not take new roots while they run."""
    refs = sorted(istiods)
    restarts = (Restart(PART, each, moment, "to read its authority anew") for each in refs)
    waits = (Await(PART, each, Condition.READY, seconds) for each in refs)
    return _plan(seat, _phase("Start istiod anew", *restarts), _phase("Wait for istiod", *waits))


def _rooted(rotation: Rotation, seat: Seat, live: Live, why: str) -> Provide:
    place = ref(seat.namespace)
    text = live.rewritten(rotation.certificates(rotation.trusted(seat)))
    recipe = Copied(seat.mesh, seat.cluster, place, place, text, is_ours=live.by == OURS)
    return Provide(PART, place, recipe, why, live=True)


def _phase(title: str, *steps: Step) -> Phase:
    return Phase(title, steps)


def _plan(seat: Seat, *phases: Phase) -> Plan:
    return Plan(seat.cluster, tuple(each for each in phases if each.steps))
