"""What istiod does to a pod, from the injector's configuration alone.

Source: istio.io/istio pkg/kube/inject/inject.go and webhook.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.gotemplate import as_json, parse
from meshctl.gotemplate.values import Int64, Struct
from meshctl.stages.injecting import images, pod_annotations
from meshctl.stages.injecting.finishing import finished
from meshctl.stages.injecting.functions import functions
from meshctl.stages.injecting.mesh_structs import Message
from meshctl.stages.injecting.overlay import overlaid
from meshctl.stages.injecting.own_containers import reapplied
from meshctl.stages.injecting.pods import PodStruct, canonical
from meshctl.stages.injecting.probes import PROXY
from meshctl.stages.injecting.yaml_text import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.gotemplate import Template
    from meshctl.stages.injecting.workloads import Owner

USER = 1337
"""User and group of the proxy, where a namespace has no range of its own."""

_NETWORK = "topology.istio.io/network"


@dataclass(frozen=True)
class Injector:
    """All that an injector goes by.

    Attributes:
        config: its configuration, the `config` of its ConfigMap: policy, selectors, templates.
        values: what its templates call `.Values`, the `values` of its ConfigMap.
        mesh: the mesh configuration, with defaults, as `mesh_config` gives it.
        revision: control-plane revision; empty for the unnamed one.
        native: whether sidecars are init containers that go on running.
        compliance: istiod's compliance policy, such as `fips-140-2`; possibly none.
        env: istiod's environment, as far as templates may ask for it.
        variables: environment that the path of the webhook gives each proxy.
        users: user and group of the proxy in namespaces that have ranges of their own, by namespace.
        scrape_targets: whether pods may name several ports for Prometheus; istiod then checks every port.
    """

    config: Mapping[str, Any]
    values: Mapping[str, Any]
    mesh: Mapping[str, Any]
    revision: str = ""
    native: bool = False
    compliance: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    scrape_targets: bool = True


@dataclass(frozen=True)
class Job:
    """A pod to inject.

    Attributes:
        pod: a canonical pod that was not injected before.
        owner: whose it is.
        namespace: where it will run.
    """

    pod: Mapping[str, Any]
    owner: Owner
    namespace: str


@dataclass(frozen=True)
class Settled:
    """An injector, settled for one pod: its own annotations and labels have had their say."""

    injector: Injector
    job: Job
    proxy: Mapping[str, Any]
    variables: Mapping[str, str]
    is_native: bool


def injected(injector: Injector, job: Job) -> dict[str, Any]:
    """The canonical pod that istiod would make of it.

    Raises:
        ConfigError: an annotation is wrong, a template is unknown, or its text is no pod.
        ProblemsError: several annotations are wrong.
    """
    settled = _settled(injector, job)
    own = pod_annotations.overrides(_notes(job.pod))
    seen = _with_overrides(job.pod, own)
    data = _data(settled, seen)
    template: dict[str, Any] = {"spec": {}}
    merged: dict[str, Any] = dict(job.pod)
    for name in _template_names(injector, _notes(job.pod)):
        overlay = _overlay(injector, name, data)
        template = _overlaid(template, overlay, name)
        if settled.is_native:
            merged = _moved(merged, template)
        merged = _overlaid(merged, overlay, name)
    merged = reapplied(merged, job.pod, template, own, settled.proxy)
    return canonical(finished(merged, template, settled))


def _settled(injector: Injector, job: Job) -> Settled:
    notes = _notes(job.pod)
    pod_annotations.check(notes, "metadata.annotations")
    mesh_wide = injector.mesh["defaultConfig"]
    said = notes.get(pod_annotations.PROXY_CONFIG)
    proxy = mesh_wide if said is None else pod_annotations.proxy_settings(said, mesh_wide)
    world = injector.values.get("global") or {}
    found = {
        "ISTIO_META_CLUSTER_ID": (world.get("multiCluster") or {}).get("clusterName") or "",
        "ISTIO_META_NETWORK": world.get("network") or "",
        **{key: value for key, value in injector.variables.items() if value},
    }
    network = _labels(job.pod).get(_NETWORK)
    if network is not None:
        found["ISTIO_META_NETWORK"] = network
    native = {"true": True, "false": False}.get(notes.get(pod_annotations.NATIVE, ""), injector.native)
    return Settled(injector, job, proxy, {key: value for key, value in found.items() if value}, native)


def _notes(pod: Mapping[str, Any]) -> Mapping[str, str]:
    return (pod.get("metadata") or {}).get("annotations") or {}


def _labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    return (pod.get("metadata") or {}).get("labels") or {}


def _with_overrides(pod: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with containers that an annotation says are the user's own, where they are not there."""
    spec = dict(pod["spec"])
    for group, containers in own.items():
        there = {each["name"] for each in spec.get(group) or ()}
        spec[group] = [*(spec.get(group) or ()), *(each for each in containers if each["name"] not in there)]
    return {**pod, "spec": spec}


