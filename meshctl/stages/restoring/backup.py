"""What a user may want back of a mesh, as one YAML file. The same cluster gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import listed
from meshctl.model.labels import GENERATED
from meshctl.model.objects import Kind, Object, Ref
from meshctl.model.release import Status
from meshctl.stages.applying.saving import dump
from meshctl.stages.removing.belongings import ISTIO_CLASSES, is_istio
from meshctl.stages.rendering import emit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meshctl.model.release import Release
    from meshctl.ports import Cluster

SETTINGS: Final = ("install.istio.io/v1alpha1", "IstioOperator")
"""What the settings of a control plane are written as: what `install -f` takes."""
VERSION: Final = "meshctl.dev/istio-version"
"""Annotation of such settings: Istio's version that they were installed at."""
GATEWAY_API: Final = ("gateway.networking.k8s.io", "gateway.networking.x-k8s.io")
_GRANT, _CLASS, _POLICY = "ReferenceGrant", "GatewayClass", "BackendTLSPolicy"
_SECRET: Final = Kind("v1", "Secret", "secrets", namespaced=True)
_NAMES_SECRET: Final = "credentialName"  # noqa: S105 - the name of a field

_ABOUT = """\
# What you made for the mesh, saved by meshctl. `meshctl restore FILE` puts it back.
# In it: resources of Istio's kinds, objects of the Gateway API that use Istio, and the labels by which
# namespaces ask for a proxy. Not in it: your workloads and Services, and what the mesh itself is made of:
# `meshctl restore FILE --settings | meshctl install -f -` installs that again.
"""


def surroundings(cluster: Cluster, kinds: Sequence[Kind]) -> tuple[Object, ...]:
    """All objects of the Gateway API. Only reads.

    Args:
        cluster: where to look.
        kinds: what it serves, at preferred versions.
    """
    asked = [kind for kind in kinds if kind.group in GATEWAY_API]
    return tuple(obj for kind in asked for obj in cluster.list(kind.api_version, kind.kind))


def secrets_named(cluster: Cluster, resources: Iterable[Object], namespace: str) -> tuple[Ref, ...]:
    """Secrets with certificates that resources name, where there are any of that name; sorted. Only reads.

    A gateway reads its Secret in its own namespace, which is that of the pods it selects.

    Args:
        cluster: where to look; contents are not read.
        resources: Istio's and the Gateway API's.
        namespace: the mesh's, where its own gateways are.
    """
    wanted: set[tuple[str, str]] = set()
    for obj in resources:
        places = {obj.ref.namespace, namespace}
        selector = obj.at("spec.selector", {})
        names = set(_credentials(obj.content.get("spec")))
        if names and isinstance(selector, dict) and all(isinstance(each, str) for each in selector.values()):
            labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
            places |= {pod.ref.namespace for pod in cluster.list("v1", "Pod", labels=labels)}
        wanted |= {(place, each) for place in places for name in names for each in (name, f"{name}-cacert")}
        wanted |= {(at or obj.ref.namespace, name) for at, name in _certificates(obj)}
    if not wanted:
        return ()
    there = cluster.names(_SECRET)
    return tuple(sorted(ref for ref in there if (ref.namespace, ref.name) in wanted))


def head(
    releases: Iterable[Release],
    namespaces: Iterable[Object],
    around: Iterable[Object],
    *,
    secrets: Sequence[Object] = (),
    left_out: Sequence[Ref] = (),
) -> str:
    """Everything of the file but the resources of Istio's own kinds, which stand behind it.

    Args:
        releases: records of the mesh; the settings of each control plane that stands are written.
        namespaces: of the cluster; their labels that have to do with Istio are written.
        around: objects of the Gateway API; those that use Istio are written.
        secrets: with certificates, to be written.
        left_out: Secrets that are named in the comment only.
    """
    text = _ABOUT
    if left_out:
        names = listed(each.place for each in left_out)
        text += f"# Secrets that these name, not in it (`--with-secrets`): {names}\n"
    labelled = [each for each in map(_labels, namespaces) if each is not None]
    text += emit.dump(settings(each) for each in _standing(releases))
    return text + dump(labelled) + dump(secrets) + dump(using(around))


def settings(release: Release) -> dict[str, Any]:
    """The settings that a control plane was installed with, as an IstioOperator; may hold tokens."""
    api_version, kind = SETTINGS
    meta = {"name": release.mesh, "annotations": {VERSION: release.version}}
    spec = {"profile": release.profile, "namespace": release.namespace, **release.values}
    if release.namespace == "istio-system":
        del spec["namespace"]
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec}


