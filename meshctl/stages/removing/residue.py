"""What a removal left, and which proxies it leaves without a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.stages.planning.kinds import same
from meshctl.stages.removing.belongings import (
    CA_SECRET,
    INJECTION,
    belonging,
    controllers_own,
    is_born_with,
    is_definition,
    is_everywhere,
    is_istio,
    links_clusters,
    sounds_like,
)
from meshctl.stages.seeing.sync import proxy_container, revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

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


@dataclass(frozen=True, slots=True, order=True)
class Attached:
    """A pod whose proxy loses its control plane; `revision` is empty where it does not say."""

    pod: Ref
    revision: str


def residue(
    before: Sequence[Ref], after: Sequence[Ref], seen: Mapping[Ref, Object], scope: Scope
) -> tuple[Remainder, ...]:
    """What is left of a mesh, each with the reason why it stays or why it counts as left.

    The user's own new objects are not the mesh's and are not told.

    Args:
        before: names of all objects before the first install; empty when nobody knows.
        after: names of all objects now.
        seen: live objects now, as `belongings.sight` finds them.
        scope: what was to go.
    """
    known = {same(ref) for ref in before}
    new = sorted(ref for ref in after if same(ref) not in known)
    remains = [each for ref in new if (each := _remainder(ref, seen.get(ref), scope, new))]
    return tuple(sorted({*remains, *_labelled(seen)}))


def attached(pods: Collection[Object], without: Collection[Object] = ()) -> tuple[Attached, ...]:
    """Pods that run one of Istio's proxies, sorted.

    Args:
        pods: pods of the cluster, as listed by the label `INJECTED`.
        without: workloads that go themselves, such as the mesh's gateways.
    """
    leaving = [(each.ref.namespace, each.at("spec.selector.matchLabels", {})) for each in without]
    return tuple(
        sorted(
            Attached(pod.ref, revision_of(pod))
            for pod in pods
            if proxy_container(pod) is not None
            and not any(
                pod.ref.namespace == namespace and labels and labels.items() <= dict(pod.labels).items()
                for namespace, labels in leaving
            )
        )
    )


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
    if mine and links_clusters(ref):
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


def _labelled(seen: Mapping[Ref, Object]) -> Iterator[Remainder]:
    for ref, obj in seen.items():
        if ref.kind == "Namespace":
            labels = sorted(f"{key}={obj.labels[key]}" for key in INJECTION & obj.labels.keys())
            if labels:
                yield Remainder(ref, f"you labelled it {', '.join(labels)}", meant=True)
