"""From values to the objects a cluster is to hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where
from meshctl.model.labels import PROXY, REVISION
from meshctl.model.manifest import Manifest, Part
from meshctl.stages.rendering import gateways, meshconfig
from meshctl.stages.rendering.component_values import asked_by_component
from meshctl.stages.rendering.context import address_type, view
from meshctl.stages.rendering.kubernetes_overrides import Target, finder, idle
from meshctl.stages.rendering.parts import NOTHING, Job, in_order, owned, part_of, scoped, words_for
from meshctl.stages.rendering.tag import DEFAULT, tag_contents, tag_part
from meshctl.stages.rendering.templates import contents
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Ref
    from meshctl.model.values import Tree, Values
    from meshctl.stages.rendering.context import View
    from meshctl.stages.rendering.kubernetes_overrides import Finder
    from meshctl.stages.settings.catalogue import Component, Variant


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
    job = Job(in_order(values), owner, install)
    parts = [part for name, each in known.items() for part in _PARTS.get(name, _plain)(job, each)]
    _want_each_once(parts)
    there = {part.component for part in parts}
    parts = [replace(part, needs=tuple(need for need in part.needs if need in there)) for part in parts]
    parts = sorted(parts, key=lambda part: (_rank(part, parts), part.name))
    if owner:
        parts = [owned(part, owner) for part in parts]
    objects = {(each.ref.kind, each.ref.name) for part in parts for each in part.objects}
    return Manifest(tuple(parts), (*values.warnings, *idle(values, objects)))


def _want_each_once(parts: list[Part]) -> None:
    """Refuse parts that hold the same object, such as two gateways of one name."""
    seen: set[Ref] = set()
    for part in parts:
        for each in part.objects:
            if each.ref in seen:
                raise ConfigError(
                    "same-object-twice",
                    f"{each.ref} would be made twice, for {part.name} and for another part",
                    where=Where("components"),
                    hint="give each gateway a name of its own, or a namespace",
                )
            seen.add(each.ref)


def _rank(part: Part, parts: Sequence[Part]) -> int:
    """How many parts stand in line before this one."""
    return 1 + max((_rank(each, parts) for each in parts if each.component in part.needs), default=0)


# Which components there are.


def _said(values: Values, key: str) -> Tree:
    """What is said of a component, possibly nothing."""
    said = values.at(f"components.{key}")
    return said if isinstance(said, dict) else {}


def _enabled(values: Values, key: str) -> bool:
    """Whether a component is on: it is once anything is said of it, but for `enabled: false`."""
    return values.at(f"components.{key}") is not None and _said(values, key).get("enabled") is not False


def _instances(values: Values, variant: Variant) -> dict[int, Tree]:
    """The gateways of a direction that are on, by their index; a setting of the values turns on all."""
    forced = values.at(".".join((*variant.root, "enabled"))) is True
    listed = values.at(f"components.{variant.instances}")
    if listed is None:
        return {0: {}} if forced else {}
    return {at: each for at, each in enumerate(listed) if forced or each.get("enabled") is not False}


def _places(values: Values) -> set[str]:
    """Namespaces of what is installed; empty where nothing is."""
    said = [_said(values, key) for key in ("base", "cni", "pilot", "ztunnel") if _enabled(values, key)]
    for component in catalogue.components().values():
        for variant in component.variants:
            said += _instances(values, variant).values() if variant.name else []
    return {each.get("namespace") or values.namespace for each in said}


# The parts of each component.


def _plain(job: Job, component: Component) -> Iterator[Part]:
    """A component whose templates need no words but the shared ones."""
    if _enabled(job.values, component.name):
        context = words_for(job, component, view(job.values, component), job.values.namespace)
        made = scoped(contents(component.name, context), component, context)
        where = finder(job.values, component.name)
        yield part_of(component, component.name, made, _said(job.values, component.name), where)


def _namespace(job: Job, component: Component) -> Iterator[Part]:
    """The mesh's namespace, and those of parts outside it; Kubernetes' own are there already."""
    places = _places(job.values) if job.install else set()
    if not places:
        return
    context = words_for(job, component, view(job.values, component), job.values.namespace)
    others = (each for each in places if not each.startswith("kube-") and each != "default")
    context["places"] = sorted({job.values.namespace, *others})
    context["steward"] = job.values.mesh.steward(job.values.cluster)
    yield part_of(component, component.name, contents(component.name, context), {})


def _tag(job: Job, component: Component) -> Iterator[Part]:
    if _has_default_tag(job):
        yield tag_part(job.values, DEFAULT, owner=job.owner)


def _has_default_tag(job: Job) -> bool:
    return (
        job.install
        and _enabled(job.values, "pilot")
        and not job.values.at("istiodRemote.enabled")
        and not job.values.at("global.operatorManageWebhooks")
    )


def _base(job: Job, component: Component) -> Iterator[Part]:
    if _enabled(job.values, "base"):
        context = words_for(job, component, view(job.values, component), job.values.namespace)
        made = _crds(job.values, context) + contents(component.name, context)
        said, where = _said(job.values, "base"), finder(job.values, "base")
        yield part_of(component, "base", scoped(made, component, context), said, where)


def _crds(values: Values, context: Mapping[str, Any]) -> list[Tree]:
    said = context["base"]
    excluded = set(said["excludedCRDs"])
    # Who leaves some out is told by upstream to turn off the switch for all as well.
    if said["enableIstioConfigCRDs"] is False and not excluded:
        return []
    common = context["labels"]("", {"app.kubernetes.io/name": None, "release": None})
    known = _labelled_crds(values.version.crds, tuple(common.items()))
    return [each for each in known if each["metadata"]["name"] not in excluded]


@cache
def _labelled_crds(minor: str, labels: tuple[tuple[str, str], ...]) -> tuple[Tree, ...]:
    """All definitions; clusters of one version share them, so that they are made and written once."""
    from meshctl.crds import crds  # generating them is not needed by every command

    found = crds(minor)
    return tuple({**each, "metadata": {**each["metadata"], "labels": dict(labels)}} for each in found)


def _istiod(job: Job, component: Component) -> Iterator[Part]:
    if not _enabled(job.values, "pilot"):
        return
    said = _said(job.values, "pilot")
    told = view(job.values, component, asked_by_component(said, ("pilot",)))
    place = said.get("namespace") or job.values.namespace
    context = words_for(job, component, told, place)
    context |= _istiod_words(job, told, context, place)
    target = Target("Deployment", f"istiod{context['suffix']}", "discovery")
    made = contents(component.name, context)
    for tag in context["revisionTags"]:
        if tag != DEFAULT or not _has_default_tag(job):  # that has a part of its own
            made += tag_contents(context, tag)
    made = scoped(made, component, context)
    where = finder(job.values, "pilot")
    yield part_of(component, component.name, made, said, where, target, place)


def _istiod_words(job: Job, told: View, context: Mapping[str, Any], namespace: str) -> Tree:
    """What istiod's templates may name, besides the words of every component."""
    from meshctl.stages.rendering.injection import injection_templates

    pilot, remote, rest = context["pilot"], context["istiodRemote"], context["global"]
    env = pilot["env"]
    here = bool(not remote["enabled"] or remote["enabledLocalInjectorIstiod"])
    templates = injection_templates(job.values.version.features)
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


