"""Go back to an earlier release: its manifest once more, as a generation of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions.doing import do, recorded_by
from meshctl.actions.install import agreed, refuse_during_rotation, refuse_during_upgrade
from meshctl.actions.lagging import lagging
from meshctl.errors import ConfigError, UnsupportedError, Where
from meshctl.model.observation import Observation
from meshctl.model.release import Status
from meshctl.model.tag import DEFAULT
from meshctl.stages.planning.definitions import newest
from meshctl.stages.planning.records import CUT_SHORT, chosen, standing
from meshctl.stages.planning.tags import held_back
from meshctl.stages.seeing.observe import look, webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.event import Event
    from meshctl.model.plan import Plan
    from meshctl.model.release import Release
    from meshctl.ports import World

_DONE = frozenset({Status.DEPLOYED, Status.SUPERSEDED})
"""What a record says whose work came to its end."""


@dataclass(frozen=True)
class Return:
    """One cluster's way back: the release it goes to, and the steps."""

    cluster: str
    release: Release
    plan: Plan


def rollback(
    world: World,
    mesh: str,
    *,
    to: int | None = None,
    revision: str | None = None,
    take_over: bool = False,
    seconds: float = 300.0,
) -> Return:
    """Plan the way back of one control plane. Only reads; `send` does it, with the mesh locked.

    Args:
        world: doors to one cluster.
        mesh: name of the mesh.
        to: generation to go back to; None: the one that a rollback cut short was going to, else the
            last that was deployed before the newest.
        revision: of the control plane; None: that of `to`, else the only one there is.
        take_over: take fields that other managers hold.
        seconds: budget of each wait.

    Raises:
        ConfigError: there is no such release, or it was never deployed.
        UnsupportedError: its revision does not run any more.
        ConflictError: fields belong to other managers, or an upgrade is under way.
    """
    [(name, records)] = world.releases.items()
    past = records.of(mesh)
    refuse_during_upgrade(records, mesh)
    refuse_during_rotation(records, mesh)
    release = _chosen(past, mesh, to, revision)
    steps = again(
        world, name, release, cause=f"rollback to {release.generation}", take_over=take_over, seconds=seconds
    )
    return Return(name, release, steps)


def send(world: World, back: Return) -> Iterator[Event]:
    """Do the way back; its release counts as deployed once its webhooks answer.

    Raises:
        FailedError: it did not come right; the record says so.
        StoppedError: the connection was lost part-way; the same command continues.
    """
    with world.releases[back.cluster].lock(back.release.mesh):
        yield from do(world, back.plan, held=True)
        yield from lagging(world, back.cluster, back.release)


def again(
    world: World, cluster: str, release: Release, *, cause: str, take_over: bool, seconds: float
) -> Plan:
    """The steps that send the manifest of a release once more, as a new generation. Only reads.

    Args:
        world: doors to the cluster.
        cluster: its name.
        release: whose manifest.
        cause: why, for the record.
        take_over: take fields that other managers hold.
        seconds: budget of each wait.
    """
    door, records = world.clusters[cluster], world.releases[cluster].of(release.mesh)
    refs = {ref for each in (release, *records) for ref in each.refs}
    objects = {**webhooks(door), **look(door, refs)}
    seen = Observation(cluster, "", objects=objects, releases=records)
    draft = replace(
        release,
        generation=0,
        status=Status.PENDING,
        created=world.clock.now().isoformat(timespec="seconds"),
        cause=cause,
        restores=release.generation,
    )
    desired = held_back(release.manifest, objects, release.revision)
    steps = agreed(door, desired, seen, draft, take_over=take_over, adopt=False, seconds=seconds)
    if steps.is_empty:
        return steps
    own, kept = newest(release.manifest), newest(recorded_by(steps).manifest)
    if own and kept and kept > own:
        why = f"those of {own} would take fields from resources that have them"
        warning = f"custom resource definitions stay those of Istio {kept}: {why}"
        steps = replace(steps, warnings=(warning, *steps.warnings))
    return steps


def _chosen(past: Sequence[Release], mesh: str, to: int | None, revision: str | None) -> Release:
    if to is None:
        return _last(past, chosen(past, mesh, revision))
    found = next((each for each in past if each.generation == to), None)
    if found is None:
        raise _refused("no-such-release", f"no release {to} of mesh {mesh!r} is recorded here")
    named = found.revision or DEFAULT
    if revision is not None and (revision or DEFAULT) != named:
        raise _refused("other-revision", f"release {to} is of revision {named!r}, not of {revision!r}")
    if all(each.revision != found.revision for each in standing(past, mesh)):
        raise UnsupportedError(
            "revision-gone",
            f"the revision {named!r} of release {to} does not run any more",
            where=Where("--to"),
            hint=f"`meshctl upgrade --to {found.version} --strategy canary` moves everything to a new one",
        )
    if found.status not in _DONE:
        raise _refused("not-deployed", f"release {to} was never deployed: it is {found.status}")
    return found


def _last(past: Sequence[Release], deployed: Release) -> Release:
    """The release that a rollback goes to where nobody says which."""
    own = [each for each in past if each.revision == deployed.revision]
    newest_one = own[-1]
    if newest_one.status in CUT_SHORT and newest_one.restores:
        wanted = [each for each in own if each.generation == newest_one.restores]
    else:
        wanted = [each for each in own[:-1] if each.status in _DONE]
    if not wanted:
        raise ConfigError(
            "nothing-before",
            f"release {newest_one.generation} is the first of revision {deployed.revision or DEFAULT!r}",
            hint="there is nothing to go back to; `meshctl history` shows every release",
        )
    return wanted[-1]


def _refused(code: str, message: str) -> ConfigError:
    return ConfigError(code, message, where=Where("--to"), hint="`meshctl history` shows every release")
