"""From values to the objects a cluster is to hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import Where
from meshctl.model.labels import COMPONENT, MESH, PROXY
from meshctl.model.manifest import Manifest, Part
from meshctl.model.objects import Object, Ref
from meshctl.model.values import merge, put
from meshctl.stages.rendering import gateways, meshconfig
from meshctl.stages.rendering.context import Labels, address_type, filled, shared, view
from meshctl.stages.rendering.kubernetes_overrides import Target, overridden
from meshctl.stages.rendering.templates import contents
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshctl.model.values import Tree, Values
    from meshctl.stages.rendering.context import View
    from meshctl.stages.settings.catalogue import Component, Field, Variant

_INJECTOR = "MutatingWebhookConfiguration"  # of use once istiod has put its CA bundle there
# Kinds that belong to the whole cluster; `global.resourceScope` may ask for these or the others alone.
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    }
)  # fmt: skip
_NOTHING = Target("", "", "")


@dataclass(frozen=True)
class _Job:
    """One rendering: the arguments of `render`."""

    values: Values
    owner: str
    install: bool


def render(values: Values, *, owner: str = "", install: bool = False) -> Manifest:
    """The objects that a cluster with these values is to hold.

    Args:
        values: settled values of one cluster.
        owner: name of the mesh that owns the objects and is written on each; empty leaves them unmarked,
            as upstream's own tools render them.
        install: also make what only an install makes: the mesh's namespace, and the tag `default`.

    Returns:
        A part for each component and each gateway; parts that others need come first.

    Raises:
        ConfigError: a setting that fits its type, but not the object it changes.
    """
    known = catalogue.components()
    job = _Job(values, owner, install)
    parts = [part for name, each in known.items() for part in _PARTS.get(name, _plain)(job, each)]
    there = {part.component for part in parts}
    parts = [replace(part, needs=tuple(need for need in part.needs if need in there)) for part in parts]
    parts.sort(key=lambda part: (_rank(part.component, known), part.name))
    if owner:
        parts = [_owned(part, owner) for part in parts]
    return Manifest(tuple(parts), values.warnings)


def _rank(name: str, known: Mapping[str, Component]) -> int:
    """How many components stand in line before this one."""
    return 1 + max((_rank(need, known) for need in known[name].needs), default=0)


def _owned(part: Part, owner: str) -> Part:
    marks = {MESH: owner, COMPONENT: part.component}
    return replace(part, objects=tuple(Object(_marked(each.content, marks)) for each in part.objects))


def _marked(content: Mapping[str, Any], marks: Mapping[str, str]) -> Tree:
    meta = content["metadata"]
    return {**content, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **marks}}}


# Which components there are.


def _said(values: Values, key: str) -> Tree:
    """What is said of a component, possibly nothing."""
    said = values.at(f"components.{key}")
    return said if isinstance(said, dict) else {}


def _enabled(values: Values, key: str) -> bool:
    """Whether a component is on: it is once anything is said of it, but for `enabled: false`."""
    return values.at(f"components.{key}") is not None and _said(values, key).get("enabled") is not False


def _place(values: Values, key: str) -> Where | None:
    """Where a component's changes to its objects were said."""
    given = values.explain(f"components.{key}.k8s") or values.explain(f"components.{key}")
    return given[0][1] if given else None


def _instances(values: Values, variant: Variant) -> list[Tree]:
    """The gateways of a direction that are on; a setting among the values turns all of them on."""
    forced = values.at(".".join((*variant.root, "enabled"))) is True
    listed = values.at(f"components.{variant.instances}")
    if listed is None:
        return [{}] if forced else []
    return [each for each in listed if forced or each.get("enabled") is not False]


def _anything(values: Values) -> bool:
    directions = catalogue.components()["gateway"].variants
    return any(_enabled(values, key) for key in ("base", "pilot")) or any(
        _instances(values, each) for each in directions
    )


# The parts of each component.


