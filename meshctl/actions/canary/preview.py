"""What a canary upgrade is going to do, before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions import tags
from meshctl.actions.canary.batches import riders_of, settled
from meshctl.actions.canary.sending import control_plane, sending
from meshctl.errors import ConfigError, Where
from meshctl.model.plan import Plan
from meshctl.model.tag import DEFAULT
from meshctl.model.upgrade import Gate, Upgrade
from meshctl.stages.moving.moves import move
from meshctl.stages.planning.records import standing
from meshctl.stages.planning.tags import held_back

if TYPE_CHECKING:
    from meshctl.actions.canary.sending import Run
    from meshctl.actions.install import Draft
    from meshctl.model.objects import Ref
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Mover, Stayer

_OTHER_NAME = "give the new one another name with --revision"


@dataclass(frozen=True)
class Preview:
    """All that an upgrade is going to do, as it looks before it begins.

    Attributes:
        upgrade: what will be recorded first.
        control_plane: the steps that put the new control plane beside the old one.
        moves: the steps of each batch of workloads, as they would be now.
        late: what moves once the tags have, as its own labels name one.
        stayers: what nobody can move, and why.
        unready: workloads that are not ready as it is, and why: their gate would not be passed.
        retired: what only the old revision has, and goes with it.
    """

    upgrade: Upgrade
    control_plane: Plan
    moves: tuple[Plan, ...] = ()
    late: tuple[Mover, ...] = ()
    stayers: tuple[Stayer, ...] = ()
    unready: tuple[tuple[str, str], ...] = ()
    retired: tuple[Ref, ...] = ()

    @property
    def plans(self) -> Plan:
        """All that is sent until everybody has moved, for those who ask whether we may."""
        phases = (phase for plan in (self.control_plane, *self.moves) for phase in plan.phases)
        return Plan(self.control_plane.cluster, tuple(phases))


def revision_for(version: str) -> str:
    """The name of a control plane that nobody named: `1-32-0`."""
    return "".join(each if each.isalnum() else "-" for each in version.lower()).strip("-")


def preview(
    run: Run,
    source: Release,
    draft: Draft,
    *,
    size: str = "",
    gate: Gate | None = None,
    pause: bool = False,
) -> Preview:
    """What an upgrade from a release to a draft will do. Only reads.

    Args:
        run: where.
        source: the release that is left.
        draft: what the new revision is to have.
        size: how many workloads move together: `10%`, `5`; empty: those of a namespace.
        gate: what must hold after each batch.
        pause: whether to stop after each batch.

    Raises:
        ConfigError: the revision has a control plane already, is the unnamed one or called as a tag is, or
            `size` is none.
    """
    # The inventory is in every record of a release, and much of its size.
    target = replace(draft.release, inventory=(), generation=0, cause=f"upgrade from {source.version}")
    _require_free(run, source, target)
    riders = riders_of(run, source, to=target)
    upgrade = Upgrade(
        created=run.world.clock.now().isoformat(timespec="seconds"),
        source=source,
        target=target,
        batches=settled(riders, source, target, size),
        tags=tuple((each.name, each.revision) for each in tags.led(run.door, source.revision)),
        gate=gate or Gate(),
        pause=pause,
    )
    moves = (
        move(run.cluster, each, riders, to=target.revision, moment=upgrade.moment, seconds=run.seconds)
        for each in upgrade.batches
    )
    return Preview(
        upgrade,
        control_plane=sending(run, control_plane(target), target),
        moves=tuple(moves),
        late=riders.late,
        stayers=riders.stayers,
        unready=tuple((str(ref), why) for ref, why in sorted(riders.unready.items())),
        retired=tuple(sorted(source.refs - target.refs)),
    )


def is_there(run: Run, source: Release, draft: Draft) -> bool:
    """Whether what an upgrade asks for stands there already, as after one that has ended. Only reads."""
    release = draft.release
    if (release.revision or DEFAULT, release.version) != (source.revision or DEFAULT, source.version):
        return False
    desired = held_back(release.manifest, draft.seen.objects, release.revision)
    return sending(run, desired, release).is_empty


def _require_free(run: Run, source: Release, target: Release) -> None:
    name = target.revision or DEFAULT
    if name in {each.revision or DEFAULT for each in standing(run.records.of(source.mesh), source.mesh)}:
        raise ConfigError(
            "revision-taken",
            f"revision {name!r} has a control plane already",
            where=Where("--revision"),
            hint=_OTHER_NAME,
        )
    if name == DEFAULT:
        # Its injector and its istiod serve whatever names no revision from their first moment on.
        raise ConfigError(
            "revision-unnamed",
            "the unnamed revision cannot come to stand beside another: it would take over at once",
            where=Where("--revision"),
            hint=_OTHER_NAME,
        )
    if name in {each.name for each in tags.every_tag(run.door)}:
        raise ConfigError(
            "revision-taken",
            f"{name!r} is the name of a tag already",
            where=Where("--revision"),
            hint=_OTHER_NAME,
        )
