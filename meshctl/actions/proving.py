"""A plan that counts as deployed only once its control plane is ready and its webhooks answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.actions.doing import do
from meshctl.errors import AccessError, FailedError, MeshctlError, StoppedError, UnreachableError, listed
from meshctl.model.event import Changed, Failed, Started, Waiting, Warned
from meshctl.model.labels import INJECTED
from meshctl.model.plan import Record
from meshctl.model.release import Status
from meshctl.model.tag import DEFAULT
from meshctl.stages.gating.probe import webhook_answers
from meshctl.stages.seeing.sync import ALIVE, seats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.event import Event
    from meshctl.model.plan import Plan
    from meshctl.model.release import Release
    from meshctl.ports import World

PAUSE: Final = 1.0
"""Seconds between two questions to the webhooks."""
MOST: Final = 60.0
"""Seconds that webhooks may take, once their workload is ready, until the API server reaches them."""
_GROUP, _SUBJECT = "webhooks", "injection and validation"


def prove(world: World, plan: Plan, *, seconds: float) -> Iterator[Event]:
    """Do a plan whose mesh is locked, and let its release count as deployed once it has proven itself.

    Args:
        world: doors to the cluster of the plan.
        plan: as `planning.plan` makes it: the last phase records what was done.
        seconds: budget of the webhooks' answer.

    Raises:
        FailedError: a step did not come right, or the webhooks do not answer; the record says so.
        StoppedError: the connection was lost part-way.
    """
    release = recorded_by(plan)
    body, last = plan.phases[:-1], plan.phases[-1:]
    yield from do(world, replace(plan, phases=body), held=True)
    try:
        yield from answered(world, plan.cluster, release, seconds=min(seconds, MOST))
    except UnreachableError as error:
        raise stopped(error) from error
    except FailedError as error:
        yield Failed(_GROUP, _SUBJECT, error)
        with suppress(MeshctlError):  # the cause matters more
            world.releases[plan.cluster].write(replace(release, status=Status.FAILED))
        raise
    yield from do(world, replace(plan, phases=last), held=True)


def stopped(error: UnreachableError) -> StoppedError:
    """The error of work that lost its connection, and can be continued."""
    return StoppedError(
        "stopped-part-way",
        f"stopped part-way: {error.message}",
        hint="run the same command again; it continues",
        details=error.details,
    )


def recorded_by(plan: Plan) -> Release:
    """The release that a plan makes."""
    return next(step.release for step in plan.steps if isinstance(step, Record))


def _has_injector(release: Release) -> bool:
    """Whether a revision's own injector is among its objects; external and remote ones may have none."""
    return any(
        obj.ref.kind == "MutatingWebhookConfiguration"
        for part in release.manifest.parts
        if part.component == "istiod"
        for obj in part.objects
    )


def answered(world: World, cluster: str, release: Release, *, seconds: float = MOST) -> Iterator[Event]:
    """Wait until the webhooks of a release's control plane answer; see `stages.gating.probe`.

    The API server learns of a new pod a moment after it is ready. A control plane without an injector of
    its own is not asked.

    Raises:
        FailedError: `webhooks-silent`: they do not in time; says why.
        UnreachableError: the API server does not answer.
    """
    if not _has_injector(release):
        return
    door = world.clusters[cluster]
    give_up = world.clock.monotonic() + seconds
    yield Started(_GROUP, _SUBJECT)
    while True:
        try:
            fault = webhook_answers(door, revision=release.revision, istio_namespace=release.namespace)
        except AccessError as error:
            yield Warned(_GROUP, _SUBJECT, f"could not be asked whether they answer: {error.message}")
            return
        if not fault:
            yield Changed(_GROUP, _SUBJECT, "answered")
            return
        if world.clock.monotonic() >= give_up:
            raise FailedError(
                "webhooks-silent",
                f"the webhooks of Istio {release.version} do not answer as they should: {fault}",
                hint="see istiod's log, and whether the API server reaches it on port 15017; "
                "`meshctl check` tells more",
            )
        yield Waiting(_GROUP, _SUBJECT, fault)
        world.clock.sleep(PAUSE)


def lagging(world: World, cluster: str, release: Release) -> Iterator[Event]:
    """Tell of running proxies of a release's revision that are of another version; they go on working."""
    try:
        pods = world.clusters[cluster].list("v1", "Pod", labels=INJECTED, fields=ALIVE)
    except MeshctlError:  # the work is done, and this beside it
        return
    found = [
        seat.namespace
        for seat in seats(pods, cluster)
        if not seat.is_leaving
        and (seat.revision or DEFAULT) == (release.revision or DEFAULT)
        and not seat.version.startswith(release.version)
    ]
    if found:
        places = listed(sorted(set(found)))
        yield Warned(
            "proxies",
            f"{len(found)} in {places}",
            f"run another version than {release.version} until their workloads are restarted, "
            "as by `kubectl rollout restart deployment -n NAMESPACE`",
        )
