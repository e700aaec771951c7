"""Link clusters, renew their links, take links away: tasks side by side, as an install does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from meshctl.actions.doing import do
from meshctl.actions.fleet.install import Planned
from meshctl.actions.fleet.working import CLUSTERS, work
from meshctl.actions.links.linking import access_plan, link_plan, links, settle
from meshctl.actions.links.unlinking import release_plan, unlink_plan
from meshctl.actions.rights import require_rights
from meshctl.errors import ConfigError, MeshctlError, Where, listed, nearest
from meshctl.model.fleet import Task, Work
from meshctl.model.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from meshctl.actions.fleet.working import Heed
    from meshctl.actions.links.linking import Ends
    from meshctl.model.event import Event
    from meshctl.model.fleet import Ended, Needs, Told
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


def chosen(asked: Sequence[Loaded], names: Sequence[str]) -> tuple[Ends, ...]:
    """The links that are meant.

    Args:
        asked: meshes of a mesh.yaml.
        names: clusters. None: every link; one: every link from or to it; several: the links between them.

    Raises:
        ConfigError: no mesh.yaml names clusters, there is no such cluster, or no link between these.
    """
    if not asked[0].is_fleet:
        raise ConfigError(
            "no-mesh-file",
            "which clusters there are is not known",
            where=Where("--filename"),
            hint="name a mesh.yaml with -f; `meshctl profile dump multi-primary` makes one to start from",
        )
    known = [each.name for mesh in asked for each in mesh.mesh.clusters]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            guess = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(
                "unknown-cluster",
                f"no cluster is called {name!r}{guess}",
                hint=f"choose one of {listed(known)}",
            )
    found = tuple(each for each in links(asked) if _is_meant(each, {*names}))
    if not found:
        what = f" for {listed(dict.fromkeys(names))}" if names else ""
        raise ConfigError(
            "no-links",
            f"there is nothing to link{what}",
            hint="an istiod reads other clusters, and a remote has none; --cluster leaves all others out",
        )
    return found


def _is_meant(ends: Ends, names: set[str]) -> bool:
    both = {ends.link.server, ends.link.reads}
    return both >= names if len(names) < 2 else both <= names


def previewed(
    world: World, meant: Sequence[Ends], *, away: bool = False, renew: bool = False, rights: bool = False
) -> tuple[Planned, ...]:
    """The plan of every task, as things are. Only reads; what a cluster keeps from being planned is told.

    Args:
        world: doors to the clusters.
        meant: which links.
        away: whether they are taken away.
        renew: whether tokens are replaced though nothing is wrong with them.
        rights: whether to ask for every right that the plans need.

    Raises:
        ConfigError: the input is wrong.
        MeshctlError: no task can be planned; this is why the first cannot.
    """
    by_link = {each.link: each for each in meant}

    def one(task: Task) -> Planned:
        assert task.link
        try:
            plan = _plan(world, task, by_link[task.link], renew=renew)
            if rights and not plan.is_empty:
                require_rights(world.clusters[task.cluster], plan)
        except ConfigError:
            raise
        except MeshctlError as error:
            return Planned(task, Plan(task.cluster), error=error)
        return Planned(task, plan)

    with ThreadPoolExecutor(CLUSTERS) as pool:
        found = tuple(pool.map(one, needs(meant, away=away)))
    errors = [each.error for each in found if each.error]
    if len(errors) == len(found):
        raise errors[0]
    return found


def carried_out(
    world: World, meant: Sequence[Ends], *, away: bool = False, renew: bool = False, seconds: float = 120.0
) -> Generator[Told | Ended, None, None]:
    """Do it, each task planned at its turn; see `previewed` for the arguments.

    A link is done when its istiod reads by the new token, for which it has `seconds`, and the former is gone.
    """
    by_link = {each.link: each for each in meant}

    def act(task: Task, heed: Heed) -> Generator[Event, None, None]:
        assert task.link
        ends = by_link[task.link]
        yield from do(world, _plan(world, task, ends, renew=renew), heed=heed)
        if task.work is Work.LINK:
            yield from settle(world, ends, seconds=seconds)

    return work(needs(meant, away=away), act)


def needs(meant: Sequence[Ends], *, away: bool) -> Needs:
    """The tasks, and what each needs: istiod reads by nothing that is not there, and by nothing that goes."""
    found: dict[Task, frozenset[Task]] = {}
    for link in (each.link for each in meant):
        first = Task(Work.UNLINK, link.server, link) if away else Task(Work.ACCESS, link.reads, link)
        then = Task(Work.UNLINK, link.reads, link) if away else Task(Work.LINK, link.server, link)
        found |= {first: frozenset(), then: frozenset({first})}
    return found


def _plan(world: World, task: Task, ends: Ends, *, renew: bool) -> Plan:
    match task.work:
        case Work.ACCESS:
            return access_plan(world, ends, renew=renew)
        case Work.LINK:
            return link_plan(world, ends, renew=renew)
        case _:
            here = task.cluster == ends.link.server
            return unlink_plan(world, ends) if here else release_plan(world, ends)
