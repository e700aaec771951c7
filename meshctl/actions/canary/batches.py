"""Batches of a canary upgrade: there, through the gate, and back where they do not pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.actions.canary.gate import attached, pass_through, pods_of, rejected, watch
from meshctl.actions.canary.sending import own_gateways, part_of, sending, with_gateways
from meshctl.errors import FailedError, MeshctlError, StoppedError, UnreachableError, listed
from meshctl.model.event import Done, Failed, Started, Warned
from meshctl.model.objects import Ref
from meshctl.model.plan import Await
from meshctl.model.upgrade import Batch, Gate, Method, Mover, Stage
from meshctl.stages.moving.batches import batches
from meshctl.stages.moving.moves import back, move, touched
from meshctl.stages.moving.workloads import found

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator

    from meshctl.actions.canary.sending import Run
    from meshctl.model.event import Event
    from meshctl.model.plan import Plan
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Labels, Upgrade
    from meshctl.stages.moving.workloads import Riders

_TRIES = 5  # at a batch of which something goes away meanwhile
_REVERTS = 3  # times that what has moved is moved once more, before whoever takes it back must be told


def named(release: Release) -> str:
    """A revision as people read it, with its version: `default (1.31.0)`."""
    return f"{release.revision or 'default'} ({release.version})"


def riders_of(run: Run, release: Release, *, to: Release) -> Riders:
    """Whoever has a proxy of a release's revision; our own gateways aside, which are sent, not moved."""
    return found(run.door, release.revision, istio_namespace=release.namespace, to=to.revision)


def settled(riders: Riders, source: Release, target: Release, size: str) -> tuple[Batch, ...]:
    """All that has to move, in batches: workloads, users' gateways, then our own, one by one."""
    return (*batches(riders, size), *_own(source, target))


def _own(source: Release, target: Release) -> Iterator[Batch]:
    coming = own_gateways(target.manifest)
    for ref, part in sorted(own_gateways(source.manifest).items(), key=lambda each: each[0]):
        if ref in coming:
            yield Batch(part.name, (), (Mover(ref, Method.RESTART, 0, "sent anew"),))


def moving(run: Run, upgrade: Upgrade) -> Generator[Event, None, Upgrade]:
    """Move batch after batch until nobody is left on the old revision who can be moved.

    Raises:
        FailedError: a batch did not pass; it was moved back.
        StoppedError: a pause was asked for, the connection was lost, or somebody takes back what has moved.
    """
    reverts = 0
    while True:
        while upgrade.passed < len(upgrade.batches):
            upgrade = yield from passed(run, upgrade)
            if upgrade.pause:
                raise _paused(run, upgrade)
        late = batches(riders_of(run, upgrade.source, to=upgrade.target), "")
        if not late:
            return run.kept(upgrade, stage=Stage.PROMOTION)
        reverted = _places(late) & _places(upgrade.batches)
        reverts += bool(reverted)
        if reverts > _REVERTS:
            raise _taken_from_us(run, upgrade, reverted)
        since = (replace(each, name=f"{each.name} of what came since") for each in late)
        upgrade = run.kept(upgrade, batches=(*upgrade.batches, *since))


def _places(moved: Iterable[Batch]) -> set[Ref]:
    """Namespaces that batches lead elsewhere, and workloads that they move."""
    homes = {Ref("v1", "Namespace", "", name) for each in moved for name in each.namespaces}
    return homes | {mover.ref for each in moved for mover in each.workloads}


def _taken_from_us(run: Run, upgrade: Upgrade, places: Collection[Ref]) -> StoppedError:
    homes = {ref.name for ref in places if ref.kind == "Namespace"}
    names = listed(str(ref) for ref in sorted(places) if ref.namespace not in homes)
    reason = f"somebody keeps leading back to {named(upgrade.source)} what has moved: {names}"
    run.kept(upgrade, reason=reason)
    return StoppedError(
        "labels-reverted",
        reason,
        hint=f"have the tool that sets the label istio.io/rev there, such as Argo CD or Flux, leave it alone "
        f"or set it to {upgrade.target.revision}; then `meshctl upgrade resume`",
    )


def _paused(run: Run, upgrade: Upgrade) -> StoppedError:
    reason = f"paused, as asked, after batch {upgrade.passed} of {len(upgrade.batches)}"
    run.kept(upgrade, reason=reason)
    return StoppedError(
        "upgrade-paused",
        reason,
        hint="`meshctl upgrade resume` goes on, `promote` goes on without pauses, `abort` takes all back",
    )


