"""From values to the objects a cluster is to hold."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import yaml

from meshctl.errors import InternalError, Where
from meshctl.model.manifest import Manifest, Part
from meshctl.model.objects import Object, Ref
from meshctl.model.values import merge, put
from meshctl.registry import data
from meshctl.stages import catalogue, gateways, meshconfig
from meshctl.stages.context import FILTERS, Labels, View, address_type, filled, shared, view
from meshctl.stages.kubernetes_overrides import Target, overridden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jinja2 import Environment

    from meshctl.model.values import Tree, Values
    from meshctl.stages.catalogue import Component, Field, Variant

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Kinds that belong to the whole cluster; `global.resourceScope` may ask for these or the others alone.
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    }
)  # fmt: skip


def render(values: Values, *, owner: str = "", install: bool = False) -> Manifest:
    """The objects that a cluster with these values is to hold.

    Args:
        values: settled values of one cluster.
        owner: name of the mesh that owns the objects and is written on each; empty leaves them unmarked,
            as upstream's own tools render them.
        install: also make what only an install makes: the mesh's namespace, and the tag `default`.

    Raises:
        ConfigError: a setting that fits its type, but not the object it changes.
    """
    known = catalogue.components()
    parts: list[Part] = []
    for name, component in known.items():
        if component.install_only and not (install and _wanted_by_install(values, name)):
            continue
        for part in _PARTS.get(name, _plain)(values, component, owner, install):
            parts.append(_owned(part, owner) if owner else part)
    names = {part.component for part in parts}
    ordered = sorted(parts, key=lambda part: (_rank(part.component, known), part.name))
    return Manifest(
        tuple(
            Part(
                part.name,
                part.component,
                tuple(need for need in part.needs if need in names),
                part.objects,
                part.ready,
                part.yields,
            )
            for part in ordered
        ),
        values.warnings,
    )


def _rank(name: str, known: Mapping[str, Component]) -> int:
    return 1 + max((_rank(need, known) for need in known[name].needs), default=0)


def _wanted_by_install(values: Values, name: str) -> bool:
    """Whether an install of these values makes the namespace, or the tag."""
    if name == "tag":
        return _enabled(values, "pilot") and not values.at("istiodRemote.enabled")
    return any(_enabled(values, each) for each in ("base", "pilot")) or any(
        _instances(values, variant) for variant in catalogue.components()["gateway"].variants
    )


def _enabled(values: Values, key: str) -> bool:
    said = values.at(f"components.{key}")
    return isinstance(said, dict) and said.get("enabled") is not False


def _plain(values: Values, component: Component, owner: str, install: bool) -> Iterator[Part]:
    """A component whose templates need no words but the shared ones."""
    spec = values.at(f"components.{component.name}") or {}
    if not component.install_only and not _enabled(values, component.name):
        return
    told = view(values, component)
    context = _context(values, component, told, component.variants[0], values.namespace, owner)
    yield _part(values, component, component.name, context, spec, ())


def _base(values: Values, component: Component, owner: str, install: bool) -> Iterator[Part]:
    if not _enabled(values, "base"):
        return
    told = view(values, component)
    context = _context(values, component, told, component.variants[0], values.namespace, owner)
    contents = _crds(values, context) + _contents(component.name, context)
    spec = values.at("components.base") or {}
    yield _finished(component, "base", _scoped(contents, context), spec, Target("", "", ""), ())


def _crds(values: Values, context: Mapping[str, Any]) -> list[Tree]:
    from meshctl.crds import crds  # generating them is not needed by every command

    said = context["base"]
    if said["enableIstioConfigCRDs"] is False:
        return []
    excluded = set(said["excludedCRDs"])
    common = context["labels"]("", {"app.kubernetes.io/name": None, "release": None})
    found: list[Tree] = []
    for definition in crds(values.version.crds):
        if definition["metadata"]["name"] not in excluded:
            found.append({**definition, "metadata": {**definition["metadata"], "labels": common}})
    return found


def _istiod(values: Values, component: Component, owner: str, install: bool) -> Iterator[Part]:
    if not _enabled(values, "pilot"):
        return
    spec = values.at("components.pilot") or {}
    told = view(values, component, _asked_by_component(spec, ("pilot",)))
    place = spec.get("namespace") or values.namespace
    context = _context(values, component, told, component.variants[0], place, owner)
    context |= _istiod_words(values, told, context, place)
    context["has_default_tag"] = install
    target = Target("Deployment", f"istiod{context['suffix']}", "discovery")
    ready = (Ref("apps/v1", "Deployment", place, target.name),)
    yield _part(values, component, component.name, context, spec, ready, target)


def _istiod_words(values: Values, told: View, context: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """What istiod's templates may name, besides the words of every component."""
    settled = told.recorded
    remote, rest, env = context["istiodRemote"], context["global"], context["pilot"]["env"]
    pilot = context["pilot"]
    here = bool(not remote["enabled"] or remote["enabledLocalInjectorIstiod"])
    names = dict.fromkeys(values.version.features, True)
    revision = context["revision"]
    remote_name = f"istiod{context['suffix']}" + ("-remote" if remote["enabledLocalInjectorIstiod"] else "")
    return {
        "serves": here,
        "configures": here or rest["configCluster"],
        "replicas": pilot["autoscaleMin" if pilot["autoscaleEnabled"] else "replicaCount"] or 0,
        "deploys_gateways": str(env.get("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER")).lower() != "false",
        "trust_bundles": env.get("ENABLE_CLUSTER_TRUST_BUNDLE_API") is True,
        "remote_name": remote_name,
        "remote_address_type": address_type(rest["remotePilotAddress"]),
        "mesh": meshconfig.mesh_config(context["pilot"], revision, namespace),
        "injection": meshconfig.injection_config(context["pilot"], _injection_templates(names)),
        "injection_values": meshconfig.injection_values(settled),
        "original_values": told.asked,
        "merged_values": settled,
    }


