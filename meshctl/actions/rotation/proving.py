"""Waits of a rotation: until every istiod works with its authority, and every proxy is where it should be.

What does not come by itself is helped on: an istiod that does not read its authority anew is started anew, a
proxy that listens is told again, and the workload of one that does not is made anew.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, assert_never

from meshctl.actions.rotation.looking import (
    authority_of,
    deployments_of,
    istiods_behind,
    istiods_of,
    unpublished,
    witnesses,
)
from meshctl.errors import FailedError, StoppedError, listed
from meshctl.model.event import Done, Started, Waiting, Warned
from meshctl.model.rotation import Stage
from meshctl.stages.moving.moves import renewed
from meshctl.stages.moving.workloads import found
from meshctl.stages.rotating.helping import Anew, Halt, Leave, Tell, Tried, Wait, help_for
from meshctl.stages.rotating.judging import behind, last_end, named
from meshctl.stages.rotating.plans import PART, hurrying, restarting, told_again

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from meshctl.actions.rotation.looking import News, Run
    from meshctl.model.rotation import Rotation, Seat, Witness
    from meshctl.stages.rotating.helping import Workload

PAUSE: Final = 2.0
"""Seconds between two looks, at the least."""
RELOAD: Final = 150.0
"""Seconds after which an istiod has read a Secret anew: kubelets bring it within a minute or two."""
_SHARED: Final = "it carries the connections of its node; make it anew yourself when they may end"
_ISTIOD, _PROXIES = "istiod", "proxies"
_SHOWN: Final = {
    Stage.TRUST: "seen to trust old and new root",
    Stage.ISSUE: "",
    Stage.RENEW: "seen with a certificate of the right authority",
    Stage.DROP: "seen to trust no root that goes",
}


def istiods_on(run: Run, rotation: Rotation) -> Iterator[News]:
    """Wait until every istiod signs with its authority and hands out its roots, as each shows itself.

    Raises:
        FailedError: one does not in time, though it was started anew.
    """
    begun, told = run.world.clock.monotonic(), ""
    hurried, restarted = set[str](), set[str]()
    yield Started(_ISTIOD, "every istiod works with its authority")
    while late := {seat: lags for seat in rotation.seats if (lags := istiods_behind(run, rotation, seat))}:
        waited = run.world.clock.monotonic() - begun
        causes = [f"{seat.cluster}: {lag.why}" for seat, lags in late.items() for lag in lags]
        if waited > RELOAD + run.seconds:
            raise FailedError(
                "istiod-behind",
                f"istiods do not work with their authority: {listed(seat.cluster for seat in late)}",
                hint="see their logs; the same command continues",
                details=causes,
            )
        for seat, lags in late.items():
            if seat.cluster not in restarted and (waited > RELOAD or any(lag.is_stuck for lag in lags)):
                restarted.add(seat.cluster)
                now = run.world.clock.now().isoformat(timespec="seconds")
                yield from run.do(restarting(seat, deployments_of(run, seat), now, run.seconds))
            elif seat.cluster not in hurried:
                hurried.add(seat.cluster)
                yield from _hurried(run, seat)
        if causes[0] != told:
            told = causes[0]
            yield Waiting(_ISTIOD, listed(seat.cluster for seat in late), told)
        run.world.clock.sleep(PAUSE)
    yield Done(_ISTIOD, f"all of {listed(seat.cluster for seat in rotation.seats)} work with their authority")


def _hurried(run: Run, seat: Seat) -> Iterator[News]:
    """Have istiods of a cluster read their files now, where we may; without, it takes a minute or two."""
    if run.world.clusters[seat.cluster].allowed("patch", "", "pods", seat.namespace):
        pods = (pod.ref for pod in istiods_of(run, seat))
        yield from run.do(hurrying(seat, authority_of(run, seat), pods))


def proxies_on(run: Run, rotation: Rotation) -> Iterator[News]:
    """Wait until every proxy of every cluster is where this stage wants it, as each shows itself.

    Raises:
        StoppedError: some renew by themselves only, or only somebody else can make them anew.
        FailedError: some do not come in time, or cannot be asked.
    """
    clock, tried, told = run.world.clock, Tried(), ""
    since = clock.monotonic()
    yield Started(_PROXIES, f"every one is to be {_SHOWN[rotation.stage]}")
    while True:
        begun = clock.monotonic()
        seen = witnesses(run, rotation)
        late = [each for each in seen if behind(rotation, each)]
        obstacles = _obstacles(run, rotation, seen)
        helped = help_for(rotation, late, tried, begun - since) if late else Leave(())
        match helped:
            case Tell() | Anew():
                tried = yield from _helped(run, rotation, helped, tried)
                since = clock.monotonic()
                continue
            case Halt():
                raise _halted(rotation, helped.witnesses, tried, len(seen))
            case Leave() if not obstacles:
                left = helped.witnesses
                if left:
                    why = f"they trust the root that goes until they renew, {_renews(left)}"
                    yield Warned(_PROXIES, named(left), why)
                yield Done(_PROXIES, f"{len(seen) - len(left)} of {len(seen)}: {_SHOWN[rotation.stage]}")
                return
            case Leave() | Wait():
                causes = [f"{each.name}: {behind(rotation, each)}" for each in late] + obstacles
            case _:
                assert_never(helped)
        if begun - since > run.seconds:
            raise _too_late(rotation, causes)
        if (cause := f"{len(causes)} of {len(seen)}: {causes[0]}") != told:
            told = cause
            yield Waiting(_PROXIES, f"{len(causes)} of {len(seen)}", causes[0])
        clock.sleep(max(PAUSE, clock.monotonic() - begun))  # half of the time at most goes into looking


def _obstacles(run: Run, rotation: Rotation, seen: tuple[Witness, ...]) -> list[str]:
    """Why nothing may be concluded from those that were asked, however well they are."""
    told = [f"{each.name}: {each.unseen}" for each in seen if each.unseen and not rotation.lenient]
    if rotation.stage is Stage.TRUST:
        told += [
            f"{place}: the roots are not published there yet" for place in unpublished(run, rotation, seen)
        ]
    return told


def _helped(run: Run, rotation: Rotation, todo: Tell | Anew, tried: Tried) -> Generator[News, None, Tried]:
    """Do something about proxies that are behind; what was tried by then."""
    if isinstance(todo, Tell):
        for seat in rotation.seats:
            if todo.clusters & {*seat.serves}:
                yield from run.do(told_again(rotation, seat, authority_of(run, seat)))
        yield from istiods_on(run, rotation)
        return replace(tried, told=tried.told + 1)
    fixed: dict[Workload, str] = {}
    for name, workloads in groupby(todo.workloads, key=lambda each: each[0]):
        wanted = {ref for _, ref in workloads}
        riders = found(run.world.clusters[name], None, istio_namespace=run.namespaces[name])
        able = {each.ref for each in riders.in_place}
        fixed |= {(name, ref): riders.fixed.get(ref, _SHARED) for ref in wanted - able}
        for place in sorted({ref.namespace for ref in wanted & able}):
            refs = {ref for ref in wanted & able if ref.namespace == place}
            yield from run.do(renewed(name, PART, riders, refs, moment=rotation.moment, seconds=run.seconds))
    return replace(tried, anew=tried.anew | {*todo.workloads}, fixed={**tried.fixed, **fixed})


def _halted(rotation: Rotation, who: tuple[Witness, ...], tried: Tried, count: int) -> StoppedError:
    details = [
        f"{each.name}: {tried.fixed.get((each.cluster, each.workload)) or behind(rotation, each)}"
        for each in who
    ]
    return StoppedError(
        "proxies-renew-later",
        f"{len(who)} of {count} proxies are still to renew, {_renews(who)}",
        hint="make their workloads anew, or wait; then run the same command again, which continues",
        details=details,
    )


def _renews(who: tuple[Witness, ...]) -> str:
    end = last_end(who)
    return f"the last by {end}" if end else "each when half of its certificate's life is over"


def _too_late(rotation: Rotation, causes: list[str]) -> FailedError:
    return FailedError(
        "proxies-behind",
        f"not every proxy was {_SHOWN[rotation.stage]}: {causes[0]}",
        hint="mend the cause, then run the same command again, which continues; "
        "`--allow-unseen` goes on without those that cannot be asked",
        details=causes,
    )
