"""How a canary upgrade ends: the new revision takes over and the old one goes, or all goes back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.actions import tags
from meshctl.actions.canary import gate
from meshctl.actions.canary.batches import going_back, named, passed, riders_of, taken_back
from meshctl.actions.canary.sending import dropped, own_gateways, part_of, sending_back, settling
from meshctl.actions.install import drafted
from meshctl.actions.uninstall import uninstall
from meshctl.errors import FailedError, StoppedError, listed
from meshctl.model.event import Done, Started, Waiting
from meshctl.model.labels import REVISION
from meshctl.model.plan import Await, Condition, Delete, Phase, Plan
from meshctl.model.removal import Scope
from meshctl.model.upgrade import Batch, Stage
from meshctl.stages.moving.moves import move, restored
from meshctl.stages.moving.workloads import found
from meshctl.stages.planning.tags import held_back
from meshctl.stages.seeing.observe import look, webhooks
from meshctl.stages.settings.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from meshctl.actions.canary.sending import Run
    from meshctl.model.event import Event
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Upgrade
    from meshctl.model.values import Values

ABORT = "abort"
LABELS = "namespaces"
RETIREMENT = "retirement"
_GRACE = 10.0  # seconds that those may take to end who nobody makes anew
_PAUSE = 2.0  # seconds between two looks at who is still attached


def promoting(run: Run, upgrade: Upgrade) -> Generator[Event, None, Upgrade]:
    """Let the new revision take over what leads to the mesh by name: tags, validation, labels, the rest.

    Raises:
        FailedError: who could move only now did not pass the gate, and stays where it is.
    """
    source, target = upgrade.source, upgrade.target
    yield from run.do(_tags(run, upgrade, target))
    live = {**webhooks(run.door), **look(run.door, target.manifest.refs)}
    yield from run.do(settling(run, held_back(target.manifest, live, target.revision), target))
    yield from run.do(_dropping(run, upgrade))
    # The unnamed istiod is there until it has gone: what keeps Gateways from it is put back after that.
    yield from run.do(_labels(run, upgrade, source.revision, target.revision, contested=not source.revision))
    upgrade = yield from _stragglers(run, upgrade)
    return run.kept(upgrade, stage=Stage.RETIREMENT, attempt=upgrade.attempt + 1)


def _tags(run: Run, upgrade: Upgrade, release: Release) -> Plan:
    """The tags that led to the source, led to the revision of a release."""
    names = [name for name, _ in upgrade.tags]
    if not names:
        return Plan(run.cluster)
    values = _values(run, release)
    return tags.set_plan(run.door, values, names, owner=release.mesh, seconds=run.seconds)


def _values(run: Run, release: Release) -> Values:
    asked = recorded(release)
    [cluster] = asked.mesh.clusters
    cluster = replace(cluster, name=run.cluster) if not asked.is_fleet else cluster
    return drafted(run.world, asked, cluster).values


def _dropping(run: Run, upgrade: Upgrade) -> Plan:
    """Take away gateways that the target has no more, before their proxies keep the old revision alive."""
    refs = sorted(obj.ref for obj in dropped(upgrade.source.manifest, upgrade.target.manifest))
    there = sorted(look(run.door, refs))
    if not there:
        return Plan(run.cluster)
    part = "gateways"
    why = "no longer part of the mesh"
    gone = tuple(Await(part, ref, Condition.GONE, run.seconds) for ref in there)
    return Plan(
        run.cluster,
        (
            Phase(
                "Remove gateways that are no longer asked for", tuple(Delete(part, ref, why) for ref in there)
            ),
            Phase("Wait until they are gone", gone),
        ),
    )


def _labels(run: Run, upgrade: Upgrade, before: str, after: str, *, contested: bool = False) -> Plan:
    """Give namespaces and Gateways the labels they had; what named the revision `before` names `after`.

    A label that names a tag stays as it was, as the tag leads to the other revision by now. `contested` as
    for `restored`.
    """
    moved = {tag for tag, _ in upgrade.tags}
    old = before or "default"
    labelled = [
        (
            place,
            tuple(
                (
                    key,
                    (after or "default") if value == old and old not in moved and key == REVISION else value,
                )
                for key, value in labels
            ),
        )
        for place, labels in upgrade.labelled
    ]
    riders = found(run.door, None, istio_namespace=upgrade.source.namespace)
    return restored(run.cluster, LABELS, riders, labelled, contested=contested)


def _stragglers(run: Run, upgrade: Upgrade) -> Generator[Event, None, Upgrade]:
    """Move whom only a tag could move, and who came to the old revision while the tags moved.

    Recorded before they move: once they have, nobody on the old revision tells that they were not judged.
    """
    while upgrade.passed < len(upgrade.batches):
        upgrade = yield from passed(run, upgrade)
    riders = riders_of(run, upgrade.source, to=upgrade.target)
    left = (*riders.moving, *riders.late)
    if not left:
        return upgrade
    batch = Batch("what follows the tags", (), left)
    return (yield from passed(run, run.kept(upgrade, batches=(*upgrade.batches, batch))))


def retiring(run: Run, upgrade: Upgrade) -> Generator[Event, None, None]:
    """Remove the old revision, once nobody is attached to it, and forget the upgrade.

    Raises:
        StoppedError: somebody stays attached; says who.
    """
    source = upgrade.source
    begun = run.world.clock.monotonic()
    yield Started(RETIREMENT, f"revision {named(source)}")
    upgrade = run.kept(upgrade, reason="")
    yield from _left(run, upgrade, source)
    yield from _removed(run, source)
    yield from run.do(_labels(run, upgrade, source.revision, upgrade.target.revision))
    run.records.forget_upgrade(source.mesh)
    yield Done(RETIREMENT, f"{named(source)} is gone", run.world.clock.monotonic() - begun)


def _left(run: Run, upgrade: Upgrade, release: Release) -> Iterator[Event]:
    """Wait until no proxy is attached to a revision; not long where only those are whom nobody moves."""
    clock = run.world.clock
    begun = clock.monotonic()
    while attached := gate.attached(
        run.world,
        run.cluster,
        revision=release.revision,
        istio_namespace=release.namespace,
        unused=release is upgrade.target and not upgrade.has_moved,
    ):
        whys = _stayers(run, release)
        patience = _GRACE if whys.keys() >= set(attached) else run.seconds
        if clock.monotonic() - begun >= min(patience, run.seconds):
            raise _still(run, upgrade, release, attached, whys)
        yield Waiting(RETIREMENT, f"revision {named(release)}", f"still attached: {_few(attached)}")
        clock.sleep(_PAUSE)


def _stayers(run: Run, release: Release) -> dict[str, str]:
    """Pods that nobody can make anew, and machines, as `attached` names them, each with the reason."""
    riders = riders_of(run, release, to=release)
    whys = {each.name: each.why for each in riders.stayers}
    pods = {
        pod.ref.place: whys[str(owner)]
        for owner, group in riders.pods.items()
        if str(owner) in whys
        for pod in group
    }
    return {**pods, **{name.removeprefix("machine "): why for name, why in whys.items()}}


def _still(
    run: Run, upgrade: Upgrade, release: Release, attached: tuple[str, ...], whys: dict[str, str]
) -> StoppedError:
    proxies = "1 proxy is" if len(attached) == 1 else f"{len(attached)} proxies are"
    reason = f"{proxies} attached to revision {named(release)}: {_few(attached)}"
    run.kept(upgrade, reason=reason)
    return StoppedError(
        "still-attached",
        reason,
        hint="make these pods anew or let them end, then run the same command, or `resume`, again",
        details=[f"{each}: {whys[each]}" if each in whys else each for each in attached],
    )


def _few(names: tuple[str, ...]) -> str:
    return listed(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _removed(run: Run, release: Release) -> Iterator[Event]:
    if all(each.revision != release.revision for each in run.records.of(release.mesh)):
        return  # nothing of it was ever sent
    scope = Scope(release.mesh, release.namespace, revision=release.revision, seconds=run.seconds)
    [leave] = uninstall(run.world, scope)
    for refusal in leave.refusals:
        raise refusal
    yield from run.do(leave.plan)


def aborting(run: Run, upgrade: Upgrade) -> Generator[Event, None, None]:
    """Take all back: the old revision whole again, everybody on it, tags and labels as before.

    Batches go back from the last to the first; `passed` counts those that have yet to go.

    Raises:
        FailedError: something does not come right on the old revision.
        StoppedError: somebody stays attached to the new one; says who.
    """
    source, target = upgrade.source, upgrade.target
    yield Started(ABORT, f"back to {named(source)}")
    yield from run.do(sending_back(run, upgrade, upgrade.passed))
    yield from run.do(_tags(run, upgrade, source))
    # One more than have passed: the one under way may have moved in part.
    begun = min(upgrade.passed, len(upgrade.batches) - 1) if upgrade.has_moved else -1
    for place in range(begun, -1, -1):
        batch = upgrade.batches[place]
        is_own = part_of(batch, own_gateways(source.manifest))
        steps = sending_back(run, upgrade, place) if is_own else going_back(run, upgrade, batch)
        try:
            yield from taken_back(run, upgrade, batch, steps)
        except FailedError:
            run.kept(upgrade, attempt=upgrade.attempt + 1)  # its pods are made anew once more by the next run
            raise
        upgrade = run.kept(upgrade, passed=place, attempt=upgrade.attempt + 1)
    yield from _rest(run, upgrade)
    yield from run.do(_labels(run, upgrade, source.revision, source.revision))
    yield from _left(run, upgrade, target)
    yield from _removed(run, target)
    run.records.forget_upgrade(source.mesh)
    yield Done(ABORT, f"all is on {named(source)} as before")


def _rest(run: Run, upgrade: Upgrade) -> Iterator[Event]:
    """Move back what came to the new revision without having been moved there."""
    riders = riders_of(run, upgrade.target, to=upgrade.source)
    came = (*riders.moving, *riders.late)
    if came:
        batch, to = Batch("what came since", (), came), upgrade.source.revision
        steps = move(run.cluster, batch, riders, to=to, moment=upgrade.moment, seconds=run.seconds)
        try:
            yield from taken_back(run, upgrade, batch, steps)
        except FailedError:
            run.kept(upgrade, attempt=upgrade.attempt + 1)  # its pods are made anew once more by the next run
            raise
