"""Would an install work, and does a mesh work: every check, many at once, each in its turn."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.rights import of_install
from meshctl.actions.status import status
from meshctl.checks.site import Site
from meshctl.errors import AccessError, InternalError, MeshctlError
from meshctl.model.check import Check, Moment, Outcome
from meshctl.model.finding import Rule
from meshctl.model.observation import Observation
from meshctl.registry import plugins
from meshctl.stages.planning.difference import conflicts, words
from meshctl.stages.rendering.render import render
from meshctl.stages.seeing import soundness
from meshctl.stages.seeing.observe import look, observe
from meshctl.stages.settings import catalogue, support
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from meshctl import ports
    from meshctl.model.manifest import Manifest
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Object, Ref
    from meshctl.model.release import Release
    from meshctl.model.values import Values
    from meshctl.model.verification import FleetSeen
    from meshctl.ports import Clock, World
    from meshctl.stages.settings.load import Loaded

PAUSE = 1.0
"""Seconds between two rounds of what may still settle."""


def checks() -> tuple[Check, ...]:
    """Every check there is, by module and place.

    Raises:
        InternalError: two have one name, or one waits for a rule that nobody has.
    """
    found = plugins("meshctl.checks", Check)
    names = [each.name for each in found]
    known = {rule.code for each in found for rule in each.rules} | {rule.code for rule in _standing_rules()}
    for each in found:
        if names.count(each.name) > 1 or not known.issuperset(each.after):
            raise InternalError("check-invalid", f"check {each.name!r} has a taken name or waits for nothing")
    return found


def before_install(world: World, asked: Loaded, *, wait: float = 0.0) -> Iterator[Outcome]:
    """What would keep an install of `asked` from working, cluster by cluster. Only reads.

    Args:
        world: doors to the clusters of the mesh.
        asked: what the user gave, loaded.
        wait: seconds to ask again for what may still settle.
    """
    chosen = [each for each in checks() if each.fits(Moment.BEFORE)]
    for cluster in asked.mesh.clusters:
        yield from run(_site_before(world, asked, cluster), chosen, world.clock, wait=wait)


def after_install(
    world: World, namespace: str, *, mesh: str = "mesh", wait: float = 0.0
) -> Iterator[Outcome]:
    """What is wrong with the mesh that is installed, cluster by cluster. Only reads.

    Args:
        world: doors to the clusters of the mesh.
        namespace: the mesh's namespace.
        mesh: its name.
        wait: seconds to ask again for what may still settle.
    """
    chosen = [each for each in checks() if each.fits(Moment.AFTER)]
    until = world.clock.monotonic() + wait
    found = _standing(world, namespace)
    while any(not each.passed for each in found) and world.clock.monotonic() < until:
        world.clock.sleep(PAUSE)
        found = _standing(world, namespace)
    yield from found
    for name, door in world.clusters.items():
        broken = frozenset().union(*(each.broken for each in found if each.cluster == name))
        left = max(0.0, until - world.clock.monotonic())
        site = Site(door, mesh, namespace, now=world.clock.now())
        yield from run(site, chosen, world.clock, wait=left, broken=broken)


def run(
    site: Site | FleetSeen,
    chosen: Sequence[Check],
    clock: Clock,
    *,
    wait: float = 0.0,
    broken: Collection[str] = (),
) -> tuple[Outcome, ...]:
    """The outcome of each check, in the order given; independent ones are asked together.

    Args:
        site: where to look.
        chosen: which checks.
        clock: measures `wait`.
        wait: seconds to ask again where a check that settles has found something.
        broken: codes of rules that are known not to hold.
    """
    until = clock.monotonic() + wait
    done = _round(site, chosen, {}, broken)
    while clock.monotonic() < until:
        again = {each.check for each in done.values() if not each.passed}
        if not any(each.name in again and each.settles for each in chosen):
            break
        clock.sleep(PAUSE)
        # What does not settle keeps its outcome, and what was skipped may have its turn now.
        kept = {
            name: each for name, each in done.items() if name not in again or not _may_change(each, chosen)
        }
        done = _round(site, chosen, kept, broken)
    return tuple(done[each.name] for each in chosen)


def _may_change(outcome: Outcome, chosen: Sequence[Check]) -> bool:
    return bool(outcome.skipped) or any(each.name == outcome.check and each.settles for each in chosen)


def _round(
    site: Site | FleetSeen, chosen: Sequence[Check], known: dict[str, Outcome], broken: Collection[str]
) -> dict[str, Outcome]:
    """One round: each check as soon as what it comes after is done."""
    done = dict(known)
    waiting = [each for each in chosen if each.name not in done]
    makers = {rule.code: each.name for each in chosen for rule in each.rules}
    asked: dict[str, _Question] = {}
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    while waiting or asked:
        settled = len(done)
        for each in tuple(waiting):
            # A rule that no chosen check tells of is known beforehand, or nobody asked about it.
            ready = all(code not in makers or makers[code] in done for code in each.after)
            if not ready:
                continue
            waiting.remove(each)
            gone = {code for outcome in done.values() for code in outcome.broken} | set(broken)
            unmet = [code for code in each.after if code in gone]
            if unmet:
                done[each.name] = _outcome(site, each, skipped=f"{', '.join(unmet)} does not hold")
            else:
                asked[each.name] = _Question(site, each, answers)
        if not asked:
            if len(done) == settled:
                raise InternalError("check-circle", "checks wait for each other in a circle")
            continue
        name = min(asked, key=lambda name: asked[name].check.seconds)
        try:
            name = answers.get(timeout=asked[name].check.seconds)
        except queue.Empty:
            seconds = asked[name].check.seconds
            done[name] = _outcome(site, asked.pop(name).check, skipped=f"no answer within {seconds:g} s")
            continue
        if name in asked:
            done[name] = asked.pop(name).outcome()
    return done


@dataclass
class _Question:
    """A check being asked, in a thread that a cluster which never answers cannot make us wait for."""

    site: Site | FleetSeen
    check: Check
    answers: queue.SimpleQueue[str]
    result: Outcome | Exception | None = None

    def __post_init__(self) -> None:
        threading.Thread(target=self._ask, name=self.check.name, daemon=True).start()

    def outcome(self) -> Outcome:
        """What came of it; raises what was no error of the cluster's."""
        if isinstance(self.result, Exception):
            raise self.result
        assert self.result is not None
        return self.result

    def _ask(self) -> None:
        try:
            self.result = _outcome(self.site, self.check, findings=tuple(self.check.look(self.site)))
        except MeshctlError as error:
            self.result = _outcome(self.site, self.check, skipped=error.message)
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, and raised there
            self.result = error
        self.answers.put(self.check.name)


