"""Put back what a user had made for the mesh."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    FailedError,
    MeshctlError,
    ProblemsError,
    UnreachableError,
    listed,
)
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Restore
from meshctl.ports import RESTORER
from meshctl.stages.applying.saving import clean
from meshctl.stages.comparing.fields import differences
from meshctl.stages.restoring.restoration import restoration
from meshctl.stages.seeing.observe import THREADS, look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.plan import Plan
    from meshctl.ports import Cluster, World
    from meshctl.stages.restoring.reading import Backup, Saved
    from meshctl.stages.restoring.restoration import Restoration


@dataclass(frozen=True)
class PutBack:
    """One cluster's turn: what is put back there, what is left alone, and the steps."""

    cluster: str
    found: Restoration
    plan: Plan


def restore(
    world: World,
    cluster: str,
    saved: Backup,
    *,
    only: str = "",
    overwrite: bool = False,
    create: bool = False,
    dry_run: bool = False,
) -> PutBack:
    """Plan to put a backup back, and let the API server judge it. Only reads; it is done by `doing.do`.

    Args:
        world: doors to the clusters.
        cluster: name of the one it is put into.
        saved: what was saved.
        only: what is in this namespace, and no more; empty: everything.
        overwrite: what is there and differs becomes as it was saved.
        create: make namespaces that are missing.
        dry_run: it is only shown, so that what differs is no reason to refuse.

    Raises:
        ConfigError: nothing of it is in `only`; definitions or namespaces are missing; the API server
            would refuse objects; says the lines.
        ConflictError: objects are there and differ, and `overwrite` is off.
    """
    door = world.clusters[cluster]
    wanted = [each for each in saved.objects if only in ("", _home(each.object.ref))]
    if only and not wanted:
        homes = sorted({_home(each.object.ref) for each in saved.objects} - {""})
        hint = f"it has something of {listed(homes)}" if homes else "it is empty"
        raise ConfigError("nothing-saved", f"nothing in the file is of namespace {only!r}", hint=hint)
    namespaces = {each.ref.name for each in door.list("v1", "Namespace") if not each.is_leaving}
    live = look(door, (each.object.ref for each in wanted))
    wanted = [replace(each, object=_owned_by_the_living(door, each.object)) for each in wanted]
    found = _settled(door, restoration(wanted, live, door.kinds(), namespaces))
    _refuse(found, overwrite=overwrite or dry_run, create=create)
    steps = found.plan(cluster)
    _rehearse(door, steps, {each.object.ref: each for each in wanted})
    return PutBack(cluster, found, steps)


def _home(ref: Ref) -> str:
    return ref.name if _is_namespace(ref) else ref.namespace


def _owned_by_the_living(door: Cluster, obj: Object) -> Object:
    """The object without owners that are gone: they would take it along at once."""
    owners = obj.at("metadata.ownerReferences", ())
    if not owners:
        return obj

    def lives(owner: Mapping[str, str]) -> bool:
        kind = owner.get("apiVersion", ""), owner.get("kind", "")
        refs = [Ref(*kind, place, owner.get("name", "")) for place in (obj.ref.namespace, "")]
        return any(there.uid == owner.get("uid") for ref in refs if (there := door.get(ref)))

    living = [each for each in owners if lives(each)]
    meta = {key: value for key, value in obj.content["metadata"].items() if key != "ownerReferences"}
    meta |= {"ownerReferences": living} if living else {}
    return Object({**obj.content, "metadata": meta})


def _settled(door: Cluster, found: Restoration) -> Restoration:
    """Without differences that the API server's own defaults make: with them, both are the same."""
    differing, same = [], list(found.same)
    for saved, live, changes in found.differing:
        namespace = live.ref.kind == "Namespace"  # of which only labels were saved
        after = None if namespace else attempt(partial(_replaced, door, saved.object, live))
        if isinstance(after, Object) and not differences(Object(clean(live)), Object(clean(after))):
            same.append(live.ref)
        else:
            differing.append((saved, live, changes))
    return replace(found, differing=tuple(differing), same=tuple(same))


def _replaced(door: Cluster, obj: Object, live: Object) -> Object:
    meta = {**obj.content["metadata"], "resourceVersion": live.at("metadata.resourceVersion")}
    return door.replace(Object({**obj.content, "metadata": meta}), manager=RESTORER, dry_run=True)


def _refuse(found: Restoration, *, overwrite: bool, create: bool) -> None:
    if found.undefined:
        kinds = sorted({f"{each.object.ref.kind} of {each.object.ref.group}" for each in found.undefined})
        raise ConfigError(
            "kinds-not-served",
            f"the cluster does not know {len(kinds)} kind{'s' * (len(kinds) > 1)} of what is to be put back",
            where=found.undefined[0].where,
            hint="install the mesh first, which brings its definitions; the Gateway API has its own",
            details=kinds,
        )
    if found.homeless and not create:
        raise ConfigError(
            "namespaces-missing",
            f"namespaces are missing: {listed(found.homeless)}",
            hint="make them, or let them be made with --create-namespaces",
        )
    if found.conflicting and not overwrite:
        raise ConflictError(
            "saved-differs",
            f"{_objects(len(found.conflicting))} from what was saved; nothing was sent",
            hint="--overwrite makes them as they were saved; --dry-run shows each field",
            details=[f"{each.where}: {live.ref}" for each, live, _ in found.conflicting],
        )


def _objects(count: int) -> str:
    return "1 object is there, and differs" if count == 1 else f"{count} objects are there, and differ"


def _rehearse(door: Cluster, steps: Plan, places: Mapping[Ref, Saved]) -> None:
    """Let the API server and the webhooks judge each object before any is sent.

    Raises:
        ConfigError: one would be refused; says its line.
        ProblemsError: several would be.
        AccessError, UnreachableError: as the API server says it.
    """
    coming = {step.ref.name for step in steps.steps if isinstance(step, Restore) and _is_namespace(step.ref)}
    judged = [step for step in steps.steps if isinstance(step, Restore) and step.ref.namespace not in coming]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda step: attempt(partial(_judged, door, step)), judged))
    problems = []
    for step, refused in zip(judged, answers, strict=True):
        if isinstance(refused, FailedError) and refused.code != "webhook-unavailable":
            problems.append(_refusal(refused, places.get(step.ref)))
        elif isinstance(refused, (AccessError, UnreachableError)):
            raise refused
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ProblemsError(problems)


def _judged(door: Cluster, step: Restore) -> Object:
    if step.live is None:
        return door.create(step.object, manager=RESTORER, dry_run=True)
    return _replaced(door, step.object, step.live)


def _is_namespace(ref: Ref) -> bool:
    return (ref.group, ref.kind) == ("", "Namespace")


def _refusal(error: MeshctlError, saved: Saved | None) -> ConfigError:
    return ConfigError(
        error.code,
        error.message,
        where=saved.where if saved else None,
        hint=error.hint or "mend it in the file; nothing was sent",
        details=error.details,
    )
