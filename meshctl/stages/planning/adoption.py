"""Carrying on a mesh that another tool has installed: what changes hands, what goes, what stays.

The plan of an adoption is that of any install, for a cluster in which what the other tool holds is ours
already (see `inheritance`). Around it come the steps that make it so: Helm's own records are saved and
taken away first, as `helm uninstall` would take the mesh away, then the claims are inherited; what the
tool had beside goes at the end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.errors import ConflictError, UnsupportedError, Where, listed
from meshctl.model.labels import HELM_RELEASE, REVISION, TAG, installed_by
from meshctl.model.plan import Apply, Delete, Inherit, Phase, Plan, Save
from meshctl.stages.planning.inheritance import inherited, installers, is_default
from meshctl.stages.planning.kinds import WORKLOADS, same
from meshctl.stages.planning.tags import INJECTOR
from meshctl.stages.removing.belongings import belonging, is_istiod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Step
    from meshctl.model.release import Release
    from meshctl.stages.planning.helm_releases import HelmRelease

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)\b")
_KEEPERS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations of what a controller keeps as a repository has it."""
_BESIDE = frozenset({"HorizontalPodAutoscaler", "PodDisruptionBudget"})
_MOST = 10


@dataclass(frozen=True)
class Adoption:
    """What is around the plan of an install that adopts.

    Attributes:
        objects: what was seen, as it is once the claims of the former installers are ours.
        before: steps that make it so, and those that take Helm's records away.
        after: steps that remove what the former installer had beside what we render.
        warnings: what stays, and what a person should know.
    """

    objects: Mapping[Ref, Object]
    before: tuple[Phase, ...] = ()
    after: tuple[Phase, ...] = ()
    warnings: tuple[str, ...] = ()


def former_owner(obj: Object) -> str:
    """The tool that installed an object, as a person reads it; empty where it is ours or nobody's."""
    match installed_by(obj):
        case "meshctl" | "istiod" | "":
            return ""
        case "helm":
            release = obj.annotations.get(HELM_RELEASE)
            return f"Helm release {release}" if release else "Helm"
        case tool:
            return tool


def refuse_unadopted(desired: Manifest, live: Mapping[Ref, Object]) -> None:
    """Let no install go over another tool's mesh unasked.

    Raises:
        ConflictError: another tool runs a workload that is desired; names it and the tool.
    """
    theirs = [
        live[ref]
        for ref in sorted(desired.refs)
        if ref.kind in WORKLOADS and ref in live and former_owner(live[ref])
    ]
    if theirs:
        tools = listed(sorted({former_owner(obj) for obj in theirs}))
        raise ConflictError(
            "installed-by-others",
            f"there is a mesh already, installed by {tools}",
            hint="`--adopt` carries it on, another --revision stands beside it; "
            "`meshctl plan --adopt` shows what would change hands",
            details=[f"{obj.ref}, installed by {former_owner(obj)}" for obj in theirs],
        )


def version_of(istiod: Object) -> str:
    """Istio's version, by the tag of an istiod's image; empty where that tells none."""
    images = [str(each.get("image", "")) for each in istiod.at("spec.template.spec.containers", ())]
    tag = next((image.rpartition(":")[2] for image in images), "")
    match = _VERSION.match(tag)
    return match.group(1) if match else ""


def refuse_other_version(desired: Manifest, live: Mapping[Ref, Object], version: str) -> None:
    """Let an adoption change hands, and not the version with them.

    Raises:
        UnsupportedError: the istiod there is of another version than the one that is asked for.
    """
    for ref in sorted(desired.refs):
        there = live.get(ref)
        if there is None or not is_istiod(there) or not former_owner(there):
            continue
        running = version_of(there)
        if running and running != version:
            raise UnsupportedError(
                "adopts-another-version",
                f"{ref} runs Istio {running}, and {version} is asked for",
                where=Where("--adopt"),
                hint=f"adopt with --istio-version {running}, then `meshctl upgrade --to {version}`",
            )