def revision_of_settings(content: Mapping[str, Any]) -> str:
    """The control-plane revision that settings of a backup are of; empty is the unnamed one."""
    spec = content.get("spec") or {}
    return str(spec.get("revision") or (spec.get("values") or {}).get("revision") or "")


def version_of_settings(content: Mapping[str, Any]) -> str:
    """Istio's version that these settings were installed at; empty where nothing says so."""
    notes = (content.get("metadata") or {}).get("annotations") or {}
    return str(notes.get(VERSION, ""))


def using(around: Iterable[Object]) -> tuple[Object, ...]:
    """The objects of the Gateway API that use Istio, and that no controller made."""
    objects = sorted((each for each in around if GENERATED not in each.labels), key=lambda each: each.ref)
    classes = {each.ref.name for each in objects if _is_ours(each)} | ISTIO_CLASSES
    mine = [each for each in objects if _is_ours(each) and each.ref.name not in ISTIO_CLASSES]
    mine += [each for each in objects if each.at("spec.gatewayClassName") in classes]
    parents = {_key(each.ref.kind, each.ref.namespace, each.ref.name) for each in mine}
    for each in objects:  # listeners of their own, which routes may name as well
        if each.ref.kind.endswith("ListenerSet") and _parent(each, each.at("spec.parentRef", {})) in parents:
            parents.add(_key(each.ref.kind, each.ref.namespace, each.ref.name))
            mine.append(each)
    mine += [each for each in objects if each.ref.kind.endswith("Route") and _is_routed(each, parents)]
    namespaces = {each.ref.namespace for each in mine} - {""}
    for each in objects:
        granted = {one.get("namespace") for one in each.at("spec.from", ())}
        if (each.ref.kind == _GRANT and granted & namespaces) or (
            each.ref.kind == _POLICY and each.ref.namespace in namespaces
        ):
            mine.append(each)
    return tuple(mine)


def kept_labels(obj: Object) -> dict[str, str]:
    """Labels of a namespace that have to do with Istio and are the user's."""
    return {key: value for key, value in sorted(obj.labels.items()) if is_mesh_label(key)}


def is_mesh_label(key: str) -> bool:
    """Whether a label of a namespace is one by which users bring pods into a mesh."""
    return key == "istio-injection" or key.startswith("istio.io/")


def _labels(obj: Object) -> Object | None:
    kept = kept_labels(obj)
    if not kept:
        return None
    meta = {"name": obj.ref.name, "labels": kept}
    return Object({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


def _standing(releases: Iterable[Release]) -> Iterator[Release]:
    """The newest release of each control plane that was not removed, by revision."""
    newest = {each.revision: each for each in releases if each.status is not Status.SUPERSEDED}
    for revision in sorted(newest):
        yield newest[revision]


def _is_ours(obj: Object) -> bool:
    return obj.ref.kind == _CLASS and str(obj.at("spec.controllerName", "")).startswith("istio.io/")


def _key(kind: str, namespace: str, name: str) -> tuple[str, str, str]:
    return kind, namespace, name


def _parent(obj: Object, said: Mapping[str, Any]) -> tuple[str, str, str]:
    return _key(said.get("kind", "Gateway"), said.get("namespace", obj.ref.namespace), said.get("name", ""))


def _is_routed(route: Object, parents: Collection[tuple[str, str, str]]) -> bool:
    """Whether a Gateway of Istio's serves a route, or the mesh itself, as it does those of Services."""
    return any(
        said.get("kind") in ("Service", "ServiceEntry") or _parent(route, said) in parents
        for said in route.at("spec.parentRefs", ())
    )


def _credentials(value: Any) -> Iterator[str]:
    """Names of Secrets anywhere in the spec of an Istio resource."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key == _NAMES_SECRET and isinstance(below, str) and below:
                yield below
            else:
                yield from _credentials(below)
    elif isinstance(value, list):
        for each in value:
            yield from _credentials(each)


def _certificates(obj: Object) -> Iterator[tuple[str, str]]:
    """`(namespace or nothing, name)` of Secrets that a Gateway of the Gateway API names."""
    for listener in obj.at("spec.listeners", ()) if obj.ref.group in GATEWAY_API else ():
        for said in (listener.get("tls") or {}).get("certificateRefs") or ():
            if said.get("kind", "Secret") == "Secret":
                yield said.get("namespace", ""), said.get("name", "")


def is_kept(ref: Ref) -> bool:
    """Whether a backup may hold such an object, and a restore puts it back."""
    return (
        is_istio(ref.group)
        or ref.group in GATEWAY_API
        or (ref.group == "" and ref.kind in ("Namespace", "Secret"))
    )
