"""In which order work is done in the clusters of a fleet: which task needs which, and which can begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.fleet import Task, Work
from meshctl.model.link import LinkKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meshctl.model.fleet import Needs
    from meshctl.model.link import Link
    from meshctl.model.mesh import Cluster


_WAITS = frozenset({Work.ADDRESS})
"""Work that changes nothing, and so keeps nothing else from its cluster."""


def installing(clusters: Iterable[Cluster], links: Iterable[Link]) -> Needs:
    """The tasks that bring clusters in line, and what each needs.

    An istiod comes before the clusters that it serves, and they wait for the address at which they reach
    it, and for its remote secret, as it completes their webhooks. An external istiod does not start
    without the way to its configuration.

    Args:
        clusters: those that are asked for, in the order they were named.
        links: which istiod of them reads which other one of them.
    """
    known = {each.name: each for each in clusters}
    found: dict[Task, set[Task]] = {}
    for name in known:
        found[Task(Work.PREPARE, name)] = set()
        found[_install(name)] = {Task(Work.PREPARE, name)}
    for link in links:
        _link(found, link, known[link.server], known[link.reads])
    for cluster in known.values():
        server = known.get(cluster.control_plane)
        if server is not None:
            found[_install(cluster.name)].add(_reached(found, server))
    return _in_order(found)


def _reached(found: dict[Task, set[Task]], server: Cluster) -> Task:
    """What is to be done before it is known where to reach an istiod."""
    if server.address:
        return _install(server.name)
    found[Task(Work.ADDRESS, server.name)] = {_install(server.name)}
    return Task(Work.ADDRESS, server.name)


def _install(cluster: str) -> Task:
    return Task(Work.INSTALL, cluster)


def _link(found: dict[Task, set[Task]], link: Link, server: Cluster, reads: Cluster) -> None:
    access = Task(Work.ACCESS, reads.name, link)
    made = Task(Work.LINK, server.name, link)
    # A cluster with an istiod of its own brings the account by which it is read.
    found[access] = {_install(reads.name) if reads.has_istiod else Task(Work.PREPARE, reads.name)}
    found[made] = {access}
    if link.kind is LinkKind.CONFIG:
        found[access].add(Task(Work.PREPARE, server.name))
        found[_install(server.name)].add(made)
        return
    found[access].add(_install(server.name))  # no token for an istiod that is not there
    if reads.control_plane == server.name:
        found[_install(reads.name)].add(made)


def unlinking(links: Iterable[Link]) -> Needs:
    """The tasks that end links: first beside the istiod that reads, then in the cluster that is read."""
    found: dict[Task, set[Task]] = {}
    for link in links:
        ended = Task(Work.UNLINK, link.server, link)
        found[ended] = set()
        found[Task(Work.RELEASE, link.reads, link)] = {ended}
    return _in_order(found)


def uninstalling(clusters: Iterable[Cluster]) -> Needs:
    """The tasks that take a mesh out of clusters: one that is served goes before the one that serves it."""
    clusters = tuple(clusters)
    found: dict[Task, set[Task]] = {Task(Work.UNINSTALL, cluster.name): set() for cluster in clusters}
    for cluster in clusters:
        server = Task(Work.UNINSTALL, cluster.control_plane)
        if server in found:
            found[server].add(Task(Work.UNINSTALL, cluster.name))
    return _in_order(found)


def _in_order(found: Mapping[Task, Collection[Task]]) -> Needs:
    """The same, every task after those it needs, otherwise in the order given."""
    placed: dict[Task, frozenset[Task]] = {}
    while len(placed) < len(found):
        free = [each for each in found if each not in placed and placed.keys() >= set(found[each])]
        assert free, "tasks need each other in a circle"
        placed |= {each: frozenset(found[each]) for each in free}
    return placed


class Agenda:
    """Which tasks can begin, as others end; never do two at once change a cluster."""

    def __init__(self, needs: Needs) -> None:
        """Begin with nothing done."""
        self._needs = needs
        self._left = {task: set(before) for task, before in needs.items()}
        self._after: dict[Task, list[Task]] = {task: [] for task in needs}
        self._free: dict[str, list[Task]] = {task.cluster: [] for task in needs}
        self._busy: set[str] = set()
        self._lost: set[Task] = set()
        for task, before in needs.items():
            for each in before:
                self._after[each].append(task)
            if not before:
                self._free[task.cluster].append(task)

    def begin(self) -> tuple[Task, ...]:
        """The tasks that begin now: what they need is done, and nothing else changes their cluster."""
        begun = []
        for name, tasks in self._free.items():
            for task in tuple(tasks):
                if task.work in _WAITS or name not in self._busy:
                    tasks.remove(task)
                    begun.append(task)
                    self._busy |= {name} if task.work not in _WAITS else set()
        return tuple(begun)

    def done(self, task: Task) -> None:
        """A task that had begun is done."""
        self._ended(task)
        for each in self._after[task]:
            self._left[each].remove(task)
            if not self._left[each]:
                self._free[each.cluster].append(each)

    def _ended(self, task: Task) -> None:
        if task.work not in _WAITS:
            self._busy.remove(task.cluster)

    def failed(self, task: Task) -> Mapping[Task, tuple[Task, ...]]:
        """A task that had begun has failed; those that can never begin now, each with what it lacks."""
        self._ended(task)
        self._lost.add(task)
        found: list[Task] = []
        behind = [task]
        while behind:
            for each in self._after[behind.pop(0)]:
                if each not in self._lost:
                    self._lost.add(each)
                    found.append(each)
                    behind.append(each)
        return {each: tuple(sorted(self._needs[each] & self._lost, key=_name)) for each in found}


def _name(task: Task) -> tuple[str, str]:
    return task.cluster, str(task)


def waves(needs: Needs) -> tuple[tuple[Task, ...], ...]:
    """Tasks by how many stand in line before them."""
    depth: dict[Task, int] = {}
    for task, before in needs.items():
        depth[task] = 1 + max((depth[each] for each in before), default=-1)
    levels = range(1 + max(depth.values(), default=-1))
    return tuple(tuple(each for each in needs if depth[each] == level) for level in levels)