def _gateway(job: Job, component: Component) -> Iterator[Part]:
    for variant in component.variants:
        for index, said in _instances(job.values, variant).items():
            where = finder(job.values, variant.instances, index)
            yield _one_gateway(job, component, variant, said, where)


def _one_gateway(job: Job, component: Component, variant: Variant, said: Tree, where: Finder) -> Part:
    told = view(job.values, component, asked_by_component(said, variant.root))
    place = said.get("namespace") or job.values.namespace
    context = words_for(job, component, told, place, variant)
    gateway = context["gateways"][variant.root[-1]]
    if not component.like:
        gateway["labels"] = gateways.labels(component, variant, said)
    context |= gateways.words(context["pilot"], gateway, variant, job.values.revision, place)
    target = Target("Deployment", context["name"], PROXY)
    k8s = said.get("k8s") or {}
    if "ports" in (k8s.get("service") or {}):  # they went into the values, which the pods follow as well
        service = {key: value for key, value in k8s["service"].items() if key != "ports"}
        said = {**said, "k8s": {**k8s, "service": service}}
    made = gateways.made(component, said, context)
    part = part_of(component, f"gateway/{target.name}", made, said, where, target, place)
    return replace(part, needs=gateways.needs(component, gateway))


def _cni(job: Job, component: Component) -> Iterator[Part]:
    if _enabled(job.values, component.root):
        yield _agent(job, component, lambda own: {})


def _ztunnel(job: Job, component: Component) -> Iterator[Part]:
    if _enabled(job.values, component.root):
        yield _agent(job, component, _ztunnel_words)


def _ztunnel_words(own: Tree) -> Tree:
    """What ztunnel's templates may name, besides the words of every component."""
    name = own["resourceName"] or "ztunnel"
    owner = own["ownerName"] or "unknown"
    return {
        "name": name,
        "annotations": {**own["annotations"], **({REVISION: own["revision"]} if own["revision"] else {})},
        "owner_labels": {
            "app": "ztunnel",
            "release": name,
            "install.operator.istio.io/owning-resource": owner,
        },
    }


def _agent(job: Job, component: Component, words: Callable[[Tree], Tree]) -> Part:
    """A component whose one workload is a DaemonSet, by whatever name its templates give it."""
    said = _said(job.values, component.root)
    told = view(job.values, component, asked_by_component(said, (component.root,)))
    place = said.get("namespace") or job.values.namespace
    context = words_for(job, component, told, place)
    context |= words(context["own"])
    made = scoped(contents(component.name, context), component, context)
    target = NOTHING
    for each in made:
        if each["kind"] == "DaemonSet":
            container = each["spec"]["template"]["spec"]["containers"][0]["name"]
            target = Target(each["kind"], each["metadata"]["name"], container)
    where = finder(job.values, component.root)
    return part_of(component, component.name, made, said, where, target, place)


_PARTS: dict[str, Callable[[Job, Component], Iterator[Part]]] = {
    "base": _base,
    "cni": _cni,
    "eastwest": _gateway,
    "gateway": _gateway,
    "istiod": _istiod,
    "namespace": _namespace,
    "tag": _tag,
    "ztunnel": _ztunnel,
}