def _data(settled: Settled, pod: Mapping[str, Any]) -> Struct:
    """What a template is given."""
    injector, job = settled.injector, settled.job
    notes = _notes(pod)
    user, group = injector.users.get(job.namespace, (USER, USER))
    meta = {**(pod.get("metadata") or {})}
    mode = (injector.mesh.get("inboundTrafficPolicy") or {}).get("mode")
    return Struct(
        "*inject.SidecarTemplateData",
        {
            "TypeMeta": Struct("v1.TypeMeta", {"Kind": job.owner.kind, "APIVersion": job.owner.api_version}),
            "DeploymentMeta": Struct(
                "types.NamespacedName", {"Namespace": job.namespace, "Name": job.owner.name}
            ),
            "ObjectMeta": PodStruct({**meta, "namespace": job.namespace}, "ObjectMeta"),
            "Spec": PodStruct(pod["spec"], "PodSpec"),
            "ProxyConfig": Message(settled.proxy, "ProxyConfig"),
            "MeshConfig": Message(injector.mesh, "MeshConfig"),
            "Values": as_json(injector.values),
            "Revision": injector.revision,
            "NativeSidecars": injector.native,
            "ProxyImage": images.proxy_image(
                injector.values, (settled.proxy.get("image") or {}).get("imageType", ""), notes
            ),
            "ProxyInitImage": images.init_image(injector.values, notes),
            "ProxyUID": Int64(user),
            "ProxyGID": Int64(group),
            "InboundTrafficPolicyMode": "localhost" if mode == "LOCALHOST" else "passthrough",
            "CompliancePolicy": injector.compliance,
        },
    )


def _template_names(injector: Injector, notes: Mapping[str, str]) -> list[str]:
    said = notes.get(pod_annotations.TEMPLATES)
    names = (
        list(injector.config.get("defaultTemplates") or ["sidecar"])
        if said is None
        else [each.strip() for each in said.split(",")]
    )
    aliases = injector.config.get("aliases") or {}
    return [each for name in names for each in aliases.get(name, [name])]


def _overlay(injector: Injector, name: str, data: Struct) -> Mapping[str, Any]:
    """What a template says of a pod.

    Raises:
        ConfigError: no such template, or its text is no map.
    """
    known = injector.config.get("templates") or {}
    if name not in known:
        near = nearest(name, known)
        raise ConfigError(
            "unknown-template",
            f"there is no injection template {name!r}",
            hint=f"did you mean {near!r}?" if near else f"the injector has {listed(sorted(known)) or 'none'}",
        )
    text = _parsed(str(known[name]), name).render(data, functions=functions(injector.env))
    try:
        overlay = parsed(text)
    except ValueError as fault:
        raise _bad_template(name, str(fault)) from fault
    if overlay is not None and not isinstance(overlay, dict):
        raise _bad_template(name, "its text is not a map")
    return overlay or {}


@lru_cache(maxsize=64)
def _parsed(text: str, name: str) -> Template:
    return parse(text, name)


def _overlaid(pod: Mapping[str, Any], overlay: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        return canonical({"spec": {}, **overlaid(pod, overlay)}, strict=True)
    except ConfigError as fault:
        at = fault.where.path if fault.where else ""
        raise _bad_template(name, f"{at}: {fault.message}" if at else fault.message) from fault


def _bad_template(name: str, fault: str) -> ConfigError:
    return ConfigError(
        "bad-template-result",
        f"injection template {name!r} does not go with this pod: {fault}",
        hint="look at what the pod's annotations and the injector's values put there",
    )


def _moved(pod: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with its own sidecar among the init containers, where a native sidecar will be."""
    spec = dict(pod["spec"])
    mine = next((each for each in spec.get("containers") or () if each["name"] == PROXY), None)
    if mine is None or all(each["name"] != PROXY for each in template["spec"].get("initContainers") or ()):
        return dict(pod)
    spec["containers"] = [each for each in spec["containers"] if each is not mine]
    spec["initContainers"] = [*(spec.get("initContainers") or ()), mine]
    return {**pod, "spec": spec}
