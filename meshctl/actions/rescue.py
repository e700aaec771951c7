"""Mend a cluster that cannot make pods, as webhooks of Istio's are asked that nobody answers."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl.actions import tags
from meshctl.actions.attempt import attempt
from meshctl.actions.doing import do
from meshctl.errors import AccessError, ConflictError, FailedError, MeshctlError
from meshctl.model.event import Done, Skipped, Warned
from meshctl.model.objects import Object
from meshctl.model.plan import Plan
from meshctl.model.rescue import Remedy
from meshctl.model.tag import DEFAULT
from meshctl.model.webhook import called
from meshctl.stages.gating.probe import NAME, probe_pod
from meshctl.stages.planning import tagging
from meshctl.stages.planning.tag_rules import control_plane
from meshctl.stages.rendering.tag import tag_part
from meshctl.stages.rescuing.blockers import Scene, blockers
from meshctl.stages.rescuing.mending import left, mending, probes, tags_to_move
from meshctl.stages.seeing.answering import silences
from meshctl.stages.seeing.observe import look

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from meshctl import ports
    from meshctl.model.event import Event
    from meshctl.model.objects import Ref
    from meshctl.model.rescue import Blocker
    from meshctl.ports import World
    from meshctl.stages.planning.tag_rules import Sight

T = TypeVar("T")

_PART: Final = "rescue"
_SETTLES: Final = 20.0
"""Seconds within which every API server has heard of changed webhooks."""
_PAUSE: Final = 0.5
_LET_BE: Final = (Remedy.TELL, Remedy.WAIT)


@dataclass(frozen=True)
class Rescue:
    """One cluster's turn.

    Attributes:
        cluster: name of the cluster.
        blockers: webhooks that refuse what they are asked about.
        plan: the steps that mend those of Istio's.
        target: the revision that tags are made to lead to; None: none answers, or no tag moves.
        probes: namespaces and labels of the pods that are tried at the end.
    """

    cluster: str
    blockers: tuple[Blocker, ...]
    plan: Plan
    target: str | None
    probes: tuple[tuple[str, Mapping[str, str]], ...]

    @property
    def left(self) -> tuple[Blocker, ...]:
        """Webhooks about which nothing is done."""
        return tuple(each for each in self.blockers if each.remedy in _LET_BE)


def rescue(
    world: World, *, revision: str | None = None, istio_namespace: str = "istio-system", mesh: str = "mesh"
) -> Iterator[Rescue]:
    """Find webhooks that refuse whatever they are asked about, and plan what mends them. Only reads.

    It needs no record, and neither a control plane nor the mesh's namespace has to be there.

    Args:
        world: doors to the clusters.
        revision: the control plane that tags are to lead to; None: the newest that answers.
        istio_namespace: where that is, where its webhook calls an address and so does not tell.
        mesh: name of the mesh where no record tells it.

    Raises:
        FailedError: the revision asked for is not there, or does not answer.
    """
    for name, door in world.clusters.items():
        yield _rescue(name, door, world.releases[name], revision, istio_namespace, mesh)


def _rescue(
    name: str,
    door: ports.Cluster,
    records: ports.Releases,
    revision: str | None,
    istio_namespace: str,
    mesh: str,
) -> Rescue:
    sight = tags.see(door)
    live = {each.ref: each for each in sight.configurations}
    faults = silences(door, sight.configurations)
    target = _target(sight, faults, revision)
    known = _recorded(records)
    scene = Scene(
        sight.configurations,
        faults,
        frozenset(look(door, faults)),
        door.list("apps/v1", "Deployment", labels="app=istiod"),
        known,
        target,
        is_told=revision is not None,
    )
    found = blockers(scene)
    moving = tags_to_move(found, live) if target is not None else ()
    moves = Plan(name)
    if target is not None and moving:
        known_as = attempt(partial(tags.mesh_of, records, target))
        owner = mesh if isinstance(known_as, MeshctlError) else known_as or mesh
        values = tags.values_of(door, sight, sight.revisions[target], target, istio_namespace, owner)
        parts = [tag_part(values, tag, owner=owner) for tag in moving]
        there = look(door, {obj.ref for part in parts for obj in part.objects})
        moves = tagging.pointing(name, parts, left(found, {**live, **there}), seconds=_SETTLES)
    plan = mending(name, found, live, known, moves)
    mended = [each for each in found if each.remedy not in _LET_BE]
    tried = probes(mended, live, sight.namespaces) if mended else ()
    return Rescue(name, found, plan, target if moving else None, tried)


def _target(sight: Sight, faults: Mapping[Ref, str], revision: str | None) -> str | None:
    """The control plane that tags are to lead to: the one asked for, or the newest that answers."""

    def fault(injector: Object) -> str:
        refs = (called(hook) for hook in injector.at("webhooks", ()))
        return next((faults[ref] for ref in refs if ref and faults.get(ref)), "")

    if revision is not None:
        wanted = "" if revision == DEFAULT else revision
        why = fault(control_plane(sight, wanted))
        if why:
            raise FailedError("revision-not-ready", f"nobody answers for revision {revision!r}: {why}")
        return wanted
    answering = {name: each for name, each in sight.revisions.items() if not fault(each)}
    return max(answering, key=lambda name: (_version(answering[name]), name), default=None)


def _version(injector: Object) -> tuple[int, ...]:
    told = injector.labels.get("app.kubernetes.io/version", "")
    return tuple(int(number) for number in re.findall(r"\d+", told))


def _recorded(records: ports.Releases) -> Mapping[Ref, Object]:
    """Services of the newest releases, as they were sent; none where no record can be read."""
    return {
        obj.ref: obj
        for mesh in _read(records.meshes)
        for release in _read(partial(records.of, mesh))
        for obj in release.manifest.objects
        if obj.ref.kind == "Service"
    }


def _read(read: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
    """What is read of records; nothing where that fails, as a rescue can do without."""
    found = attempt(read)
    return () if isinstance(found, MeshctlError) else found


def mend(world: World, turn: Rescue) -> Iterator[Event]:
    """Do what was planned, then ask the API server by dry runs whether pods can be made.

    It goes on without the mesh's lock where that cannot be taken, as what it is kept in may be just what
    is refused; but not where somebody else holds it.

    Raises:
        ConflictError: somebody else is at work on the mesh.
        FailedError: something is still refused; `details` say what, and what a person can do.
    """
    door = world.clusters[turn.cluster]
    if not turn.plan.is_empty:
        with ExitStack() as held:
            refused = _lock(held, world.releases[turn.cluster])
            if refused:
                yield Warned(_PART, "lock", f"goes on without it: {refused}")
            yield from do(world, turn.plan, held=True)
    until = world.clock.monotonic() + _SETTLES
    known = {name for each in turn.left for name in each.entries}
    still = []
    for subject, thing in _trials(turn):
        why = yield from _tried(door, world.clock, subject, thing, until, known)
        if why:
            still.append(f"{subject}: {why}")
    still += [f"{each.ref}: {each.why}; {each.advice}" for each in turn.left]
    if still:
        raise FailedError(
            "still-refused",
            "something is still refused, as nobody answers a webhook",
            details=still,
            hint="look at each: what it is for decides whether it may go",
        )


def _lock(held: ExitStack, records: ports.Releases) -> str:
    """Take the lock of every mesh here; why one could not be taken, empty when all were."""
    try:
        for mesh in records.meshes():
            held.enter_context(records.lock(mesh))
    except ConflictError:
        raise
    except MeshctlError as error:
        return error.message
    return ""


def _trials(turn: Rescue) -> Iterator[tuple[str, Object]]:
    """What was refused before, by what a person calls it."""
    for namespace, labels in turn.probes:
        said = "".join(f" with {key}={value}" for key, value in labels.items())
        yield f"a pod in namespace {namespace}{said}", probe_pod(namespace, labels)
    mended = [each for each in turn.blockers if each.remedy not in _LET_BE]
    if any(".istio.io" in what for each in mended for what in each.blocks):
        yield "an Istio object", _destination_rule()


def _tried(
    door: ports.Cluster, clock: ports.Clock, subject: str, thing: Object, until: float, known: Collection[str]
) -> Generator[Event, None, str]:
    """Why the API server refuses something for lack of an answer; empty when it does not.

    What a webhook refuses that is `known` to be left is told with that one.
    """
    while True:
        try:
            door.create(thing, dry_run=True)
        except FailedError as error:
            text = "; ".join((error.message, *error.details))
            if error.code != "webhook-unavailable":  # no such namespace or kind; another rule, once asked
                yield Skipped(_PART, subject, f"not tried: {text}")
                return ""
            if any(name in text for name in known):
                yield Skipped(_PART, subject, text)
                return ""
            if clock.monotonic() >= until:
                return text
            clock.sleep(_PAUSE)
        except AccessError as error:
            yield Skipped(_PART, subject, f"not tried: {error.message}")
            return ""
        else:
            yield Done(_PART, f"{subject} would be made")
            return ""


def _destination_rule() -> Object:
    return Object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"host": "probe.invalid"},
        }
    )