def _outcome(site: Site | FleetSeen, check: Check, *, findings: Sequence = (), skipped: str = "") -> Outcome:  # type: ignore[type-arg]
    return Outcome(site.name, check.name, check.rules, tuple(findings), skipped)


def _site_before(world: World, asked: Loaded, cluster: Cluster) -> Site:
    """The site as far as the cluster answers: one that does not is for a check to tell."""
    door, records = world.clusters[cluster.name], world.releases[cluster.name]
    try:
        seen = observe(door, records, asked.mesh.name, detections=catalogue.detections())
    except AccessError:  # what is missing is for a check to tell, and it must know what would be sent
        seen = Observation(door.name, door.version(), door.kinds())
    except MeshctlError:
        return Site(door, asked.mesh.name, require_kubernetes=partial(support.require, asked.version))
    values = resolve(asked, cluster, seen)
    desired = render(values, owner=asked.mesh.name, install=True)
    with suppress(MeshctlError):  # without them more rights are asked for than needed
        homes = (ref for ref in desired.refs if ref.kind == "Namespace")
        seen = replace(seen, objects=look(door, homes))
    return site_of(door, values, desired, seen)


def site_of(door: ports.Cluster, values: Values, desired: Manifest, seen: Observation) -> Site:
    """What checks are given of a cluster where this is to be."""
    return Site(
        door,
        values.mesh.name,
        values.namespace,
        values.revision,
        desired,
        partial(_conflicts, door, desired, seen.releases),
        seen.kinds,
        seen.releases,
        partial(support.require, values.version),
        of_install(values, desired, seen.kinds, seen.releases, seen.objects),
    )


def _conflicts(door: ports.Cluster, desired: Manifest, records: Sequence[Release]) -> tuple[str, ...]:
    """What the plan would be refused for."""
    live = look(door, desired.refs)
    former: dict[Ref, list[Object]] = defaultdict(list)
    for obj in (obj for record in records for obj in record.manifest.objects):
        former[obj.ref].append(obj)
    return tuple(
        f"{obj.ref}: {words(clashes)}"
        for part in desired.parts
        for obj in part.objects
        if obj.ref in live and not live[obj.ref].is_leaving
        if (clashes := conflicts(obj, live[obj.ref], part.yields, former[obj.ref]))
    )


def _standing_rules() -> tuple[Rule, ...]:
    return tuple(each for each in vars(soundness).values() if isinstance(each, Rule))


def _standing(world: World, namespace: str) -> tuple[Outcome, ...]:
    """The rules of `meshctl status` as outcomes, each rule a line."""
    answer = status(world, istio_namespace=namespace)
    outcomes = []
    for one in answer.clusters:
        unread = "; ".join(f"{what} could not be read: {error.message}" for what, error in one.unread)
        for rule in _standing_rules():
            found = tuple(each for each in one.findings if each.rule is rule)
            skipped = unread if unread and not found else "" if one.is_installed else "there is no mesh here"
            outcomes.append(Outcome(one.cluster, rule.code, (rule,), found, skipped if not found else ""))
    return tuple(outcomes)
