"""Install several clusters: a story of plans, one cluster each, ordered by what they need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, assert_never

from meshctl.actions.doing import do
from meshctl.actions.fleet.working import CLUSTERS, work
from meshctl.actions.install import install, keeping
from meshctl.actions.links.linking import Ends, access_plan, link_plan, offline, settle
from meshctl.actions.rights import require_rights
from meshctl.actions.trust.authorities import authority_steps
from meshctl.adapters.processes import in_processes
from meshctl.errors import ConfigError, FailedError, MeshctlError, ProblemsError, UnreachableError
from meshctl.model.fleet import Work
from meshctl.model.labels import MESH
from meshctl.model.link import links_wanted
from meshctl.model.mesh import Role, Source
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply, Await, Condition, Phase, Plan
from meshctl.stages.fleet.addresses import UNKNOWN, address, entrance
from meshctl.stages.fleet.waves import installing
from meshctl.stages.rendering.render import render

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from meshctl.actions.fleet.working import Heed
    from meshctl.model.event import Event
    from meshctl.model.fleet import Ended, Needs, Task, Told
    from meshctl.model.link import Link
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Object
    from meshctl.model.values import Values
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


@dataclass(frozen=True)
class Fleet:
    """The clusters that are asked for, of one mesh or of several that trust each other.

    Attributes:
        meshes: what was given of each mesh.
        inputs: what each cluster is settled from, by its name; two differ where they keep to versions of
            their own.
    """

    meshes: tuple[Loaded, ...]
    inputs: Mapping[str, Loaded]

    @classmethod
    def of(cls, meshes: tuple[Loaded, ...]) -> Fleet:
        """The clusters of meshes as they were given, whatever versions they have."""
        return cls(meshes, {cluster.name: each for each in meshes for cluster in each.mesh.clusters})

    @property
    def is_declared(self) -> bool:
        """Whether a mesh.yaml names them."""
        return self.meshes[0].is_fleet

    @cached_property
    def clusters(self) -> Mapping[str, Cluster]:
        """By name, in the order they were named."""
        return {cluster.name: cluster for each in self.meshes for cluster in each.mesh.clusters}

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Which istiod of these clusters reads which other one."""
        meshes = [each.mesh for each in self.meshes]
        return tuple(
            link for mesh in meshes for link in links_wanted(mesh, [each for each in meshes if each != mesh])
        )

    @cached_property
    def needs(self) -> Needs:
        """What is to be done in them, and what each task needs."""
        return installing(self.clusters.values(), self.links)

    def needed(self, task: Task) -> list[Task]:
        """What a task needs, in the order in which tasks are told."""
        return sorted(self.needs[task], key=self._turns.__getitem__)

    @cached_property
    def _turns(self) -> Mapping[Task, int]:
        return {task: turn for turn, task in enumerate(self.needs)}

    @cached_property
    def values(self) -> Mapping[str, Values]:
        """Settled settings of each, as far as they hang on nothing that is only seen."""
        return {name: offline(self.inputs[name], each) for name, each in self.clusters.items()}

    def ends(self, link: Link) -> Ends:
        """A link with the settings of both its clusters."""
        return Ends(link, self.values[link.server], self.values[link.reads])


def keeping_all(
    world: World, meshes: Iterable[Loaded], *, adopt: bool = False
) -> Mapping[str, tuple[str, str]]:
    """The version and the revision to load the input with again, for each cluster; see `install.keeping`.

    A cluster that has neither follows the others of its mesh, where these agree. Of one that cannot be asked
    now, whoever asks again will tell why.
    """
    found: dict[str, tuple[str, str]] = {}
    for mesh in meshes:
        names = [each.name for each in mesh.mesh.clusters]
        with ThreadPoolExecutor(min(CLUSTERS, len(names))) as pool:
            kept = pool.map(lambda name: _keeping(world, mesh, name, adopt=adopt), names)  # noqa: B023 - done in this turn
            told = dict(zip(names, kept, strict=True))
        known = {each for each in told.values() if any(each)}
        common = known.pop() if len(known) == 1 else ("", "")
        found |= {name: each if any(each) else common for name, each in told.items()}
    return found


def _keeping(world: World, mesh: Loaded, name: str, *, adopt: bool) -> tuple[str, str]:
    here = replace(world, clusters={name: world.clusters[name]}, releases={name: world.releases[name]})
    try:
        return keeping(here, _alone(mesh, name), adopt=adopt)
    except UnreachableError:
        return "", ""


