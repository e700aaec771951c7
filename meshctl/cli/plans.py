"""A plan as a person reads it, and as a program does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, assert_never

from meshctl.model.plan import Apply, Await, Condition, Delete, Evict, Record, Relabel, Restart, Save, Strip
from meshctl.stages.comparing.secrets import masked_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.actions.uninstall import Leave
    from meshctl.model.plan import Change, Plan, Step
    from meshctl.stages.removing.residue import Attached, Remainder

MOST_CHANGES = 12
"""Leaves shown of one object; JSON has them all."""


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
    counts = Counter(word for step in plan.steps if (word := _word(step)))
    order = ("create", "change", "remove", "relabel", "restart", "evict", "strip", "save")
    return (
        ", ".join(f"{counts[word]} to {word}" for word in order if counts[word]) or "only records to settle"
    )


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for a program; described in docs/reference/json.md."""
    return {
        "cluster": plan.cluster,
        "empty": plan.is_empty,
        "phases": [
            {"title": phase.title, "steps": [_data(step) for step in phase.steps]} for phase in plan.phases
        ],
        "warnings": list(plan.warnings),
    }


def _word(step: Step) -> str:
    match step:
        case Apply(live=None):
            return "create"
        case Apply():
            return "change"
        case Delete():
            return "remove"
        case Relabel():
            return "relabel"
        case Restart():
            return "restart"
        case Evict():
            return "evict"
        case Strip():
            return "strip"
        case Save():
            return "save"
        case Await() | Record():
            return ""
    assert_never(step)


def _lines(step: Step) -> list[str]:
    match step:
        case Apply(live=None):
            return [f"+ {step.ref}"]
        case Apply():
            shown = [f"    {_change(change)}" for change in step.changes[:MOST_CHANGES]]
            if len(step.changes) > MOST_CHANGES:
                shown.append(f"    and {len(step.changes) - MOST_CHANGES} more (-o json shows all)")
            return [f"~ {step.ref}", *shown]
        case Delete():
            return [f"- {step.ref}{f'  ({step.why})' if step.why else ''}"]
        case Relabel():
            return [f"~ {step.ref}: labels {', '.join(_label(*each) for each in step.labels)}"]
        case Restart():
            return [f"~ {step.ref}: its pods are made anew"]
        case Evict():
            return [f"~ {step.ref}: evicted, as its disruption budgets allow"]
        case Strip():
            return [f"~ {step.ref}: finalizers {', '.join(step.finalizers)} taken away"]
        case Save():
            return [f"> {len(step.refs)} objects saved to {step.file}"]
        case Await() | Record():
            return []
    assert_never(step)


def _label(name: str, value: str | None) -> str:
    return f"{name} taken away" if value is None else f"{name}={value}"


def _change(change: Change) -> str:
    owner = f"  (held by {change.owner})" if change.owner else ""
    seen, wanted = _as_shown(change)
    if change.seen is None:
        return f"{change.path}: + {_short(wanted)}{owner}"
    if change.wanted is None:
        return f"{change.path}: - {_short(seen)}{owner}"
    return f"{change.path}: {_short(seen)} → {_short(wanted)}{owner}"


def _as_shown(change: Change) -> tuple[Any, Any]:
    """What was seen and what is wanted, without tokens and keys."""
    return masked_pair(change.path.rpartition(".")[2], change.seen, change.wanted)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "⏎")
    return text if len(text) <= 60 else f"{text[:57]}…"


def _data(step: Step) -> dict[str, Any]:
    match step:
        case Apply():
            changes = [
                {"path": each.path, "seen": seen, "wanted": wanted, "owner": each.owner}
                for each in step.changes
                for seen, wanted in [_as_shown(each)]
            ]
            return {"do": _word(step), "part": step.part, **_named(step), "changes": changes}
        case Delete():
            return {"do": "remove", "part": step.part, **_named(step), "why": step.why}
        case Relabel():
            return {
                "do": "relabel",
                "part": step.part,
                **_named(step),
                "labels": dict(step.labels),
                "why": step.why,
            }
        case Restart() | Evict():
            return {"do": _word(step), "part": step.part, **_named(step), "why": step.why}
        case Strip():
            return {"do": "strip", "part": step.part, **_named(step), "finalizers": list(step.finalizers)}
        case Save():
            return {
                "do": "save",
                "part": step.part,
                "file": step.file,
                "objects": [str(ref) for ref in step.refs],
            }
        case Await(condition=Condition() as condition):
            return {
                "do": "await",
                "part": step.part,
                **_named(step),
                "condition": str(condition),
                "seconds": step.seconds,
            }
        case Record():
            word = "forget" if step.forget else "record"
            return {"do": word, "release": step.release.generation, "status": str(step.release.status)}
    assert_never(step)


def _named(step: Apply | Delete | Relabel | Restart | Evict | Strip | Await) -> dict[str, str]:
    ref = step.ref
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


MOST_PODS = 10
"""Pods named one by one; JSON has them all."""


def attached_text(pods: Sequence[Attached]) -> str:
    """Whose proxies lose their control plane."""
    lines = [
        f"! {len(pods)} running pods lose their control plane; restart them afterwards to drop the proxy:"
    ]
    lines += [f"    {each.pod.place}" for each in pods[:MOST_PODS]]
    if len(pods) > MOST_PODS:
        lines.append(f"    and {len(pods) - MOST_PODS} more")
    return "\n".join(lines)


def left_text(left: Sequence[Remainder]) -> str:
    """The verdict: nothing, or each thing with the reason why it is there."""
    if not left:
        return "nothing of the mesh is left"
    missed = sum(not each.meant for each in left)
    verdict = (
        f"{missed} objects of the mesh are left"
        if missed
        else "nothing of the mesh is left, but what was to stay"
    )
    return "\n".join([verdict, *(f"  {'.' if each.meant else 'x'} {each.ref}: {each.why}" for each in left)])


def removal_data(leave: Leave, left: Sequence[Remainder]) -> dict[str, Any]:
    """A removal for a program; described in docs/reference/json.md."""
    return {
        "plan": plan_data(leave.plan),
        "attached": [{"pod": each.pod.place, "revision": each.revision} for each in leave.attached],
        "left": [{"object": str(each.ref), "why": each.why, "meant": each.meant} for each in left],
        "clean": all(each.meant for each in left),
    }
