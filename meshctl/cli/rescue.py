"""`check --rescue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.status import FINDINGS
from meshctl.model.rescue import Remedy
from meshctl.model.tag import DEFAULT

if TYPE_CHECKING:
    from meshctl.actions.rescue import Rescue
    from meshctl.cli.app import App
    from meshctl.model.rescue import Blocker

_DONE = {
    Remedy.RESTORE: "its istiod runs: the Service is put back",
    Remedy.REMOVE: "removed, as its control plane is gone",
    Remedy.TRIM: "these entries are removed; the others are answered",
}


def mend_webhooks(app: App, revision: str | None, *, dry_run: bool) -> int:
    """Show webhooks that nobody answers, and mend them; the exit code.

    Raises:
        FailedError: something is refused still.
    """
    from meshctl.actions.rescue import mend, rescue

    world = app.target.world()
    code = 0
    for turn in rescue(world, revision=revision, istio_namespace=app.target.istio_namespace):
        if not turn.blockers:
            app.report.result(rescue_data(turn), "every webhook that may refuse something is answered")
            continue
        if dry_run:
            app.report.result(rescue_data(turn), rescue_text(turn))
            code = FINDINGS
            continue
        app.report.note(rescue_text(turn))
        if not turn.plan.is_empty:
            app.confirm(f"Do this in {turn.cluster}?")
        for event in mend(world, turn):
            app.report.event(event)
        app.report.result(rescue_data(turn), "nothing is refused for want of an answer any more")
    return code


def rescue_text(turn: Rescue) -> str:
    """What is wrong and what is done about each, then the steps."""
    from meshctl.cli.plans import plan_text

    lines = []
    for each in turn.blockers:
        lines += [
            f"x {each.ref}",
            f"    {each.why}",
            f"    refused meanwhile: {', '.join(each.blocks)}",
            f"    → {_remedy(each, turn)}",
        ]
    return "\n".join([*lines, "", plan_text(turn.plan)] if not turn.plan.is_empty else lines)


def _remedy(each: Blocker, turn: Rescue) -> str:
    if each.remedy is Remedy.REPOINT:
        return f"tag {each.tag!r} is made to lead to revision {turn.target or DEFAULT!r}, which answers"
    if each.remedy is Remedy.TRIM:
        return f"{_DONE[each.remedy]}: {', '.join(each.entries)}"
    if each.remedy is Remedy.TELL:
        return f"it is not Istio's, and is left alone; if its owner is gone: {each.advice}"
    return each.advice or _DONE[each.remedy]


def rescue_data(turn: Rescue) -> dict[str, Any]:
    """A rescue for a program; described in docs/reference/json.md."""
    from meshctl.stages.planning.plan_data import plan_data

    return {
        "cluster": turn.cluster,
        "blockers": [
            {
                "kind": each.ref.kind,
                "name": each.ref.name,
                "webhooks": list(each.entries),
                "why": each.why,
                "refused": list(each.blocks),
                "remedy": each.remedy.value,
                "tag": each.tag or None,
                "advice": each.advice or None,
            }
            for each in turn.blockers
        ],
        "target": None if turn.target is None else turn.target or DEFAULT,
        "plan": plan_data(turn.plan),
    }