def passed(run: Run, upgrade: Upgrade) -> Generator[Event, None, Upgrade]:
    """The next batch, moved and judged, and moved back where it does not pass.

    In the promotion it stays where it is, as the tags lead to the new revision by then.

    Raises:
        FailedError: it did not pass.
    """
    batch, begun = upgrade.batches[upgrade.passed], run.world.clock.monotonic()
    promotes = upgrade.stage is Stage.PROMOTION
    is_own = part_of(batch, own_gateways(upgrade.target.manifest))
    stage = upgrade.stage if promotes else Stage.GATEWAYS if is_own else Stage.WORKLOADS
    upgrade = run.kept(upgrade, stage=stage, labelled=_labelled(run, upgrade, batch), reason="")
    yield Started(batch.name, listed(str(each.ref) for each in batch.workloads))
    try:
        yield from _moved_and_judged(run, upgrade, batch)
    except (StoppedError, UnreachableError):
        raise
    except MeshctlError as error:
        reason, details = _why_not(run, upgrade, batch, error)
        upgrade = run.kept(upgrade, returning=not promotes, attempt=upgrade.attempt + 1, reason=reason)
        yield Failed(batch.name, f"on {named(upgrade.target)}", error)
        if not promotes:
            upgrade = yield from returned(run, upgrade)
        raise failure(upgrade, details) from error
    took = run.world.clock.monotonic() - begun
    yield Done(batch.name, f"passed the gate on {named(upgrade.target)}", took)
    return run.kept(upgrade, passed=upgrade.passed + 1, attempt=upgrade.attempt + 1)


def _why_not(run: Run, upgrade: Upgrade, batch: Batch, error: MeshctlError) -> tuple[str, tuple[str, ...]]:
    """Why a batch did not pass, in one line for the record, and what else there is to be told."""
    words = _rejected(run, upgrade, batch, error)
    return "; ".join((f"{batch.name}: {error.message}", *words[:1])), (*error.details, *words)


def _rejected(run: Run, upgrade: Upgrade, batch: Batch, error: MeshctlError) -> tuple[str, ...]:
    """What the batch's proxies reject, in Envoy's words, where the error does not say so itself.

    Such a pod never becomes ready, so that its rollout fails before the gate can ask it.
    """
    if error.code == "gate-failed":
        return ()
    return rejected(
        run.world,
        run.cluster,
        revision=upgrade.target.revision,
        pods=lambda: pods_of(run.door, batch.workloads),
        istio_namespace=upgrade.target.namespace,
    )


def failure(upgrade: Upgrade, details: tuple[str, ...] = ()) -> FailedError:
    """The error for a batch that did not pass, where its workloads are now, and why."""
    if upgrade.stage is Stage.PROMOTION:
        code, place = "promotion-failed", "it was not moved back"
    else:
        code, place = "batch-failed", f"it was moved back to {named(upgrade.source)}"
    return FailedError(
        code,
        f"{upgrade.reason}; {place}",
        hint="`meshctl upgrade resume` tries it again, `meshctl upgrade abort` takes all back",
        details=details,
    )


def _labelled(run: Run, upgrade: Upgrade, batch: Batch) -> tuple[tuple[str, Labels], ...]:
    """The record of labels as they were, with those that this batch is about to change."""
    changed = touched(batch, riders_of(run, upgrade.source, to=upgrade.target))
    return tuple(sorted({**dict(changed), **dict(upgrade.labelled)}.items()))


def _moved_and_judged(run: Run, upgrade: Upgrade, batch: Batch) -> Iterator[Event]:
    """Move what of a batch is there, and have it pass the gate.

    What goes away meanwhile has nothing to move any more, and is no failure of the rest.

    Raises:
        MeshctlError: it did not pass, or something of it has gone away at each of the tries.
    """
    there = _there(run, batch)
    for tries in range(1, _TRIES + 1):
        if not there.workloads and not there.namespaces:
            return
        try:
            yield from run.do(_move_plan(run, upgrade, there), heed=_heeding(run, upgrade, there))
            yield from _judged(run, upgrade, there)
        except (StoppedError, UnreachableError):
            raise
        except MeshctlError:
            rest = _there(run, there)
            if rest == there or tries == _TRIES:
                raise
            there = rest
        else:
            return


def _heeding(run: Run, upgrade: Upgrade, batch: Batch) -> Callable[[], None]:
    """Ends a batch early whose new proxies reject what they are sent: it would be waited for in vain."""
    return watch(
        run.world,
        run.cluster,
        revision=upgrade.target.revision,
        pods=lambda: pods_of(run.door, batch.workloads),
        istio_namespace=upgrade.target.namespace,
    )


