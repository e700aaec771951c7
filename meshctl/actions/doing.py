"""What install, upgrade and uninstall have in common: a plan is done where it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConflictError, StoppedError
from meshctl.model.plan import Record
from meshctl.stages.applying.apply import apply
from meshctl.stages.planning.plan_data import plan_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshctl.errors import UnreachableError
    from meshctl.model.event import Event
    from meshctl.model.objects import Object
    from meshctl.model.plan import Plan
    from meshctl.model.recipe import Recipe
    from meshctl.model.release import Release
    from meshctl.ports import World


def do(
    world: World, plan: Plan, *, held: bool = False, heed: Callable[[], None] | None = None
) -> Iterator[Event]:
    """Do a plan in its cluster; see `stages.applying.apply.apply`."""

    def provide(recipe: Recipe) -> Object:
        from meshctl.actions import providing  # `cryptography` is slow to import, and few plans need it

        return providing.provide(world, recipe)

    name = plan.cluster
    doors = (world.clusters[name], world.releases[name], world.files, world.clock)
    return apply(*doors, plan, held=held, heed=heed, provide=provide)


def require_same(planned: Plan, now: Plan, against: Sequence[str] = ()) -> None:
    """Let through only what was shown, when it is planned once more with the mesh locked.

    Args:
        planned: what was agreed to.
        now: the same, planned for the cluster as it is.
        against: what speaks against it now, and did not then.

    Raises:
        ConflictError: somebody has changed something since.
    """
    if against or plan_data(planned)["phases"] != plan_data(now)["phases"]:
        raise outdated(against)


def outdated(against: Sequence[str]) -> ConflictError:
    """What is told when others have changed what was agreed to; `against` is what speaks against it now."""
    return ConflictError(
        "plan-outdated",
        "the cluster has moved on since this was planned; nothing was sent",
        hint="run the same command again, so that it plans anew",
        details=against,
    )


def stopped(error: UnreachableError) -> StoppedError:
    """The error of work that lost its connection, and can be continued."""
    return StoppedError(
        "stopped-part-way",
        f"stopped part-way: {error.message}",
        hint="run the same command again; it continues",
        details=error.details,
    )


def recorded_by(plan: Plan) -> Release:
    """The release that a plan makes."""
    return next(step.release for step in plan.steps if isinstance(step, Record))
