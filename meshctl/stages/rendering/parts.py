"""What the parts of a manifest have in common: their words, their scope, their owner's marks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.model.labels import COMPONENT, MESH
from meshctl.model.manifest import Part
from meshctl.model.mesh import Layer
from meshctl.model.objects import Object, Ref
from meshctl.stages.rendering.context import Labels, filled, shared
from meshctl.stages.rendering.kubernetes_overrides import Target, overridden
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.values import Tree, Values
    from meshctl.stages.rendering.context import View
    from meshctl.stages.rendering.kubernetes_overrides import Finder
    from meshctl.stages.settings.catalogue import Component, Field, Variant

_INJECTOR = "MutatingWebhookConfiguration"  # of use once istiod has put its CA bundle there
# Kinds that belong to the whole cluster; `global.resourceScope` may ask for these or the others alone.
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    }
)  # fmt: skip
NOTHING = Target("", "", "")
"""No workload."""


@dataclass(frozen=True)
class Job:
    """One rendering.

    Attributes:
        values: settled values of one cluster, their users' maps in order.
        owner: name of the mesh whose mark the objects get; empty: none.
        install: whether what only an install makes is made as well.
    """

    values: Values
    owner: str
    install: bool


def words_for(
    job: Job, component: Component, told: View, namespace: str, variant: Variant | None = None
) -> Tree:
    """The words of every component, with each known setting filled in."""
    values, tree = job.values, filled(told.values, _fields())
    labels = Labels(
        variant or component.variants[0],
        values.version.full,
        values.revision or "default",
        tree["ownerName"] or "unknown",
        # without an owner, as istioctl renders it, though Helm never saw it
        "meshctl" if job.owner else "Helm",
    )
    words = shared(tree, values.revision, namespace, labels, values.version.features)
    words["pilot"] = pilot = filled(told.pilot, _fields(), "pilot")
    words["istiodRemote"] = pilot["istiodRemote"]
    if component.root:
        words["own"] = filled(told.own, _fields(), component.root)
    return words


@cache
def _fields() -> Mapping[tuple[str, ...], Field]:
    return {field.path: field for each in catalogue.components().values() for field in each.fields}


def scoped(made: list[Tree], component: Component, context: Mapping[str, Any]) -> list[Tree]:
    """Objects of the whole cluster, or the others, or all, as the user asks."""
    scope = (context.get("own") or {}).get("resourceScope") or context["global"]["resourceScope"]
    if scope == "all":
        return made

    def belongs(kind: str) -> str:
        return component.scopes.get(kind) or ("cluster" if kind in _CLUSTER_WIDE else "namespace")

    return [each for each in made if belongs(each["kind"]) in (scope, "always")]


def part_of(
    component: Component,
    name: str,
    made: list[Tree],
    said: Tree,
    where: Finder | None = None,
    target: Target = NOTHING,
    namespace: str = "",
) -> Part:
    """A part of these objects, with the component's own changes to them applied."""
    if said.get("k8s") and where:
        made = overridden(made, said["k8s"], target, where)
    objects = tuple(Object(each) for each in made)
    workload = Ref("apps/v1", target.kind, namespace, target.name)
    ready = [each.ref for each in objects if each.ref == workload or each.ref.kind == _INJECTOR]
    return Part(name, component.name, component.needs, objects, tuple(ready), component.yields)


def owned(part: Part, owner: str) -> Part:
    """The part with the mark of the mesh it belongs to on each object."""
    marks = {MESH: owner, COMPONENT: part.component}
    return replace(part, objects=tuple(Object(_marked(each.content, marks)) for each in part.objects))


def _marked(content: Mapping[str, Any], marks: Mapping[str, str]) -> Tree:
    meta = content["metadata"]
    return {**content, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **marks}}}


def in_order(values: Values) -> Values:
    """Values whose users' maps have their keys sorted: the order in which they were said means nothing."""
    told = (
        replace(each, tree=_sorted(each.tree)) if each.layer > Layer.PLATFORM else each
        for each in values.overlays
    )
    return replace(values, overlays=tuple(told))


def _sorted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _sorted(tree[key]) for key in sorted(tree)}
    return [_sorted(each) for each in tree] if isinstance(tree, list) else tree
