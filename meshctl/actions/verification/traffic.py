"""Real calls between the clusters of a fleet: a small client and server in each, and all gone afterwards."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from meshctl.actions.attempt import attempt
from meshctl.actions.doing import do
from meshctl.actions.verification.calls import asked
from meshctl.actions.verification.side_by_side import side_by_side
from meshctl.errors import AccessError, ConflictError, MeshctlError, StoppedError
from meshctl.model.event import Warned
from meshctl.model.fleet import Told
from meshctl.model.labels import COMPONENT
from meshctl.stages.verifying.placing import placed
from meshctl.stages.verifying.workloads import NAMESPACE, PART, SPACE, SWEPT, deploying, sweeping

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from meshctl.actions.verification.side_by_side import Tell
    from meshctl.model.plan import Plan
    from meshctl.model.verification import FleetSeen, Traffic
    from meshctl.ports import World

LOCK: Final = "verify"
"""What is locked in each cluster: two verifications would remove each other's pods."""
_REMOVING: Final = 180.0


@dataclass(frozen=True, slots=True)
class Trial:
    """How traffic is tried.

    Attributes:
        seconds: how long pods may take until they are ready.
        calling: how long calls may take until they arrive, as proxies learn of new endpoints in their time.
        image: of an Envoy; empty: that of the mesh's own proxies.
    """

    seconds: float = 180.0
    calling: float = 60.0
    image: str = ""


def traffic(world: World, fleet: FleetSeen, trial: Trial) -> Generator[Told, None, Traffic]:
    """Have a client in every cluster call the server in every cluster; leaves nothing behind.

    What an earlier run has left, as it was killed, is removed first. Closing the generator removes all, too.

    Args:
        world: doors to the clusters.
        fleet: what was seen of them.
        trial: how long to wait, and what to run.

    Raises:
        ConflictError: somebody else is verifying, or has a namespace of the name that is needed.
    """
    places, gates, skipped = placed(fleet, image=trial.image)
    with ExitStack() as locks:
        names, refused = _locked(world, [each.name for each in fleet.seen], locks)
        places = tuple(each for each in places if each.cluster in names)
        _require_free(world, names)
        yield from _together(world, _sweeps(world, names))
        is_swept = False
        try:
            plans = [deploying(each, places, seconds=trial.seconds) for each in places]
            failed = yield from _together(world, plans)
            ready = [each for each in places if each.cluster not in failed]
            found = yield from asked(world, ready, gates, trial.calling)
            yield from _removed(world, names)
            is_swept = True
        except KeyboardInterrupt:
            yield from _removed(world, names)  # while somebody still listens
            is_swept = True
            raise
        finally:
            if not is_swept:
                for _ in _removed(world, names):  # nobody listens any more
                    pass
    unready = {name: f"client and server are not ready: {error.message}" for name, error in failed.items()}
    return replace(found, skipped={**skipped, **refused, **unready})


def _locked(
    world: World, names: Iterable[str], locks: ExitStack
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The clusters that are locked now, and why others could not be."""
    held, refused = [], {}
    for name in names:
        try:
            locks.enter_context(world.releases[name].lock(LOCK))
            held.append(name)
        except AccessError as error:
            refused[name] = error.message
    return tuple(held), refused


def _together(world: World, plans: Sequence[Plan]) -> Generator[Told, None, dict[str, MeshctlError]]:
    """Do a plan in each cluster; what failed, by cluster. Closing it stops all cleanly."""
    failed: dict[str, MeshctlError] = {}

    def one(plan: Plan, tell: Tell, stop: threading.Event) -> None:
        def heed() -> None:
            if stop.is_set():
                raise StoppedError("interrupted", "interrupted")

        try:
            for event in do(world, plan, heed=heed):
                tell(Told(plan.cluster, event))
        except MeshctlError as error:
            failed[plan.cluster] = error

    yield from side_by_side([partial(one, plan) for plan in plans])
    return failed


def _require_free(world: World, names: Iterable[str]) -> None:
    for name in names:
        found = world.clusters[name].get(SPACE)
        if found is not None and found.labels.get(COMPONENT) != PART:
            raise ConflictError(
                "namespace-taken",
                f"cluster {name!r} has a namespace {NAMESPACE!r} that no verification has made",
                hint="rename it, or leave traffic out with --checks-only",
            )


def _sweeps(world: World, names: Iterable[str]) -> list[Plan]:
    """Plans that remove what verifications have made, of the clusters that answer."""
    plans = []
    for name in names:
        found = attempt(partial(world.clusters[name].list, "v1", "Namespace", labels=SWEPT))
        if not isinstance(found, MeshctlError):
            plans.append(sweeping(name, found, seconds=_REMOVING))
    return plans


def _removed(world: World, names: Sequence[str]) -> Generator[Told, None, None]:
    """Remove all; what cannot be removed is told, and by the next run."""
    failed = yield from _together(world, _sweeps(world, names))
    for name, error in failed.items():
        reason = f"{error.message}; the next verification removes it"
        yield Told(name, Warned(PART, f"Namespace {NAMESPACE}", reason))
