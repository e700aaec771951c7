"""`check`: named questions to a cluster, each with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import DURATION, inputs_options, loaded, opened
from meshctl.cli.status import FINDINGS
from meshctl.cli.tables import findings_text
from meshctl.model.finding import Level

if TYPE_CHECKING:
    from meshctl.model.check import Outcome


@click.command()
@inputs_options
@click.option("--pre", is_flag=True, help="Ask whether an install of what these options say would work.")
@click.option("--to", metavar="VERSION", help="With --pre: ask whether an upgrade to this Istio would work.")
@click.option(
    "--rescue",
    is_flag=True,
    help="Mend webhooks that refuse pods or Istio objects, as nobody answers them.",
)
@click.option(
    "--dry-run", is_flag=True, help="With --rescue: only show what is wrong and what would be done."
)
@click.option(
    "--wait",
    default="0s",
    metavar="DURATION",
    type=DURATION,
    help="Ask again for what may still settle: 30s, 2m.",
)
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.ERROR.value,
    show_default=True,
    help="Exit code 3 when a finding is at least this bad.",
)
@command(cluster=True, yes=True, works=True)
def check(
    app: App, pre: bool, to: str, rescue: bool, dry_run: bool, wait: float, fail_on: str, **asked: Any
) -> int:
    """Ask every check, many at once; tell what does not hold and what to do about it.

    Without --pre the mesh that is installed is checked. Nothing is changed, but with --rescue: that finds
    webhooks of the API server that nobody answers, so that pods or Istio objects cannot be made. Istio's
    are made to lead to a control plane that answers (--revision chooses it), or are removed; others' are
    told. It needs no record and no control plane. Exit code 3 with --dry-run when there are any.

    \b
    Examples:
      meshctl check --pre
      meshctl check --pre --to 1.32
      meshctl check --wait 1m
      meshctl check --fail-on warning -o json
      meshctl check --rescue --dry-run
      meshctl check --rescue --yes
    """
    if rescue:
        from meshctl.cli.rescue import mend_webhooks

        return mend_webhooks(app, asked["revision"], dry_run=dry_run)
    from meshctl.actions.checks import after_install, before_install

    if to and not pre:
        raise click.UsageError("--to needs --pre: it asks what would happen")
    if to:
        outcomes = _before_upgrade(app, {**asked, "version": to}, wait=wait)
    elif pre:
        wanted = loaded(app, asked)
        world, mesh = opened(app, wanted)
        outcomes = tuple(before_install(world, mesh, wait=wait))
    else:
        world = app.target.world()
        outcomes = tuple(after_install(world, app.target.istio_namespace, wait=wait))
    app.report.result([outcome_data(each) for each in outcomes], outcomes_text(outcomes))
    worst = max((each.level.rank for each in outcomes if each.level), default=-1)
    return FINDINGS if worst >= Level(fail_on).rank else 0


def _before_upgrade(app: App, asked: dict[str, Any], *, wait: float) -> tuple[Outcome, ...]:
    """What `meshctl upgrade` asks first, with the same options; another --revision is a canary's."""
    from meshctl.actions.install import drafted
    from meshctl.actions.preflight import preflight
    from meshctl.actions.upgrade import target

    given = loaded(app, asked) if asked["files"] or asked["profile"] else None
    world = opened(app, given)[0] if given else app.target.world()
    wanted, source = target(
        world,
        given,
        to=asked["version"],
        mesh=given.mesh.name if given else "mesh",
        sets=asked["sets"],
        revision=asked["revision"],
    )
    _, wanted = opened(app, wanted)
    [cluster] = wanted.mesh.clusters
    draft = drafted(world, wanted, cluster)
    return tuple(preflight(world, cluster.name, source, draft, wait=wait))


def outcomes_text(outcomes: tuple[Outcome, ...]) -> str:
    """One line a check, its findings below it, then the count."""
    lines = []
    for each in outcomes:
        lines.append(
            f"{_mark(each)} {each.rules[0].summary}{f'  (skipped: {each.skipped})' if each.skipped else ''}"
        )
        lines += [f"    {line}" for block in findings_text(each.findings) for line in block.splitlines()]
    held = sum(each.passed for each in outcomes)
    skipped = sum(bool(each.skipped) for each in outcomes)
    found = sum(len(each.findings) for each in outcomes)
    return "\n".join([*lines, "", f"{held} hold, {found} findings, {skipped} skipped"])


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome for a program; described in docs/reference/json.md."""
    from meshctl.stages.seeing.status_data import finding_data

    return {
        "cluster": outcome.cluster,
        "check": outcome.check,
        "passed": outcome.passed,
        "skipped": outcome.skipped,
        "findings": [finding_data(each) for each in outcome.findings],
    }


def _mark(outcome: Outcome) -> str:
    if outcome.passed:
        return "✓"
    return "-" if outcome.level is None else "i!x"[outcome.level.rank]
