"""An upgrade as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.actions.canary.batches import named
from meshctl.cli.plans import counted, plan_text
from meshctl.cli.report import pairs
from meshctl.stages.planning.plan_data import plan_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.actions.canary.preview import Preview
    from meshctl.actions.canary.upgrade import Summary, View
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Batch, Gate, Mover, Stayer, Upgrade


def headline(planned: Preview) -> str:
    """What an upgrade will do, in a line before it is agreed to."""
    upgrade = planned.upgrade
    workloads = sum(len(each.workloads) for each in upgrade.batches) + len(planned.late)
    return (
        f"{_way(upgrade)}: {counted(planned.control_plane)}; {_count(workloads, 'workload')} "
        f"in {_count(len(upgrade.batches), 'batch', 'batches')}, {_count(len(planned.stayers), 'stayer')}"
    )


def position(upgrade: Upgrade) -> str:
    """Where an upgrade is at, in a line."""
    return f"{_way(upgrade)}: {upgrade.stage}, {upgrade.passed} of {len(upgrade.batches)} batches moved"


def preview_text(planned: Preview) -> str:
    """The whole story in its order."""
    upgrade = planned.upgrade
    lines = [_way(upgrade), "", f"1. Control plane {named(upgrade.target)} beside the old one", ""]
    lines += _indented(plan_text(planned.control_plane).splitlines())
    lines += ["", "2. Batches, each with its gate"]
    lines += _indented(_batches(upgrade.batches) or ["nothing has a proxy of the old revision"])
    if planned.unready:
        lines += ["", "   not ready as it is, so that its batch will wait for it:"]
        lines += _indented(f"! {ref}: {why}" for ref, why in planned.unready)
    if planned.stayers:
        lines += ["", "   stays with the old revision until you make it anew:"]
        lines += _indented(_stayer(each) for each in planned.stayers)
    names = ", ".join(name for name, _ in upgrade.tags) or "none leads to the old revision"
    lines += ["", f"3. Promotion: tags {names}; labels of namespaces as they were"]
    lines += _indented(_mover_line(each) for each in planned.late)
    lines += ["", f"4. Revision {named(upgrade.source)} goes, once no proxy is attached to it"]
    lines += _indented(f"- {ref}" for ref in planned.retired)
    return "\n".join(lines)


def preview_data(planned: Preview) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    upgrade = planned.upgrade
    return {
        "source": _release(upgrade.source),
        "target": _release(upgrade.target),
        "controlPlane": plan_data(planned.control_plane),
        "batches": [_batch(each) for each in upgrade.batches],
        "gate": _gate(upgrade.gate),
        "unready": [{"workload": ref, "why": why} for ref, why in planned.unready],
        "late": [_mover(each) for each in planned.late],
        "stayers": [{"name": each.name, "why": each.why} for each in planned.stayers],
        "tags": [name for name, _ in upgrade.tags],
        "retired": [str(ref) for ref in planned.retired],
    }


def status_text(view: View | None) -> str:
    """Where the upgrade stands; a line where there is none."""
    if view is None:
        return "no upgrade is under way"
    upgrade = view.upgrade
    facts = {
        "upgrade": _way(upgrade),
        "begun": upgrade.created,
        "stage": str(upgrade.stage),
        "batches": f"{upgrade.passed} of {len(upgrade.batches)} moved",
        "stopped": upgrade.reason or "no: it is at work, or was cut short",
    }
    if upgrade.pause:
        facts["pauses"] = "after each batch"
    lines = [pairs(facts), ""]
    for place, each in enumerate(upgrade.batches):
        mark = "✓" if place < upgrade.passed else "→" if place == upgrade.passed else " "
        lines += [f"{mark} {line}" if not at else f"  {line}" for at, line in enumerate(_batches([each]))]
    for release, movers in ((upgrade.source, view.on_source), (upgrade.target, view.on_target)):
        lines += ["", f"on {named(release)}:"]
        lines += _indented(f"{each.ref}: {_count(each.pods, 'pod')}" for each in movers) or ["   nobody"]
    if view.stayers:
        lines += ["", "nobody can move:", *_indented(_stayer(each) for each in view.stayers)]
    return "\n".join(lines)


def status_data(view: View | None) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    if view is None:
        return {"underWay": False}
    upgrade = view.upgrade
    following = upgrade.batches[upgrade.passed] if upgrade.passed < len(upgrade.batches) else None
    return {
        "underWay": True,
        "source": _release(upgrade.source),
        "target": _release(upgrade.target),
        "created": upgrade.created,
        "stage": str(upgrade.stage),
        "reason": upgrade.reason,
        "pause": upgrade.pause,
        "passed": upgrade.passed,
        "next": following.name if following else None,
        "batches": [_batch(each) for each in upgrade.batches],
        "gate": _gate(upgrade.gate),
        "tags": [name for name, _ in upgrade.tags],
        "onSource": [_mover(each) for each in view.on_source],
        "onTarget": [_mover(each) for each in view.on_target],
        "stayers": [{"name": each.name, "why": each.why} for each in view.stayers],
    }


def summary_text(summary: Summary) -> str:
    """How it ended."""
    if summary.is_back:
        return f"all is on {named(summary.source)} as before; {named(summary.target)} is gone"
    moved = f"{_count(summary.workloads, 'workload')} and {_count(summary.gateways, 'gateway')}"
    return (
        f"{named(summary.source)} → {named(summary.target)} in {_took(summary.seconds)}: "
        f"{moved} moved, the old revision is gone"
    )


def summary_data(summary: Summary) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    return {
        "source": _release(summary.source),
        "target": _release(summary.target),
        "aborted": summary.is_back,
        "workloads": summary.workloads,
        "gateways": summary.gateways,
        "seconds": round(summary.seconds, 1),
    }


def _way(upgrade: Upgrade) -> str:
    return f"{named(upgrade.source)} → {named(upgrade.target)}"


def _batches(batches: Sequence[Batch]) -> list[str]:
    lines = []
    for each in batches:
        labelled = f"  (labels of {', '.join(each.namespaces)} change)" if each.namespaces else ""
        lines.append(f"{each.name}{labelled}")
        lines += [f"  {_mover_line(mover)}" for mover in each.workloads]
    return lines


def _mover_line(mover: Mover) -> str:
    pods = f", {_count(mover.pods, 'pod')}" if mover.pods else ""
    why = f": {mover.why}" if mover.why else ""
    return f"{mover.ref}  ({mover.method}{pods}{why})"


def _stayer(stayer: Stayer) -> str:
    return f". {stayer.name}: {stayer.why}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"   {line}".rstrip() for line in lines]


def _count(number: int, word: str, words: str = "") -> str:
    return f"{number} {word if number == 1 else words or word + 's'}"


def _took(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _release(release: Release) -> dict[str, str]:
    return {"version": release.version, "revision": release.revision, "profile": release.profile}


def _batch(batch: Batch) -> dict[str, Any]:
    return {
        "name": batch.name,
        "namespaces": list(batch.namespaces),
        "workloads": [_mover(each) for each in batch.workloads],
    }


def _mover(mover: Mover) -> dict[str, Any]:
    ref = mover.ref
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "method": str(mover.method),
        "pods": mover.pods,
        "why": mover.why,
    }


def _gate(gate: Gate) -> dict[str, Any]:
    """What must hold; of the command only what is called, as its other words may hold what is secret."""
    return {
        "seconds": gate.seconds,
        "soak": gate.soak,
        "query": gate.query,
        "prometheus": gate.prometheus,
        "command": list(gate.command[:1]),
    }