def adoption(
    desired: Manifest,
    release: Release,
    seen: Mapping[Ref, Object],
    around: Mapping[Ref, Object],
    helm: Sequence[HelmRelease] = (),
) -> Adoption:
    """What an adoption does besides sending what is desired.

    Args:
        desired: what is to be there.
        release: what is known of the release to come: its mesh, revision and namespace.
        seen: live objects, at least of `desired`.
        around: live objects that may belong to a mesh, as `belongings.sight` finds them.
        helm: Helm's records of the releases that are adopted.
    """
    taken = {ref: seen[ref] for ref in sorted(desired.refs) if ref in seen and installers(seen[ref])}
    theirs = {ref: obj for ref, obj in taken.items() if former_owner(obj)}
    objects = {**seen, **{ref: inherited(obj, installers(obj)) for ref, obj in taken.items()}}
    doomed, warnings = _beside(desired, release, around, frozenset(map(former_owner, theirs.values())))
    gone = {same(step.ref) for step in doomed} | {same(ref) for ref in desired.refs}
    before = (*_helm_phases(helm, release), *_inheriting(taken))
    after = (Phase("Remove what the former installer had beside", doomed),) if doomed else ()
    told = [line for each in helm for line in _forgotten(each, gone)]
    return Adoption(objects, before, after, (*_kept_by_others(taken), *warnings, *told))


def joined(steps: Plan, adopting: Adoption) -> Plan:
    """The plan of an install with what an adoption does around it."""
    warnings = (*steps.warnings, *adopting.warnings)
    if steps.is_empty:
        return replace(steps, warnings=warnings)
    first, *body, last = (replace(phase, steps=tuple(map(_told, phase.steps))) for phase in steps.phases)
    body = _tags_first(body)
    return replace(steps, phases=(first, *adopting.before, *body, *adopting.after, last), warnings=warnings)


def _tags_first(phases: Sequence[Phase]) -> list[Phase]:
    """Phases in which new tags come before the webhooks of the control plane change.

    Helm's injector serves namespaces that name no revision itself; ours leaves them to the tag. A pod
    that starts while neither does would run outside the mesh, and nobody would notice. The istiod that
    answers for both runs already.
    """
    place = next((at for at, each in enumerate(phases) if any(map(_changes_injector, each.steps))), None)
    if place is None:
        return list(phases)
    early = [_of(phase, is_tag=True) for phase in phases[place:]]
    late = [_of(phase, is_tag=False) for phase in phases[place:]]
    return [*phases[:place], *(each for each in (*early, *late) if each.steps)]


def _of(phase: Phase, *, is_tag: bool) -> Phase:
    steps = tuple(step for step in phase.steps if _makes_tag(step) is is_tag)
    return replace(phase, title=f"{phase.title} first" if is_tag else phase.title, steps=steps)


def _makes_tag(step: Step) -> bool:
    return isinstance(step, Apply) and step.live is None and TAG in step.object.labels


def _changes_injector(step: Step) -> bool:
    return isinstance(step, Apply) and step.ref.kind == INJECTOR and step.live is not None


def _told(step: Step) -> Step:
    """A step without changes that are none: what the server fills in goes and comes back."""
    if not isinstance(step, Apply):
        return step
    kept = tuple(
        each for each in step.changes if each.wanted is not None or not is_default(each.path, each.seen)
    )
    return replace(step, changes=kept)


def _kept_by_others(taken: Mapping[Ref, Object]) -> Iterator[str]:
    """Controllers that would undo an adoption."""
    kept: dict[str, list[str]] = defaultdict(list)
    for ref, obj in taken.items():
        for keeper in {_KEEPERS[key] for key in (*obj.labels, *obj.annotations) if key in _KEEPERS}:
            kept[keeper].append(str(ref))
    for keeper, names in sorted(kept.items()):
        yield f"{keeper} keeps {_some(names)}: take them out of it first, or it undoes the adoption"


