"""Drift as a person reads it, and as a program does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.plans import short
from meshctl.model.drift import Fate
from meshctl.stages.planning.plan_data import as_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.actions.drift import Drifts
    from meshctl.model.drift import Drift
    from meshctl.model.plan import Change, Holder


def drift_text(answers: Sequence[Drifts]) -> str:
    """Cluster by cluster, each object with its leaves: as sent, as seen, and by whom."""
    return "\n\n".join(_cluster_text(each) for each in answers)


def _cluster_text(answer: Drifts) -> str:
    if not answer.meshes:
        return f"{answer.cluster}: meshctl has installed nothing here"
    if not answer.objects:
        return f"{answer.cluster}: all is as it was installed"
    count = len(answer.objects)
    lines = [f"{answer.cluster}: {count} object{'s' * (count > 1)} not as installed"]
    for each in answer.objects:
        lines += [f"  {line}" for line in _lines(each)]
    return "\n".join([*lines, "", "`meshctl install`, with the settings of that install, puts them right"])


def _lines(drift: Drift) -> list[str]:
    match drift.fate:
        case Fate.REMOVED:
            return [f"- {drift.ref}: somebody has removed it"]
        case Fate.LEAVING:
            return [f"- {drift.ref}: somebody is removing it"]
        case Fate.CHANGED:
            return [f"~ {drift.ref}", *(f"    {_change(each)}" for each in drift.changes)]


def _change(change: Change) -> str:
    seen, sent = as_shown(change)
    if change.seen is None:
        told = f"{short(sent)} is gone"
    elif change.wanted is None:
        told = f"{short(seen)} was added"
    else:
        told = f"{short(sent)} → {short(seen)}"
    by = "; ".join(_holder(each) for each in change.holders)
    return f"{change.path}: {told}{f'  (by {by})' if by else ''}"


def _holder(holder: Holder) -> str:
    through = f" through {holder.subresource}" if holder.subresource else ""
    declared = ", which declares it" if holder.operation == "Apply" else ""
    return f"{holder.manager}{through}{declared}{f', {holder.time}' if holder.time else ''}"


def drift_data(answers: Sequence[Drifts]) -> dict[str, Any]:
    """Drift for a program; described in docs/reference/json.md."""
    return {
        "drifted": any(each.objects for each in answers),
        "clusters": [
            {
                "cluster": each.cluster,
                "meshes": list(each.meshes),
                "objects": [_object_data(drift) for drift in each.objects],
            }
            for each in answers
        ],
    }


def _object_data(drift: Drift) -> dict[str, Any]:
    ref = drift.ref
    return {
        "mesh": drift.mesh,
        "revision": drift.revision or "default",
        "part": drift.part,
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "fate": str(drift.fate),
        "fields": [_field_data(each) for each in drift.changes],
    }


def _field_data(change: Change) -> dict[str, Any]:
    seen, sent = as_shown(change)
    by = [
        {
            "manager": each.manager,
            "operation": each.operation,
            "subresource": each.subresource,
            "time": each.time,
        }
        for each in change.holders
    ]
    return {"path": change.path, "wanted": sent, "seen": seen, "by": by, "healed": change.drifted or not by}
