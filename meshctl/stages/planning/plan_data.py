"""A plan as data: what a program reads, and by which two plans are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from meshctl.model.plan import (
    Apply,
    Await,
    Condition,
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
from meshctl.stages.comparing.secrets import masked_pair

if TYPE_CHECKING:
    from meshctl.model.plan import Change, Plan, Step


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


def word(step: Step) -> str:
    """What a step does, in a word; empty for one that changes nothing of the mesh's."""
    match step:
        case Apply(live=None) | Restore(live=None) | Provide(live=False):
            return "create"
        case Apply() | Restore() | Provide():
            return "change"
        case Delete():
            return "remove"
        case Inherit():
            return "adopt"
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
        case Await() | Probe() | Record():
            return ""
    assert_never(step)


def as_shown(change: Change) -> tuple[Any, Any]:
    """What was seen and what is wanted, without tokens and keys."""
    return masked_pair(change.path.rpartition(".")[2], change.seen, change.wanted)


def _data(step: Step) -> dict[str, Any]:
    match step:
        case Apply() | Restore():
            changes = [
                {
                    "path": each.path,
                    "seen": seen,
                    "wanted": wanted,
                    "owner": each.owner,
                    "drifted": each.drifted,
                }
                for each in step.changes
                for seen, wanted in [as_shown(each)]
            ]
            return {"do": word(step), "part": step.part, **_named(step), "changes": changes}
        case Provide():
            return {"do": word(step), "part": step.part, **_named(step), "changes": [], "why": step.why}
        case Delete():
            return {"do": "remove", "part": step.part, **_named(step), "why": step.why}
        case Inherit():
            return {
                "do": "adopt",
                "part": step.part,
                **_named(step),
                "managers": list(step.managers),
                "why": step.why,
            }
        case Relabel():
            return {
                "do": "relabel",
                "part": step.part,
                **_named(step),
                "labels": dict(step.labels),
                "why": step.why,
            }
        case Restart() | Evict():
            return {"do": word(step), "part": step.part, **_named(step), "why": step.why}
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
        case Probe():
            return {"do": "probe", "part": step.part, **_named(step), "seconds": step.seconds}
        case Record():
            done = "forget" if step.forget else "record"
            return {"do": done, "release": step.release.generation, "status": str(step.release.status)}
    assert_never(step)


def _named(
    step: Apply | Provide | Delete | Inherit | Relabel | Restart | Evict | Strip | Restore | Await | Probe,
) -> dict[str, str]:
    ref = step.ref
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
