"""What install, upgrade and uninstall have in common: a plan is done where it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.stages.applying.apply import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshctl.model.event import Event
    from meshctl.model.plan import Plan
    from meshctl.ports import World


def do(
    world: World, plan: Plan, *, held: bool = False, heed: Callable[[], None] | None = None
) -> Iterator[Event]:
    """Do a plan in its cluster; see `stages.applying.apply.apply`."""
    name = plan.cluster
    doors = (world.clusters[name], world.releases[name], world.files, world.clock)
    return apply(*doors, plan, held=held, heed=heed)