def _plain(job: _Job, component: Component) -> Iterator[Part]:
    """A component whose templates need no words but the shared ones."""
    if _enabled(job.values, component.name):
        context = _context(job, component, view(job.values, component), job.values.namespace)
        made = _scoped(contents(component.name, context), context)
        where = _place(job.values, component.name)
        yield _part(component, component.name, made, _said(job.values, component.name), where=where)


def _namespace(job: _Job, component: Component) -> Iterator[Part]:
    if job.install and _anything(job.values):
        context = _context(job, component, view(job.values, component), job.values.namespace)
        yield _part(component, component.name, contents(component.name, context), {})


def _tag(job: _Job, component: Component) -> Iterator[Part]:
    if _has_default_tag(job):
        context = _context(job, component, view(job.values, component), job.values.namespace)
        made = _scoped(contents(component.name, context), context)
        yield _part(component, component.name, made, {})


def _has_default_tag(job: _Job) -> bool:
    return (
        job.install
        and _enabled(job.values, "pilot")
        and not job.values.at("istiodRemote.enabled")
        and "default" not in (job.values.at("revisionTags") or ())
    )


def _base(job: _Job, component: Component) -> Iterator[Part]:
    if _enabled(job.values, "base"):
        context = _context(job, component, view(job.values, component), job.values.namespace)
        made = _crds(job.values, context) + contents(component.name, context)
        said, where = _said(job.values, "base"), _place(job.values, "base")
        yield _part(component, "base", _scoped(made, context), said, where=where)


def _crds(values: Values, context: Mapping[str, Any]) -> list[Tree]:
    from meshctl.crds import crds  # generating them is not needed by every command

    said = context["base"]
    if said["enableIstioConfigCRDs"] is False:
        return []
    excluded = set(said["excludedCRDs"])
    common = context["labels"]("", {"app.kubernetes.io/name": None, "release": None})
    return [
        {**each, "metadata": {**each["metadata"], "labels": common}}
        for each in crds(values.version.crds)
        if each["metadata"]["name"] not in excluded
    ]


def _istiod(job: _Job, component: Component) -> Iterator[Part]:
    if not _enabled(job.values, "pilot"):
        return
    said = _said(job.values, "pilot")
    told = view(job.values, component, _asked_by_component(said, ("pilot",)))
    place = said.get("namespace") or job.values.namespace
    context = _context(job, component, told, place)
    context |= _istiod_words(job, told, context, place)
    target = Target("Deployment", f"istiod{context['suffix']}", "discovery")
    made = _scoped(contents(component.name, context), context)
    yield _part(component, component.name, made, said, target, place, _place(job.values, "pilot"))


def _istiod_words(job: _Job, told: View, context: Mapping[str, Any], namespace: str) -> Tree:
    """What istiod's templates may name, besides the words of every component."""
    from meshctl.stages.rendering.injection import injection_templates

    pilot, remote, rest = context["pilot"], context["istiodRemote"], context["global"]
    env = pilot["env"]
    here = bool(not remote["enabled"] or remote["enabledLocalInjectorIstiod"])
    templates = injection_templates(dict.fromkeys(job.values.version.features, True))
    return {
        "serves": here,
        "configures": here or rest["configCluster"],
        "has_default_tag": _has_default_tag(job),
        "replicas": pilot["autoscaleMin" if pilot["autoscaleEnabled"] else "replicaCount"] or 0,
        "deploys_gateways": str(env.get("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER")).lower() != "false",
        "trust_bundles": env.get("ENABLE_CLUSTER_TRUST_BUNDLE_API") is True,
        "remote_name": f"istiod{context['suffix']}"
        + ("-remote" if remote["enabledLocalInjectorIstiod"] else ""),
        "remote_address_type": address_type(rest["remotePilotAddress"]),
        "mesh": meshconfig.mesh_config(pilot, context["revision"], namespace),
        "injection": meshconfig.injection_config(pilot, templates),
        "injection_values": meshconfig.injection_values(told.recorded),
        "original_values": told.asked,
        "merged_values": told.recorded,
    }


