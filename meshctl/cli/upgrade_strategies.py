"""How `upgrade` begins: what is asked for, what speaks against it, and the two strategies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from meshctl.cli.inputs import opened
from meshctl.cli.status import FINDINGS
from meshctl.model.finding import Level
from meshctl.model.upgrade import Gate

if TYPE_CHECKING:
    from collections.abc import Generator

    from meshctl.actions.canary.sending import Run
    from meshctl.actions.install import Draft
    from meshctl.cli.app import App
    from meshctl.model.event import Event
    from meshctl.model.release import Release
    from meshctl.stages.settings.load import Loaded

T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """What the command line says of an upgrade that is to begin.

    Attributes:
        given: what files or a profile ask for; None: the settings of the installed release.
        asked: the options that say what to install.
        mesh: name of the mesh.
        leaving: revision that is left; None: the only one there is.
        dry_run: show all and send nothing.
        ignored: codes of findings that are no reason not to begin.
        size: how many workloads a batch has.
        pause: whether to stop after each batch.
        gate: what must hold after each.
    """

    given: Loaded | None
    asked: dict[str, Any]
    mesh: str
    leaving: str | None = None
    dry_run: bool = False
    ignored: tuple[str, ...] = ()
    size: str = ""
    pause: bool = False
    gate: Gate = field(default_factory=Gate)


def in_place(app: App, run: Run, wish: Wish) -> int:
    """Put the new control plane in the old one's place; the exit code."""
    from meshctl.actions.install import rehearse
    from meshctl.actions.rights import require_in_place
    from meshctl.actions.upgrade import in_place as planned_in_place
    from meshctl.actions.upgrade import send
    from meshctl.cli.install import headline, unchanged
    from meshctl.cli.plans import plan_text
    from meshctl.stages.planning.plan_data import plan_data

    run, wanted, source, draft = _drafted(app, run, wish, wish.leaving or wish.asked["revision"], None)
    if not _is_well(app, run, source, draft, wish):
        return FINDINGS
    wave = planned_in_place(run.world, wanted, source, take_over=run.take_over, seconds=run.seconds)
    if wave.plan.is_empty:
        app.report.result({"changed": False, **plan_data(wave.plan)}, unchanged(wave))
        return 0
    if wish.dry_run:
        app.report.result(plan_data(wave.plan), plan_text(wave.plan))
        for event in rehearse(run.world, wave.plan):
            app.report.event(event)
        return 0
    app.report.note(headline(wave))
    for warning in wave.plan.warnings:
        app.report.note(f"! {warning}")
    require_in_place(run.door, wave.plan, source)
    app.confirm("Go on?")
    for event in send(run.world, wave, take_over=run.take_over, seconds=run.seconds):
        app.report.event(event)
    return 0


def canary(app: App, run: Run, wish: Wish) -> int:
    """Put a second control plane beside the old one and move everybody there; the exit code."""
    from meshctl.actions.canary.batches import named
    from meshctl.actions.canary.preview import is_there, preview, revision_for
    from meshctl.actions.canary.upgrade import begin
    from meshctl.actions.rights import require_canary
    from meshctl.actions.upgrade import reached
    from meshctl.cli.upgrading import headline, preview_data, preview_text
    from meshctl.model.plan import Plan
    from meshctl.stages.planning.plan_data import plan_data

    to = wish.asked["version"]
    number = reached(run.world, wish.given, to=to, mesh=wish.mesh, leaving=wish.leaving)
    revision = wish.asked["revision"] or revision_for(number)
    run, _, source, draft = _drafted(app, run, wish, wish.leaving, revision)
    if is_there(run, source, draft):
        what = f"{named(source)} is there already, and as asked; nothing was sent"
        app.report.result({"changed": False, **plan_data(Plan(run.cluster))}, what)
        return 0
    planned = preview(run, source, draft, size=wish.size, gate=wish.gate, pause=wish.pause)
    if not _is_well(app, run, source, draft, wish):
        return FINDINGS
    if wish.dry_run:
        app.report.result(preview_data(planned), preview_text(planned))
        return 0
    app.report.note(headline(planned))
    for ref, why in planned.unready:
        app.report.note(f"! {ref} is not ready as it is: {why}")
    require_canary(run.door, planned)
    app.confirm("Go on?")
    ended(app, begin(run, planned))
    return 0


def ended(app: App, story: Generator[Event, None, Any]) -> None:
    """Tell a story to its end, and then how it ended."""
    from meshctl.cli.upgrading import summary_data, summary_text

    summary = _told(app, story)
    app.report.result(summary_data(summary), summary_text(summary))


def _told(app: App, story: Generator[Event, None, T]) -> T:
    while True:
        try:
            event = next(story)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what a generator returns
        app.report.event(event)


def _drafted(
    app: App, run: Run, wish: Wish, leaving: str | None, revision: str | None
) -> tuple[Run, Loaded, Release, Draft]:
    """What is to be, from what is there; a mesh.yaml may call the cluster otherwise than kubectl."""
    from meshctl.actions.install import drafted
    from meshctl.actions.upgrade import target

    wanted, source = target(
        run.world,
        wish.given,
        to=wish.asked["version"],
        mesh=wish.mesh,
        sets=wish.asked["sets"],
        revision=revision,
        leaving=leaving,
    )
    world, wanted = opened(app, wanted)
    [cluster] = wanted.mesh.clusters
    run = replace(run, world=world, cluster=cluster.name)
    return run, wanted, source, drafted(world, wanted, cluster)


def _is_well(app: App, run: Run, source: Release, draft: Draft, wish: Wish) -> bool:
    """Tell what speaks against an upgrade; whether none of it is an error that is not ignored."""
    from meshctl.actions.preflight import preflight, refusals
    from meshctl.cli.check import outcome_data, outcomes_text

    outcomes = tuple(preflight(run.world, run.cluster, source, draft))
    worth = tuple(each for each in outcomes if each.level and each.level.rank >= Level.WARNING.rank)
    refused = refusals(outcomes, wish.ignored)
    if not refused:
        if worth:
            app.report.note(outcomes_text(worth))
        return True
    codes = " ".join(f"--ignore {code}" for code in sorted({each.rule.code for each in refused}))
    words = f"{outcomes_text(worth)}; nothing was sent\nhint: mend what is wrong, or go on with {codes}"
    app.report.result({"refused": [outcome_data(each) for each in worth]}, words)
    return False