def _move_plan(run: Run, upgrade: Upgrade, batch: Batch) -> Plan:
    if part_of(batch, own_gateways(upgrade.target.manifest)):
        return sending(run, with_gateways(upgrade, upgrade.passed + 1), upgrade.target)
    return move(
        run.cluster,
        batch,
        riders_of(run, upgrade.source, to=upgrade.target),
        to=upgrade.target.revision,
        moment=upgrade.moment,
        seconds=run.seconds,
    )


def _judged(run: Run, upgrade: Upgrade, batch: Batch) -> Iterator[Event]:
    yield from pass_through(
        run.world,
        run.cluster,
        revision=upgrade.target.revision,
        pods=lambda: pods_of(run.door, batch.workloads),
        gate=upgrade.gate,
        istio_namespace=upgrade.target.namespace,
        batch=batch.name,
    )


# The way back.


def returned(run: Run, upgrade: Upgrade, *, resumed: bool = False) -> Generator[Event, None, Upgrade]:
    """The batch that failed, moved back, and its proxies seen on the old revision.

    `resumed` is whether an earlier run may have moved it back, without having seen that it is there.
    """
    batch = upgrade.batches[upgrade.passed]
    part = part_of(batch, own_gateways(upgrade.source.manifest))
    if part:
        steps = sending(run, with_gateways(upgrade, upgrade.passed, back=part), upgrade.target)
    else:
        steps = going_back(run, upgrade, batch)
    try:
        yield from taken_back(run, upgrade, batch, steps, resumed=resumed)
    except FailedError:
        run.kept(upgrade, attempt=upgrade.attempt + 1)  # its pods are made anew once more by the next run
        raise
    return run.kept(upgrade, returning=False, attempt=upgrade.attempt + 1)


def going_back(run: Run, upgrade: Upgrade, batch: Batch) -> Plan:
    """The plan that moves a batch of workloads back; only reads."""
    moved = [each.ref for one in upgrade.batches[: upgrade.passed] for each in one.workloads]
    return back(
        run.cluster,
        _there(run, batch),
        riders_of(run, upgrade.target, to=upgrade.source),
        upgrade.labelled,
        moment=upgrade.moment,
        seconds=run.seconds,
        to=upgrade.source.revision,
        keep=set(moved) - {each.ref for each in batch.workloads},
    )


def taken_back(
    run: Run, upgrade: Upgrade, batch: Batch, steps: Plan, *, resumed: bool = False
) -> Iterator[Event]:
    """Do the plan of a batch's way back, and see by xDS that its proxies are on the old revision again.

    Where nothing of the batch had moved, nothing is done; where it is `resumed`, nothing left to move may
    as well have been moved by the run before. A pod that is not well on the old revision
    either, as it may have been before, is told: it is no reason to stop on the way back.

    Raises:
        FailedError: some are still attached to the new one.
    """
    if not resumed and all(isinstance(step, Await) for step in steps.steps):
        return
    try:
        yield from run.do(steps)
        yield from _seen_back(run, upgrade, batch)
    except FailedError as error:
        left = _still_there(run, upgrade, batch)
        if left:
            raise FailedError(
                "not-back",
                f"{batch.name} was to go back to {named(upgrade.source)}, and {listed(left)} did not",
                hint="mend the cause, then `meshctl upgrade abort` or `resume`",
                details=(error.message, *error.details),
            ) from error
        yield Warned(batch.name, f"back on {named(upgrade.source)}", error.message)


def _seen_back(run: Run, upgrade: Upgrade, batch: Batch) -> Iterator[Event]:
    source = upgrade.source
    yield from pass_through(
        run.world,
        run.cluster,
        revision=source.revision,
        pods=lambda: pods_of(run.door, batch.workloads),
        gate=Gate(seconds=upgrade.gate.seconds),
        istio_namespace=source.namespace,
        batch=f"{batch.name}, back",
    )


def _still_there(run: Run, upgrade: Upgrade, batch: Batch) -> tuple[str, ...]:
    """Pods of a batch that are attached to the new revision."""
    target = upgrade.target
    told = attached(run.world, run.cluster, revision=target.revision, istio_namespace=target.namespace)
    ours = {f"{namespace}/{name}" for namespace, name in pods_of(run.door, batch.workloads)}
    return tuple(sorted(ours.intersection(told)))


def _there(run: Run, batch: Batch) -> Batch:
    """What of a batch is still there and not leaving."""

    def stays(ref: Ref) -> bool:
        live = run.door.get(ref)
        return live is not None and not live.is_leaving

    homes = {*batch.namespaces, *(each.ref.namespace for each in batch.workloads)}
    homes = {name for name in homes if stays(Ref("v1", "Namespace", "", name))}
    return replace(
        batch,
        namespaces=tuple(each for each in batch.namespaces if each in homes),
        workloads=tuple(each for each in batch.workloads if each.ref.namespace in homes and stays(each.ref)),
    )