def _gateway(job: _Job, component: Component) -> Iterator[Part]:
    for variant in component.variants:
        for said in _instances(job.values, variant):
            yield _one_gateway(job, component, variant, said)


def _one_gateway(job: _Job, component: Component, variant: Variant, said: Tree) -> Part:
    told = view(job.values, component, _asked_by_component(said, variant.root))
    place = said.get("namespace") or job.values.namespace
    context = _context(job, component, told, place, variant)
    gateway = context["gateways"][variant.root[-1]]
    context |= gateways.words(context["pilot"], gateway, variant, job.values.revision, place)
    target = Target("Deployment", context["name"], PROXY)
    k8s = said.get("k8s") or {}
    if "ports" in (k8s.get("service") or {}):  # they went into the values, which the pods follow as well
        service = {key: value for key, value in k8s["service"].items() if key != "ports"}
        said = {**said, "k8s": {**k8s, "service": service}}
    made = contents(component.name, context)
    where = _place(job.values, variant.instances)
    return _part(component, f"gateway/{target.name}", made, said, target, place, where)


def _asked_by_component(said: Tree, root: tuple[str, ...]) -> Tree:
    """Values that a component's own settings stand for, so that what depends on them follows."""
    k8s = said.get("k8s") or {}
    found: Tree = {key: said[key] for key in ("hub", "tag", "name") if said.get(key)}
    if said.get("label"):
        found["labels"] = said["label"]
    if (k8s.get("service") or {}).get("ports") and root[0] == "gateways":
        found["ports"] = k8s["service"]["ports"]
    scaling = k8s.get("hpaSpec") or {}
    wanted = {
        "autoscaleMin": scaling.get("minReplicas"),
        "autoscaleMax": scaling.get("maxReplicas"),
        "replicaCount": k8s.get("replicaCount"),
    }
    found |= {key: value for key, value in wanted.items() if value}
    for kind in ("limits", "requests"):
        cpu = ((k8s.get("resources") or {}).get(kind) or {}).get("cpu")
        if cpu:
            found = merge(found, put(("resources", kind, "cpu"), cpu))
    return put(root, found) if found else {}


# What parts have in common.


def _context(
    job: _Job, component: Component, told: View, namespace: str, variant: Variant | None = None
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
    context = shared(tree, values.revision, namespace, labels)
    context["pilot"] = pilot = merge(tree, tree["pilot"])  # istiod's settings, over those of the mesh
    context["istiodRemote"] = pilot["istiodRemote"]
    return context


@cache
def _fields() -> Mapping[tuple[str, ...], Field]:
    return {field.path: field for each in catalogue.components().values() for field in each.fields}


def _scoped(made: list[Tree], context: Mapping[str, Any]) -> list[Tree]:
    """Objects that belong to the whole cluster, or the others, or all, as the user asks."""
    scope = context["global"]["resourceScope"]
    if scope not in ("cluster", "namespace"):
        return made
    return [each for each in made if (each["kind"] in _CLUSTER_WIDE) == (scope == "cluster")]


def _part(
    component: Component,
    name: str,
    made: list[Tree],
    said: Tree,
    target: Target = _NOTHING,
    namespace: str = "",
    where: Where | None = None,
) -> Part:
    """A part of these objects, with the component's own changes to them applied."""
    if said.get("k8s"):
        made = overridden(made, said["k8s"], target, where or Where(name))
    objects = tuple(Object(each) for each in made)
    workload = Ref("apps/v1", target.kind, namespace, target.name)
    ready = [each.ref for each in objects if each.ref == workload or each.ref.kind == _INJECTOR]
    return Part(name, component.name, component.needs, objects, tuple(ready), component.yields)


_PARTS: dict[str, Callable[[_Job, Component], Iterator[Part]]] = {
    "base": _base,
    "gateway": _gateway,
    "istiod": _istiod,
    "namespace": _namespace,
    "tag": _tag,
}
