"""Values of a control plane that runs, read from its own objects, whoever installed it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshctl.errors import UnsupportedError
from meshctl.model.labels import OWNER
from meshctl.model.mesh import Inputs, Layer, Overlay
from meshctl.stages.settings import versions
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from meshctl.model.objects import Object
    from meshctl.model.values import Tree, Values

_ORIGIN = "the control plane as it runs"


def observed(
    injector: Object,
    service: Object | None,
    validator: Object | None,
    *,
    revision: str,
    namespace: str,
    mesh: str,
) -> Values:
    """Settled values that render the tags of a control plane as its own installer would.

    Args:
        injector: its own mutating webhook configuration.
        service: its Service; None where istiod is elsewhere.
        validator: its own validating webhook configuration; None: it validates nothing.
        revision: its name; empty is the unnamed one.
        namespace: where it is.
        mesh: name of the mesh.
    """
    loaded = load(
        Inputs(
            profile="minimal", version=_version(injector), revision=revision, namespace=namespace, mesh=mesh
        )
    )
    overlay = Overlay(Layer.SET, _ORIGIN, {"values": _tree(injector, service, validator)})
    name, share = next(iter(loaded.shares.items()))
    share = replace(share, overlays=(*share.overlays, overlay))
    return resolve(replace(loaded, shares={name: share}), loaded.mesh.clusters[0])


def _version(injector: Object) -> str | None:
    """The version that its labels tell, where the catalogue has it: labels of the tag follow from it."""
    told = injector.labels.get("app.kubernetes.io/version", "")
    try:
        return versions.version(told).full if told else None
    except UnsupportedError:
        return None


def _tree(injector: Object, service: Object | None, validator: Object | None) -> Tree:
    entries = injector.at("webhooks", ())
    first: dict[str, Any] = entries[0] if entries else {}
    client = first.get("clientConfig") or {}
    remote: Tree = {"injectionPath": (client.get("service") or {}).get("path") or "/inject"}
    if client.get("url"):
        remote = {"injectionURL": client["url"], "injectionCABundle": client.get("caBundle", "")}
    pilot: Tree = {"sidecarInjectorWebhookAnnotations": _annotations(injector)}
    if service is not None:
        pilot["serviceAnnotations"] = _annotations(service)
    tree: Tree = {
        "istiodRemote": remote,
        "pilot": pilot,
        "sidecarInjectorWebhook": {
            "reinvocationPolicy": first.get("reinvocationPolicy", "Never"),
            "enableNamespacesByDefault": any(each.get("name", "").startswith("auto.") for each in entries),
        },
        "global": {"configValidation": validator is not None},
    }
    if OWNER in injector.labels:
        tree["ownerName"] = injector.labels[OWNER]
    called = validator.at("webhooks[0].clientConfig", {}) if validator else {}
    if called.get("url"):
        tree["base"] = {"validationURL": called["url"], "validationCABundle": called.get("caBundle", "")}
    return tree


def _annotations(obj: Object) -> dict[str, str]:
    """Annotations that its installer was asked for, without those of tools."""
    tools = ("kubectl.kubernetes.io/", "meta.helm.sh/", "helm.sh/")
    return {key: value for key, value in sorted(obj.annotations.items()) if not key.startswith(tools)}