def _injection_templates(features: dict[str, bool]) -> Mapping[str, str]:
    from meshctl.stages.injection import injection_templates

    return injection_templates(features)


def _gateway(values: Values, component: Component, owner: str, install: bool) -> Iterator[Part]:
    for variant in component.variants:
        for spec in _instances(values, variant):
            yield _one_gateway(values, component, variant, spec, owner)


def _instances(values: Values, variant: Variant) -> list[Tree]:
    """The gateways of a direction that are on; a setting among the values turns all of them on."""
    forced = values.at(".".join((*variant.root, "enabled"))) is True
    listed = values.at(f"components.{variant.instances}")
    if listed is None:
        return [{}] if forced else []
    return [each for each in listed if forced or each.get("enabled") is not False]


def _one_gateway(values: Values, component: Component, variant: Variant, spec: Tree, owner: str) -> Part:
    told = view(values, component, _asked_by_component(spec, variant.root))
    place = spec.get("namespace") or values.namespace
    context = _context(values, component, told, variant, place, owner)
    gateway = context["gateways"][variant.root[-1]]
    words = gateways.words(context["pilot"], gateway, variant, values.revision, place)
    context |= words
    ready = (Ref("apps/v1", "Deployment", place, words["name"]),)
    target = Target("Deployment", words["name"], "istio-proxy")
    k8s = spec.get("k8s") or {}
    if "ports" in (k8s.get("service") or {}):  # they went into the values, which pods follow as well
        service = {key: value for key, value in k8s["service"].items() if key != "ports"}
        spec = {**spec, "k8s": {**k8s, "service": service}}
    return _part(values, component, f"gateway/{words['name']}", context, spec, ready, target)


def _asked_by_component(spec: Tree, root: tuple[str, ...]) -> Tree:
    """Values that a component's own settings stand for, so that what depends on them follows."""
    k8s = spec.get("k8s") or {}
    found: Tree = {}
    for key in ("hub", "tag", "name"):
        if spec.get(key):
            found[key] = spec[key]
    if spec.get("label"):
        found["labels"] = spec["label"]
    if (k8s.get("service") or {}).get("ports") and root[0] == "gateways":
        found["ports"] = k8s["service"]["ports"]
    scaling = k8s.get("hpaSpec") or {}
    for key, asked in (
        ("autoscaleMin", scaling.get("minReplicas")),
        ("autoscaleMax", scaling.get("maxReplicas")),
    ):
        if asked:
            found[key] = asked
    if k8s.get("replicaCount"):
        found["replicaCount"] = k8s["replicaCount"]
    for kind, sizes in (k8s.get("resources") or {}).items():
        if kind in ("limits", "requests") and (sizes or {}).get("cpu"):
            found = merge(found, put(("resources", kind, "cpu"), sizes["cpu"]))
    return put(root, found) if found else {}


