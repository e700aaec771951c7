"""What a removal left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.model.labels import GENERATED, MESH, REVISION
from meshctl.stages.planning.kinds import same
from meshctl.stages.planning.tags import leads_elsewhere
from meshctl.stages.removing.belongings import (
    CA_SECRET,
    INJECTION,
    belonging,
    controllers_own,
    election_of,
    is_born_with,
    is_definition,
    is_everywhere,
    is_istio,
    links_clusters,
    sounds_like,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.objects import Object, Ref
    from meshctl.model.removal import Scope


@dataclass(frozen=True, slots=True, order=True)
class Remainder:
    """Something that is there now, was not there before the mesh, and has to do with it.

    `meant` says that it stays on purpose; otherwise the removal has missed it.
    """

    ref: Ref
    why: str
    meant: bool


def residue(
    before: Sequence[Ref], after: Sequence[Ref], seen: Mapping[Ref, Object], scope: Scope
) -> tuple[Remainder, ...]:
    """What is left of a mesh, each with the reason why it stays or why it counts as left.

    The user's own new objects are not the mesh's and are not told.

    Args:
        before: names of all objects before the first install; empty when nobody knows.
        after: names of all objects now.
        seen: live objects now, as `belongings.sight` finds them.
        scope: what was to go; with a revision, others go on beside it, and all that is theirs or shared.
    """
    if scope.revision is not None:
        return tuple(sorted(_of_revision(after, seen, scope, scope.revision)))
    known = {same(ref) for ref in before}
    new = sorted(ref for ref in after if same(ref) not in known)
    remains = [each for ref in new if (each := _remainder(ref, seen.get(ref), scope, new))]
    return tuple(sorted({*remains, *_labelled(seen, scope)}))


def _of_revision(
    after: Sequence[Ref], seen: Mapping[Ref, Object], scope: Scope, revision: str
) -> Iterator[Remainder]:
    """What is still there of one control plane among several."""
    for ref, obj in seen.items():
        of_it = REVISION in obj.labels and GENERATED not in obj.labels and not leads_elsewhere(obj, revision)
        if of_it and (told := belonging(obj, scope.namespace)):
            yield Remainder(ref, told.why, meant=False)
    for ref in after:
        if ref.namespace == scope.namespace and election_of(ref, revision):
            yield Remainder(ref, controllers_own(ref), meant=False)


def _remainder(ref: Ref, obj: Object | None, scope: Scope, new: Sequence[Ref]) -> Remainder | None:
    mine = ref.namespace == scope.namespace
    if is_definition(ref):
        return Remainder(ref, "definitions stay, so that resources of their kinds do", not scope.purge)
    if is_istio(ref.group):
        return Remainder(ref, "a resource of yours, whose definition stays", not scope.purge)
    if is_everywhere(ref) or (mine and controllers_own(ref)):
        return Remainder(ref, controllers_own(ref), meant=False)
    if mine and (ref.group, ref.kind, ref.name) == ("", "Secret", CA_SECRET):
        return Remainder(ref, "the key of the certificate authority", scope.keep_ca)
    if mine and links_clusters(ref) and obj is None:
        return Remainder(ref, "links clusters; `--purge` removes it", not scope.purge)
    told = belonging(obj, scope.namespace) if obj else None
    if told:
        return Remainder(ref, told.why, meant=False)
    if not ref.namespace and sounds_like(ref):
        return Remainder(ref, "its name is one that Istio's installers give", meant=False)
    if (ref.kind, ref.name) == ("Namespace", scope.namespace) and not ref.group:
        holds = any(each.namespace == scope.namespace and not is_born_with(each) for each in new)
        return Remainder(ref, "it holds what is not the mesh's" if holds else "the mesh's namespace", holds)
    if mine and not is_born_with(ref):
        return Remainder(ref, "made in the mesh's namespace by somebody else", meant=True)
    return None


def _labelled(seen: Mapping[Ref, Object], scope: Scope) -> Iterator[Remainder]:
    for ref, obj in seen.items():
        if ref.kind == "Namespace":
            if obj.labels.get(MESH) == scope.mesh and not obj.is_leaving:
                yield Remainder(ref, "it is still labelled as part of the mesh", meant=False)
            labels = sorted(f"{key}={obj.labels[key]}" for key in INJECTION & obj.labels.keys())
            if labels:
                yield Remainder(ref, f"you labelled it {', '.join(labels)}", meant=True)
