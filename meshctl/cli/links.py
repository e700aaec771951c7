"""Clusters and their links, as a person reads them and as a program does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.cli.fleet import follow, joined, task_data, tell_failures
from meshctl.cli.plans import plan_text
from meshctl.cli.report import error_data, table
from meshctl.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from meshctl.actions.fleet.install import Planned
    from meshctl.actions.fleet.listing import Linked, Listing, Member
    from meshctl.actions.links.linking import Ends
    from meshctl.cli.app import App
    from meshctl.model.fleet import Ended
    from meshctl.model.link import Life
    from meshctl.ports import World

_NOTHING = "nothing to do: links are as asked"


def change(
    app: App,
    world: World,
    meant: Sequence[Ends],
    *,
    dry_run: bool,
    seconds: float,
    away: bool = False,
    renew: bool = False,
) -> int:
    """Show what becomes of links in every cluster, ask once, do it side by side; the exit code."""
    from meshctl.actions.links.tasks import carried_out, previewed

    shown = previewed(world, meant, away=away, renew=renew, rights=not dry_run)
    for each in shown:
        if each.error is not None:
            app.report.note(f"x {each.task.link}: {each.error.message}")
    if all(each.plan.is_empty and not each.error for each in shown):
        # What was replaced before is still to be revoked where a run was stopped.
        left = not (dry_run or away)
        ended = follow(app, carried_out(world, meant, seconds=seconds)) if left else []
        app.report.result(_changes_data(shown, ended), _NOTHING)
        return tell_failures(app, ended)
    app.report.note(_changes_text(shown))
    if dry_run:
        app.report.result(_changes_data(shown, ()), "")
        return FailedError.exit_code if any(each.error for each in shown) else 0
    app.confirm("Go on?")
    ended = follow(app, carried_out(world, meant, away=away, renew=renew, seconds=seconds))
    app.report.result(_changes_data(shown, ended), _done(meant, ended, away=away))
    return tell_failures(app, ended)


def _changes_text(shown: Sequence[Planned]) -> str:
    names = dict.fromkeys(each.task.cluster for each in shown)
    plans = [joined(name, (each for each in shown if each.task.cluster == name)) for name in names]
    return "\n\n".join(f"{each.cluster}\n{plan_text(each)}" for each in plans if not each.is_empty)


def _changes_data(shown: Sequence[Planned], ended: Sequence[Ended]) -> dict[str, Any]:
    """A change of links, for a program; described in docs/reference/json.md."""
    from meshctl.stages.planning.plan_data import plan_data

    how = {each.task: each for each in ended}
    tasks = []
    for each in shown:
        end = how.get(each.task)
        error = end.error if end else None
        tasks.append(
            {
                **task_data(each.task),
                "plan": plan_data(each.plan),
                "done": end.is_done if end else None,
                "changed": end.changed if end else None,
                "error": error_data(error) if error else None,
            }
        )
    return {"changed": any(each.changed for each in ended), "tasks": tasks}


def _done(meant: Sequence[Ends], ended: Sequence[Ended], *, away: bool) -> str:
    behind = {each.task.link for each in ended if not each.is_done}
    done = [each.link for each in meant if each.link not in behind]
    lines = [f"{each} is {'taken away' if away else 'linked'}" for each in done]
    return "\n".join(lines)


# How clusters and links stand.


def listing_text(found: Listing) -> str:
    """A line a cluster, a line a link, then what is not right and why."""
    clusters = [_member_row(each) for each in found.members]
    header = ("CLUSTER", "MESH", "ROLE", "NETWORK", "CONTROL PLANE", "KUBERNETES", "ISTIODS")
    blocks = [table(clusters, header)]
    if found.links:
        blocks.append(links_table(found))
    troubles = [f"! {each.cluster.name}: {each.error.message}" for each in found.members if each.error]
    blocks += ["\n".join([*troubles, *_faults(found.links)])] if troubles or _faults(found.links) else []
    return "\n\n".join(blocks)


def links_text(found: Listing) -> str:
    """A line a link, then what is not right and why."""
    troubles = [f"! {each.cluster.name}: {each.error.message}" for each in found.members if each.error]
    lines = [*troubles, *_faults(found.links)]
    blocks = [links_table(found) if found.links else "there are no remote secrets"]
    return "\n\n".join([*blocks, "\n".join(lines)] if lines else blocks)


def links_table(found: Listing) -> str:
    """One line a link."""
    header = ("ISTIOD OF", "READS", "KIND", "SECRET", "BY", "ENDS", "IN SYNC")
    return table([_link_row(each, found.now) for each in found.links], header)


def _faults(links: Sequence[Linked]) -> list[str]:
    lines = [f"! {each.link}: {each.fault}" for each in links if each.fault]
    return lines + [
        f"! {each.link}: istiod {pod} says: {state}"
        for each in links
        for pod, state in each.states
        if state != "synced" and each.is_there
    ]


def _member_row(member: Member) -> tuple[str, ...]:
    cluster = member.cluster
    return (
        cluster.name,
        member.mesh or "-",
        str(cluster.role) if member.mesh else "-",
        cluster.network or "-",
        cluster.control_plane or ("its own" if member.mesh else "-"),
        member.version or "no answer",
        str(len(member.istiods)),
    )


def _link_row(each: Linked, now: datetime) -> tuple[str, ...]:
    synced = sum(state == "synced" for _, state in each.states)
    return (
        each.link.server,
        each.link.reads,
        str(each.link.kind),
        each.secret.name if each.is_there else "none",
        each.by or "-",
        _ends(each.life, now) if each.is_there else "-",
        f"{synced}/{len(each.states)}" if each.states else "no istiod",
    )


def _ends(life: Life | None, now: datetime) -> str:
    if life is None:
        return "unknown"
    if life.ends is None:
        return "never"
    left = (life.ends - now).total_seconds()
    if left <= 0:
        return f"{life.ends:%Y-%m-%d}, over"
    days = f"{left / 86400:.0f} days" if left >= 2 * 86400 else f"{left / 3600:.1f} hours"
    return f"{life.ends:%Y-%m-%d}, {days}"


def listing_data(found: Listing) -> dict[str, Any]:
    """Clusters and links for a program; described in docs/reference/json.md."""
    return {
        "sound": found.is_sound,
        "clusters": [_member_data(each) for each in found.members],
        "links": [link_data(each, found.now) for each in found.links],
    }


def _member_data(member: Member) -> dict[str, Any]:
    cluster = member.cluster
    return {
        "cluster": cluster.name,
        "mesh": member.mesh,
        "role": str(cluster.role),
        "network": cluster.network,
        "controlPlane": cluster.control_plane,
        "server": member.server,
        "version": member.version,
        "istiods": [
            {
                "pod": each.pod,
                "revision": each.revision,
                "reads": dict(sorted(each.states.items())),
                "error": error_data(each.error) if each.error else None,
            }
            for each in member.istiods
        ],
        "error": error_data(member.error) if member.error else None,
    }


def link_data(each: Linked, now: datetime) -> dict[str, Any]:
    """A link for a program; described in docs/reference/json.md."""
    ends = each.life.ends if each.life else None
    return {
        "server": each.link.server,
        "reads": each.link.reads,
        "kind": str(each.link.kind),
        "secret": {"namespace": each.secret.namespace, "name": each.secret.name},
        "wanted": each.is_wanted,
        "there": each.is_there,
        "by": each.by,
        "address": each.server,
        "expires": ends.isoformat() if ends else None,
        "left": round(each.life.left(now), 4) if each.life else None,
        "fault": each.fault,
        "states": dict(each.states),
        "sound": each.is_sound,
    }