def _alone(asked: Loaded, name: str) -> Loaded:
    """The same input, for one cluster."""
    mine = tuple(each for each in asked.mesh.clusters if each.name == name)
    return replace(asked, mesh=replace(asked.mesh, clusters=mine))


@dataclass(frozen=True)
class Choices:
    """How an install goes about it; see `actions.install.install`."""

    take_over: bool = False
    adopt: bool = False
    seconds: float = 300.0


@dataclass(frozen=True)
class Planned:
    """A task and its plan, as things are.

    Attributes:
        task: the task.
        plan: its steps; those that hang on other tasks may be others when its turn comes.
        values: settled settings, where the task is an install.
        awaits: what is not known yet, so that it is planned again at its turn; empty where all is.
        error: why there is no plan.
    """

    task: Task
    plan: Plan
    values: Values | None = None
    awaits: str = ""
    error: MeshctlError | None = None


def preview(world: World, fleet: Fleet, choices: Choices, *, rights: bool = False) -> tuple[Planned, ...]:
    """Plan every task as though its turn had come, the clusters side by side. Only reads.

    Args:
        world: doors to the clusters.
        fleet: what is asked for.
        choices: how an install goes about it.
        rights: whether to ask for every right that the plans need.

    Raises:
        ConfigError: the input is wrong; of a cluster that cannot be asked, `Planned.error` tells.
    """
    of_cluster = partial(_of_cluster, world, fleet, choices, rights=rights)
    if world.is_recorded and fleet.needs and fleet.values:  # computed here, once for all the processes
        made = list(in_processes(of_cluster, fleet.clusters))
    else:
        with ThreadPoolExecutor(min(CLUSTERS, len(fleet.clusters))) as pool:
            made = list(pool.map(of_cluster, fleet.clusters))
    found = {each.task: each for planned in made for each in planned}
    wrong = {str(each.error): each.error for each in found.values() if isinstance(each.error, ConfigError)}
    if wrong:
        problems = tuple(wrong.values())
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)
    return tuple(found[task] for task in fleet.needs)


def _of_cluster(world: World, fleet: Fleet, choices: Choices, name: str, *, rights: bool) -> list[Planned]:
    """The plans of one cluster's tasks; after one that cannot be made, none of the others is tried."""
    found: list[Planned] = []
    error: MeshctlError | None = None
    for task in (each for each in fleet.needs if each.cluster == name):
        if error is not None:
            found.append(Planned(task, Plan(name), error=error))
            continue
        try:
            planned = plan(world, fleet, task, choices, assuming=True)
            if rights and not planned.plan.is_empty:
                require_rights(world.clusters[name], planned.plan)
        except MeshctlError as fault:
            if task.link and not isinstance(fault, ConfigError):  # it may be the other cluster's
                planned = Planned(task, Plan(name), awaits=fault.message)
            else:
                error = fault
                planned = Planned(task, Plan(name), error=fault)
        found.append(planned)
    return found


def carry_out(
    world: World, fleet: Fleet, shown: Iterable[Planned], choices: Choices
) -> Generator[Told | Ended, None, None]:
    """Do what was shown, each task as soon as what it needs is done; see `working.work`.

    An install is done as it was shown, all others are planned at their turn. In a cluster of which one task
    could not be planned, nothing is done.
    """
    installs = {each.task: each for each in shown if each.task.work is Work.INSTALL and not each.awaits}
    errors = {each.task.cluster: each.error for each in shown if each.error is not None}

    def act(task: Task, heed: Heed) -> Generator[Event, None, None]:
        if task.cluster in errors:
            raise errors[task.cluster]
        planned = installs.get(task) or plan(world, fleet, task, choices)
        try:
            yield from do(world, planned.plan, heed=heed)
        except FailedError as error:
            raise _no_address(task.cluster, error) if task.work is Work.ADDRESS else error from error
        if task.work is Work.LINK and task.link:  # the token before goes once nobody reads by it
            yield from settle(world, fleet.ends(task.link), seconds=choices.seconds)

    return work(fleet.needs, act)


