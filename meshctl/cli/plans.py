"""A plan as a person reads it, and as a program does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, assert_never

from meshctl.model.plan import (
    Apply,
    Await,
    Delete,
    Evict,
    Inherit,
    Probe,
    Provide,
    Record,
    Relabel,
    Restart,
    Restore,
    Save,
    Strip,
)
from meshctl.stages.planning.kinds import DEFINITION
from meshctl.stages.planning.plan_data import as_shown, plan_data, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.actions.uninstall import Leave
    from meshctl.model.plan import Change, Plan, Step
    from meshctl.stages.removing.attached import Attached, Leading
    from meshctl.stages.removing.residue import Remainder

MOST_CHANGES = 12
"""Leaves shown of one object; JSON has them all."""
MOST_OF_A_DEFINITION = 3
"""Leaves shown of a definition: two versions of it differ in hundreds, nearly all of them wording."""


def plan_text(plan: Plan) -> str:
    """The plan by part: `+` new, `~` changed with each leaf, `-` removed, then the counts."""
    if plan.is_empty:
        return "nothing to do: the cluster is as asked"
    parts: dict[str, list[str]] = {}
    for step in plan.steps:
        parts.setdefault(step.part, []).extend(f"  {line}" for line in _lines(step))
    lines = [line for part, found in parts.items() if found for line in (part, *found)]
    return "\n".join([*lines, *(f"! {warning}" for warning in plan.warnings), "", counted(plan)])


def counted(plan: Plan) -> str:
    """`39 to create, 2 to change, 1 to remove`, what does not happen left out."""
    counts = Counter(done for step in plan.steps if (done := word(step)))
    order = ("adopt", "create", "change", "remove", "relabel", "restart", "evict", "strip", "save")
    return (
        ", ".join(f"{counts[each]} to {each}" for each in order if counts[each]) or "only records to settle"
    )


def _lines(step: Step) -> list[str]:
    match step:
        case Apply(live=None) | Restore(live=None):
            return [f"+ {step.ref}"]
        case Apply() | Restore():
            most = MOST_OF_A_DEFINITION if step.ref.kind == DEFINITION else MOST_CHANGES
            shown = [f"    {_change(change)}" for change in step.changes[:most]]
            if len(step.changes) > most:
                shown.append(f"    and {len(step.changes) - most} more (-o json shows all)")
            return [f"~ {step.ref}", *shown]
        case Provide():
            return [f"{'~' if step.live else '+'} {step.ref}{_because(step.why)}"]
        case Delete():
            return [f"- {step.ref}{_because(step.why)}"]
        case Inherit():
            return [f"> {step.ref}  ({step.why})"]
        case Relabel():
            return [f"~ {step.ref}: labels {', '.join(_label(*each) for each in step.labels)}"]
        case Restart():
            return [f"~ {step.ref}: its pods are made anew{_because(step.why)}"]
        case Evict():
            return [f"~ {step.ref}: evicted, as its disruption budgets allow{_because(step.why)}"]
        case Strip():
            return [f"~ {step.ref}: finalizers {', '.join(step.finalizers)} taken away"]
        case Save():
            return [f"> {len(step.refs)} objects saved to {step.file}"]
        case Await() | Probe() | Record():
            return []
    assert_never(step)


def _because(why: str) -> str:
    return f"  ({why})" if why else ""


def _label(name: str, value: str | None) -> str:
    return f"{name} taken away" if value is None else f"{name}={value}"


def _change(change: Change) -> str:
    how = "changed by" if change.drifted else "held by"
    owner = f"  ({how} {change.owner})" if change.owner else ""
    seen, wanted = as_shown(change)
    if change.seen is None:
        return f"{change.path}: + {short(wanted)}{owner}"
    if change.wanted is None:
        return f"{change.path}: - {short(seen)}{owner}"
    return f"{change.path}: {short(seen)} → {short(wanted)}{owner}"


def short(value: Any) -> str:
    """A value on the line of its leaf."""
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "⏎")
    return text if len(text) <= 60 else f"{text[:57]}…"


MOST_PODS = 10
"""Pods named one by one; JSON has them all."""


def removal_text(leave: Leave) -> list[str]:
    """A removal before it is done: sidecars taken out first, what goes, and whom it leaves alone."""
    parts = []
    if not leave.labels.is_empty:
        parts.append(f"first, labels that the upgrade has changed are put back:\n{plan_text(leave.labels)}")
    if not leave.freeing.is_empty:
        parts.append(f"first, sidecars are taken out:\n{plan_text(leave.freeing)}")
    parts.append(plan_text(leave.plan))
    if leave.attached:
        parts.append(attached_text(leave.attached))
    if leave.unasked:
        parts.append(
            f"! istiods could not be asked which proxies they have; pods alone tell: {leave.unasked}"
        )
    parts += [f"! tag {each.name} leads here; {_users(each)}" for each in leave.leading]
    parts += [f"! {each}" for each in leave.webhooks]
    return parts


def _users(tag: Leading) -> str:
    return f"used by {', '.join(tag.users)}" if tag.users else "nobody uses it"


def attached_text(proxies: Sequence[Attached]) -> str:
    """Whose proxies lose their control plane."""
    lines = [f"! {len(proxies)} proxies lose their control plane; they go when their pods are made anew:"]
    lines += [f"    {each.place}{f': {each.why}' if each.why else ''}" for each in proxies[:MOST_PODS]]
    if len(proxies) > MOST_PODS:
        lines.append(f"    and {len(proxies) - MOST_PODS} more")
    return "\n".join(lines)


def left_text(left: Sequence[Remainder], revision: str | None = None) -> str:
    """The verdict: nothing, or each thing with the reason why it is there.

    Args:
        left: what is there.
        revision: the one control plane that went, others staying; None where all went.
    """
    what = "the mesh" if revision is None else f"revision {revision or 'default'}"
    if not left:
        return f"nothing of {what} is left"
    missed = sum(not each.meant for each in left)
    verdict = (
        f"{missed} objects of {what} are left"
        if missed
        else f"nothing of {what} is left, but what was to stay"
    )
    return "\n".join([verdict, *(f"  {'.' if each.meant else 'x'} {each.ref}: {each.why}" for each in left)])


def removal_data(leave: Leave, left: Sequence[Remainder]) -> dict[str, Any]:
    """A removal for a program; described in docs/reference/json.md."""
    return {
        "plan": plan_data(leave.plan),
        "labels": plan_data(leave.labels),
        "uninjection": plan_data(leave.freeing),
        "attached": [
            {"pod": each.place, "revision": each.revision, "carrier": str(each.carrier), "why": each.why}
            for each in leave.attached
        ],
        "unasked": leave.unasked,
        "tags": [{"name": each.name, "users": list(each.users)} for each in leave.leading],
        "refused": [each.code for each in leave.refusals],
        "before": [str(ref) for ref in leave.before],
        "left": [{"object": str(each.ref), "why": each.why, "meant": each.meant} for each in left],
        "clean": all(each.meant for each in left),
    }