def _context(
    values: Values, component: Component, told: View, variant: Variant, namespace: str, owner: str
) -> dict[str, Any]:
    tree = filled(told.values, _fields())
    top = merge(tree, tree["pilot"])
    manager = "meshctl" if owner else "Helm"  # the latter as istioctl renders it, though Helm never saw it
    labels = Labels(
        variant, values.version.full, values.revision or "default", tree["ownerName"] or "unknown", manager
    )
    context = shared(tree, values.revision, namespace, labels)
    context["istiodRemote"] = top["istiodRemote"]
    context["pilot"] = top
    context["elsewhere"] = "" if namespace == "istio-system" else f"-{namespace}"
    return context


@cache
def _fields() -> Mapping[tuple[str, ...], Field]:
    return {field.path: field for each in catalogue.components().values() for field in each.fields}


def _part(
    values: Values,
    component: Component,
    name: str,
    context: Mapping[str, Any],
    spec: Tree,
    ready: tuple[Ref, ...],
    target: Target = Target("", "", ""),
) -> Part:
    contents = _contents(component.name, context)
    if component.name != "gateway":
        contents = _scoped(contents, context)
    return _finished(component, name, contents, spec, target, ready)


def _finished(
    component: Component, name: str, contents: list[Tree], spec: Tree, target: Target, ready: tuple[Ref, ...]
) -> Part:
    k8s = spec.get("k8s")
    if k8s:
        contents = overridden(contents, k8s, target, Where("components", None, f"{name}.k8s"))
    objects = tuple(Object(content) for content in contents)
    there = {obj.ref for obj in objects}
    return Part(
        name,
        component.name,
        component.needs,
        objects,
        tuple(ref for ref in ready if ref in there),
        component.yields,
    )


def _scoped(contents: list[Tree], context: Mapping[str, Any]) -> list[Tree]:
    scope = context["global"]["resourceScope"]
    if scope not in ("cluster", "namespace"):
        return contents
    return [each for each in contents if (each["kind"] in _CLUSTER_WIDE) == (scope == "cluster")]


def _contents(folder: str, context: Mapping[str, Any]) -> list[Tree]:
    """Objects of every template in a component's folder, in the order of file names."""
    environment = _environment()
    texts = []
    for template in _templates(folder):
        try:
            texts.append(environment.get_template(template).render(context))
        except Exception as fault:
            raise InternalError("template-failed", f"the template {template} failed: {fault}") from fault
    found = yaml.load_all("\n---\n".join(texts), Loader=_LOADER)  # noqa: S506 - a safe loader
    return [_without_nulls(each) for each in found if each]


@cache
def _templates(folder: str) -> tuple[str, ...]:
    return tuple(sorted(f"{folder}/{each.name}" for each in (data("templates") / folder).glob("*.yaml.j2")))


def _without_nulls(tree: Any) -> Any:
    """A tree without keys that hold nothing, as the API server would keep it."""
    if isinstance(tree, dict):
        return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [_without_nulls(each) for each in tree]
    return tree


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
    from jinja2.runtime import Context

    from meshctl.stages.compiled import Compiled

    @pass_context
    def revisioned(context: Context, name: str) -> str:
        """A name that every revision has its own of."""
        return f"{name}{context['suffix']}"

    # What is rendered is YAML, and values go in as JSON; there is no HTML to escape for.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(data("templates")),
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=Compiled(data("templates")),
    )
    environment.filters.update(FILTERS)
    environment.filters["revisioned"] = revisioned
    return environment


def _owned(part: Part, owner: str) -> Part:
    marks = {"meshctl.dev/mesh": owner, "meshctl.dev/component": part.component}
    objects = tuple(Object(_marked(each.content, marks)) for each in part.objects)
    return Part(part.name, part.component, part.needs, objects, part.ready, part.yields)


def _marked(content: Mapping[str, Any], marks: Mapping[str, str]) -> Tree:
    meta = content["metadata"]
    return {**content, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **marks}}}


_PARTS = {"base": _base, "istiod": _istiod, "gateway": _gateway}