def plan(world: World, fleet: Fleet, task: Task, choices: Choices, *, assuming: bool = False) -> Planned:
    """The plan of one task, as things are. Only reads.

    Args:
        world: doors to the clusters.
        fleet: what is asked for.
        task: one of `fleet.needs`.
        choices: how an install goes about it.
        assuming: whether to go on with an assumption where an address is not known yet.

    Raises:
        ConfigError: a gateway whose address is needed is not there.
    """
    match task.work:
        case Work.PREPARE:
            return Planned(task, _prepare(world, fleet, task.cluster))
        case Work.INSTALL:
            return _install(world, fleet, task, choices, assuming=assuming)
        case Work.ADDRESS:
            return Planned(task, _address(world, fleet, task.cluster, choices.seconds, assuming=assuming))
        case Work.ACCESS | Work.LINK:
            assert task.link
            make = access_plan if task.work is Work.ACCESS else link_plan
            return Planned(task, make(world, fleet.ends(task.link)))
        case Work.UNLINK | Work.RELEASE | Work.UNINSTALL:
            raise AssertionError("an install takes nothing away")
        case _:
            assert_never(task.work)


def _prepare(world: World, fleet: Fleet, name: str) -> Plan:
    """The authority of a cluster, and the namespace for what comes before its istiod."""
    asked, cluster = fleet.inputs[name], fleet.clusters[name]
    whole = asked.share(cluster).mesh
    if whole.trust.source is Source.THERE and cluster.role is not Role.EXTERNAL:
        return Plan(name)
    values = fleet.values[name]
    steps = authority_steps(world, whole, cluster, values.namespace)
    if not steps and cluster.role is not Role.EXTERNAL:
        return Plan(name)
    phases = []
    if world.clusters[name].get(Ref("v1", "Namespace", "", values.namespace)) is None:
        desired = render(values, owner=asked.mesh.name, install=True)
        homes = tuple(
            Apply(part.name, obj)
            for part in desired.parts
            for obj in part.objects
            if (obj.ref.kind, obj.ref.name) == ("Namespace", values.namespace)
        )
        phases.append(Phase("Make the namespace", homes))
    if steps:
        phases.append(Phase("Provide the certificate authority", steps))
    return Plan(name, tuple(phases))


def _install(world: World, fleet: Fleet, task: Task, choices: Choices, *, assuming: bool) -> Planned:
    name = task.cluster
    asked, awaits = _with_address(world, fleet, name, assuming=assuming)
    [wave] = install(
        world,
        _alone(asked, name),
        take_over=choices.take_over,
        adopt=choices.adopt,
        seconds=choices.seconds,
    )
    return Planned(task, wave.plan, wave.values, awaits)


def _with_address(world: World, fleet: Fleet, name: str, *, assuming: bool) -> tuple[Loaded, str]:
    """What a cluster is settled from, with the address of the istiod that serves it, and what was assumed."""
    asked, cluster = fleet.inputs[name], fleet.clusters[name]
    server = asked.share(cluster).mesh.cluster(cluster.control_plane)
    if server is None or server.address or server.name not in world.clusters:
        return asked, ""
    try:
        found = entrance_of(world, asked.mesh.name, server.name)
    except MeshctlError:
        if not assuming:
            raise
        found = None  # it is told as its own
    where = address(found) if found else ""
    if where or not assuming or server.name not in fleet.clusters:
        return asked.knowing({server.name: where}), ""
    return asked.knowing({server.name: UNKNOWN}), f"the address of the gateway of {server.name!r}"


def entrance_of(world: World, mesh: str, server: str) -> Object | None:
    """The load balancer before the istiod of a cluster, as it is; None where there is none. Only reads."""
    return entrance(world.clusters[server].list("v1", "Service", labels=f"{MESH}={mesh}"))


def _no_address(name: str, error: FailedError) -> FailedError:
    return FailedError(
        "no-address",
        f"the clusters that {name!r} serves cannot be told where it is: {error.message}",
        hint="have something give Services of type LoadBalancer an address, or write it as `address` of "
        f"{name!r}; then run the same command again",
    )


def _address(world: World, fleet: Fleet, name: str, seconds: float, *, assuming: bool) -> Plan:
    """The wait for an address that is not there yet."""
    service = entrance_of(world, fleet.inputs[name].mesh.name, name)
    if service is None and not assuming:
        raise ConfigError(
            "no-entrance",
            f"{name!r} has no Service of type LoadBalancer that leads to istiod, so nobody knows its address",
            hint=f"write where its istiod is reached as `address` of {name!r}",
        )
    if service is None or address(service):
        return Plan(name)
    wait = Await("address", service.ref, Condition.READY, seconds)
    return Plan(name, (Phase("Wait for the address of the gateway", (wait,)),))
