"""`install`, `plan`, `uninstall` over all clusters of a mesh.yaml: what is shown, and how it ended."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshctl.cli.install import show
from meshctl.cli.plans import counted, plan_text
from meshctl.cli.report import table
from meshctl.errors import FailedError, MeshctlError, StoppedError, Where, listed
from meshctl.model.fleet import Ended, Told, Work
from meshctl.model.plan import Apply, Plan

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from meshctl.actions.fleet.install import Choices, Fleet, Planned
    from meshctl.cli.app import App
    from meshctl.model.fleet import Task
    from meshctl.model.objects import Ref
    from meshctl.ports import World


def install(app: App, world: World, fleet: Fleet, choices: Choices, *, dry_run: bool) -> int:
    """Show what is to be done in every cluster, ask once, do it side by side; the exit code."""
    from meshctl.actions.fleet.install import carry_out, preview
    from meshctl.actions.trust.authorities import unlock

    shown = preview(world, fleet, choices, rights=not dry_run)
    _refuse_hopeless(shown)
    if all(each.plan.is_empty and each.error is None for each in shown):
        ended = [Ended(each.task) for each in shown]
        names = listed(fleet.clusters)
        app.report.result(outcomes_data(fleet, ended), f"{names}: as asked; nothing was sent")
        return 0
    if dry_run:
        return _rehearse(app, world, fleet, shown)
    for name in fleet.clusters:
        _announce(app, fleet, name, [each for each in shown if each.task.cluster == name])
    unlock(world, (each.plan for each in shown))
    app.confirm("Go on?")
    ended = follow(app, carry_out(world, fleet, shown, choices))
    app.report.result(outcomes_data(fleet, ended), outcomes_text(fleet, ended))
    _tell_unlinked(app, fleet)
    return tell_failures(app, ended)


def plan(app: App, world: World, fleet: Fleet, choices: Choices) -> int:
    """Show what an install would do in every cluster; the exit code."""
    from meshctl.actions.fleet.install import preview

    shown = preview(world, fleet, choices)
    _refuse_hopeless(shown)
    if len(fleet.clusters) == 1:
        show(app, world, _of_one(shown, as_file=app.report.form != "text"), choices)
        return 0
    app.report.result(_plans_data(fleet, shown), _plans_text(fleet, shown))
    return _failed(app, shown)


def _of_one(shown: Sequence[Planned], *, as_file: bool) -> Plan:
    """The plan of the only cluster; a file of it holds no keys, and so no authority."""
    [install] = [each.plan for each in shown if each.task.work is Work.INSTALL]
    everything = joined(install.cluster, shown)
    if not as_file or everything.phases == install.phases:
        return everything
    return replace(install, warnings=(_NOT_IN_A_FILE, *install.warnings))


_NOT_IN_A_FILE = (
    "before this its istiod needs the authority of the mesh, which no plan file holds: "
    "`meshctl install -f` makes both"
)

# What is shown.


def _tell_unlinked(app: App, fleet: Fleet) -> None:
    """Say what an install of one cluster alone leaves to be done."""
    [first, *others] = fleet.clusters.values()
    if not others and len(fleet.inputs[first.name].share(first).mesh.clusters) > 1:
        app.report.note("links with the other clusters are as they were: `meshctl cluster link` makes them")


def _refuse_hopeless(shown: Sequence[Planned]) -> None:
    """Where no cluster can be planned there is nothing to go on with; the first error tells."""
    errors = {each.task.cluster: each.error for each in shown if each.error}
    if errors and errors.keys() == {each.task.cluster for each in shown}:
        raise next(iter(errors.values()))


def _announce(app: App, fleet: Fleet, name: str, shown: Sequence[Planned]) -> None:
    """A line for a cluster, and what to know before it is agreed to."""
    error = next((each.error for each in shown if each.error), None)
    if error is not None:
        app.report.note(f"x {name}: {error.message}; nothing is done there")
        return
    steps = joined(name, shown)
    app.report.note(f"{_headline(fleet, name, shown)}: {'as asked' if steps.is_empty else counted(steps)}")
    for line in _remarks(shown, steps):
        app.report.note(line)


def _headline(fleet: Fleet, name: str, shown: Sequence[Planned]) -> str:
    values = next((each.values for each in shown if each.values), None)
    role = fleet.clusters[name].role
    if values is None:
        return f"{name}, {role}"
    named = f", revision {values.revision}" if values.revision else ""
    return f"{name}, {role}, Istio {values.version.full}, profile {values.profile}{named}"


def _remarks(shown: Sequence[Planned], steps: Plan) -> Iterator[str]:
    for warning in steps.warnings:
        yield f"! {warning}"
    for each in shown:
        if each.awaits:
            yield f"! {each.task} is planned again at its turn, as this is not known yet: {each.awaits}"


def joined(name: str, shown: Iterable[Planned]) -> Plan:
    """All plans of a cluster as one, for showing; what several tasks would make is told once."""
    plans = [each.plan for each in shown]
    made: set[Ref] = set()
    phases = []
    for phase in (phase for each in plans for phase in each.phases):
        steps = tuple(step for step in phase.steps if not (isinstance(step, Apply) and step.ref in made))
        made |= {step.ref for step in steps if isinstance(step, Apply)}
        if steps:
            phases.append(replace(phase, steps=steps))
    warnings = dict.fromkeys(warning for each in plans for warning in each.warnings)
    return Plan(name, tuple(phases), tuple(warnings))


def _plans_text(fleet: Fleet, shown: Sequence[Planned]) -> str:
    blocks = []
    for name in fleet.clusters:
        mine = [each for each in shown if each.task.cluster == name]
        if any(each.error for each in mine):
            continue  # told as an error
        steps = joined(name, mine)
        remarks = list(_remarks(mine, Plan(name)))
        blocks.append("\n".join([_headline(fleet, name, mine), plan_text(steps), *remarks]))
    return "\n\n".join(blocks)


def _plans_data(fleet: Fleet, shown: Sequence[Planned]) -> dict[str, Any]:
    """What is planned, for a program; described in docs/reference/json.md."""
    clusters = [
        _cluster_data(fleet, name, [each for each in shown if each.task.cluster == name])
        for name in fleet.clusters
    ]
    return {"empty": all(each["empty"] for each in clusters), "clusters": clusters}


def _cluster_data(fleet: Fleet, name: str, shown: Sequence[Planned]) -> dict[str, Any]:
    from meshctl.cli.report import error_data
    from meshctl.stages.planning.plan_data import plan_data

    values = next((each.values for each in shown if each.values), None)
    error = next((each.error for each in shown if each.error), None)
    return {
        "cluster": name,
        "mesh": fleet.inputs[name].mesh.name,
        "role": str(fleet.clusters[name].role),
        "version": values.version.full if values else None,
        "revision": (values.revision or "default") if values else None,
        "profile": values.profile if values else None,
        "empty": error is None and all(each.plan.is_empty for each in shown),
        "error": error_data(error) if error else None,
        "tasks": [
            {
                **task_data(each.task),
                "needs": [task_data(one) for one in fleet.needed(each.task)],
                "awaits": each.awaits,
                "plan": plan_data(each.plan),
            }
            for each in shown
        ],
    }


def task_data(task: Task) -> dict[str, Any]:
    """A task, for a program."""
    link = task.link
    return {
        "cluster": task.cluster,
        "work": str(task.work),
        "link": {"server": link.server, "reads": link.reads, "kind": str(link.kind)} if link else None,
    }


def _rehearse(app: App, world: World, fleet: Fleet, shown: Sequence[Planned]) -> int:
    """Show every plan, and have the API servers judge those that hang on nothing else."""
    from meshctl.actions.install import rehearse

    app.report.result(_plans_data(fleet, shown), _plans_text(fleet, shown))
    refused = []
    for each in shown:
        if each.task.work is not Work.INSTALL or each.awaits or each.error or each.plan.is_empty:
            continue
        try:
            for event in rehearse(world, each.plan):
                app.report.event(event, each.task.cluster)
        except MeshctlError as error:
            refused.append(Ended(each.task, error=error))
    return max(_failed(app, shown), tell_failures(app, refused))


def _failed(app: App, shown: Sequence[Planned]) -> int:
    first = {each.task.cluster: each for each in reversed(shown) if each.error}
    for each in first.values():
        tell(app, each.task, each.error)
    return FailedError.exit_code if first else 0


# What happens, and how it ended.


def follow(app: App, news: Generator[Told | Ended, None, None]) -> list[Ended]:
    """Tell what happens as it happens; how every task ended."""
    ended = []
    with closing(news):  # an interrupt while something is told stops the work as well
        for each in news:
            if isinstance(each, Told):
                app.report.event(each.event, each.cluster)
            else:
                ended.append(each)
    return ended


def tell(app: App, task: Task, error: MeshctlError | None) -> None:
    """Tell why a task failed, and where."""
    assert error is not None
    error.where = error.where or Where(f"cluster {task.cluster}", path=str(task))
    app.report.error(error)


def tell_failures(app: App, ended: Sequence[Ended]) -> int:
    """Tell every failure, and what it means for the whole; the exit code."""
    failed = [each for each in ended if each.error is not None]
    if not failed:
        return 0
    for each in {id(each.error): each for each in failed}.values():
        tell(app, each.task, each.error)
    clusters = dict.fromkeys(each.task.cluster for each in ended)
    if len(clusters) == 1 and not any(each.is_cut_off for each in failed):
        return max(each.error.exit_code for each in failed if each.error)
    summary = _summary(ended, failed)
    app.report.error(summary)
    return summary.exit_code


def _summary(ended: Sequence[Ended], failed: Sequence[Ended]) -> MeshctlError:
    """One error for a whole run."""
    names = dict.fromkeys(each.task.cluster for each in ended)
    behind = dict.fromkeys(each.task.cluster for each in ended if each.error or _is_held_back(each))
    cut_off = dict.fromkeys(each.task.cluster for each in failed if each.is_cut_off)
    what = f"{len(behind)} of {len(names)} clusters {'is' if len(behind) == 1 else 'are'} not as asked"
    if cut_off:
        return StoppedError(
            "stopped-part-way",
            f"stopped part-way in {listed(cut_off)}; {what}: {listed(behind)}",
            hint="run the same command again; it continues",
        )
    return FailedError(
        "clusters-failed",
        f"{what}: {listed(behind)}",
        hint="mend what is told above, then run the same command again",
    )


def _outcome(ended: Sequence[Ended]) -> tuple[str, str]:
    """How a cluster stands after a run, in a word, and why."""
    failed = next((each for each in ended if each.error is not None), None)
    if failed is not None and failed.error is not None:
        word = "stopped" if failed.is_cut_off else "failed"
        return word, f"{failed.task}: {failed.error.code}"
    lacking = [each for each in ended if each.lacking]
    why = ""
    for each in lacking[:1]:
        first = each.lacking[0]
        why = f"{each.task} needs {first} in {first.cluster}"
    if any(_is_held_back(each) for each in lacking):
        return "held back", why
    return "changed" if any(each.changed for each in ended) else "unchanged", why


def _is_held_back(ended: Ended) -> bool:
    """Whether a cluster itself is not as asked because of another one; without a link it may well be."""
    return bool(ended.lacking) and ended.task.link is None


def outcomes_text(fleet: Fleet, ended: Sequence[Ended]) -> str:
    """How a run ended, a line a cluster."""
    rows = []
    for name, cluster in fleet.clusters.items():
        mine = [each for each in ended if each.task.cluster == name]
        if not mine:
            continue
        word, why = _outcome(mine)
        rows.append(
            (name, str(cluster.role), {"changed": "done", "unchanged": "as asked"}.get(word, word), why)
        )
    return table(rows, ("CLUSTER", "ROLE", "OUTCOME", ""))


def outcomes_data(fleet: Fleet, ended: Sequence[Ended]) -> dict[str, Any]:
    """How a run ended, for a program; described in docs/reference/json.md."""
    from meshctl.cli.report import error_data

    clusters = []
    for name, cluster in fleet.clusters.items():
        mine = [each for each in ended if each.task.cluster == name]
        if not mine:
            continue
        word, why = _outcome(mine)
        clusters.append(
            {
                "cluster": name,
                "mesh": fleet.inputs[name].mesh.name,
                "role": str(cluster.role),
                "outcome": word,
                "why": why,
                "tasks": [
                    {
                        **task_data(each.task),
                        "done": each.is_done,
                        "changed": each.changed,
                        "error": error_data(each.error) if each.error else None,
                        "lacking": [task_data(one) for one in each.lacking],
                    }
                    for each in mine
                ],
            }
        )
    return {"changed": any(each.changed for each in ended), "clusters": clusters}