def _inheriting(taken: Mapping[Ref, Object]) -> Iterator[Phase]:
    by_owner: dict[str, list[Ref]] = defaultdict(list)
    for ref, obj in taken.items():
        by_owner[former_owner(obj) or "an earlier install"].append(ref)
    steps = [
        Inherit(f"adopted from {owner}", ref, names, f"held by {listed(names)}")
        for owner in sorted(by_owner)
        for ref in by_owner[owner]
        for names in [installers(taken[ref])]
    ]
    if steps:
        yield Phase("Take over what others hold", tuple(steps))


def _helm_phases(helm: Sequence[HelmRelease], release: Release) -> Iterator[Phase]:
    """Helm's records go: with them, `helm uninstall` would take the mesh away."""
    if not helm:
        return
    named = "-".join(filter(None, ("helm-releases", release.mesh, release.revision)))
    refs = tuple(ref for each in helm for ref in each.records)
    yield Phase("Save Helm's records", (Save("adopted from Helm", refs, f"{named}.yaml"),))
    deletes = (
        Delete(
            f"adopted from Helm release {each.name}",
            ref,
            f"`helm uninstall {each.name}` would remove the mesh",
        )
        for each in helm
        for ref in each.records
    )
    yield Phase("Take Helm's records away", tuple(deletes))


def _forgotten(helm: HelmRelease, gone: set[tuple[str, str, str, str]]) -> Iterator[str]:
    """What Helm installed in a release that is adopted, and nobody knows of any more."""
    # The manifest does not say which kinds have no namespace.
    left = [str(ref) for ref in helm.objects if not {same(ref), same(replace(ref, namespace=""))} & gone]
    if not helm.is_readable:
        yield f"Helm release {helm.name} cannot be read, so what else it holds is not known"
    elif left:
        yield f"Helm release {helm.name} also holds {_some(left)}: it stays, and Helm knows of it no more"


def _beside(
    desired: Manifest, release: Release, around: Mapping[Ref, Object], tools: frozenset[str]
) -> tuple[tuple[Delete, ...], tuple[str, ...]]:
    """What the former installers have beside what we render: what is surely this istiod's goes."""
    wanted = {same(ref) for ref in desired.refs}
    doomed: list[Delete] = []
    left: dict[str, list[str]] = defaultdict(list)
    for ref, obj in sorted(around.items()):
        tool = former_owner(obj)
        if tool not in tools or not tool or same(ref) in wanted or ref.kind == "Namespace":
            continue
        if _is_this_control_planes(obj, release) or _is_beside_a_workload(ref, desired):
            doomed.append(Delete(f"adopted from {tool}", ref, "not part of the mesh as it is asked for"))
        elif TAG in obj.labels:
            left["revision tags, which `meshctl tag set` takes over"].append(str(ref))
        elif ref.namespace in ("", release.namespace) and _is_of_revision(obj, release):
            left[f"other things of {tool}, which stay as they are"].append(str(ref))
    return tuple(doomed), tuple(f"{what}: {_some(names)}" for what, names in sorted(left.items()))


def _is_this_control_planes(obj: Object, release: Release) -> bool:
    why = belonging(obj, release.namespace)
    return (
        why is not None
        and why.component == "istiod"
        and TAG not in obj.labels
        and REVISION in obj.labels
        and obj.ref.namespace in ("", release.namespace)
        and _is_of_revision(obj, release)
    )


def _is_beside_a_workload(ref: Ref, desired: Manifest) -> bool:
    """Whether this scales or protects a workload that is desired, by the name that charts give it."""
    workloads = {(each.namespace, each.name) for each in desired.refs if each.kind in WORKLOADS}
    return ref.kind in _BESIDE and (ref.namespace, ref.name) in workloads


def _is_of_revision(obj: Object, release: Release) -> bool:
    return obj.labels.get(REVISION, "default") == (release.revision or "default")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{listed(names[:_MOST])}{more}"
