"""Istio's mesh configuration, and the configuration of its injector, as istiod reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.mesh import TRUST_DOMAIN
from meshctl.model.values import merge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.values import Tree

# istiod refuses to inject with a text it cannot read as a template: a ConfigMap of this version that an
# older istiod reads must not half work.
_MISMATCH = "{{ Template_Version_And_Istio_Version_Mismatched_Check_Installation }}"


def mesh_config(values: Tree, revision: str, namespace: str) -> Tree:
    """The `mesh` document: what follows from the values, under what the user says in `meshConfig`.

    Args:
        values: istiod's values, every known setting filled.
        revision: control-plane revision, possibly empty.
        namespace: namespace of istiod.
    """
    rest, own = values["global"], values["meshConfig"]
    config: Tree = {"discoveryAddress": _discovery(values, revision, namespace)}
    if rest["meshID"]:
        config["meshId"] = rest["meshID"]
    variant = rest["proxy"]["variant"] or rest["variant"]
    if variant:
        config["image"] = {"imageType": variant}
    if tracing := _tracing(rest):
        config["tracing"] = tracing
    mesh: Tree = {
        "trustDomain": TRUST_DOMAIN,
        "rootNamespace": own.get("rootNamespace") or rest["istioNamespace"],
        "defaultConfig": config,
    }
    providers = _providers(values["telemetry"])
    if providers and not own.get("defaultProviders"):
        mesh["defaultProviders"] = providers
    return merge(mesh, own)


def _discovery(values: Tree, revision: str, namespace: str) -> str:
    remote = values["istiodRemote"]
    if values["global"]["remotePilotAddress"]:
        name = "istiod-remote" if remote["enabled"] and remote["enabledLocalInjectorIstiod"] else "istiod"
    else:
        name = f"istiod-{revision}" if revision else "istiod"
    return f"{name}.{namespace}.svc:15012"


def _providers(telemetry: Tree) -> Tree:
    v2 = telemetry["v2"]
    if not (telemetry["enabled"] and v2["enabled"]):
        return {}
    found: Tree = {}
    metrics = [name for name in ("prometheus", "stackdriver") if v2[name]["enabled"]]
    if metrics:
        found["metrics"] = metrics
    if v2["stackdriver"]["enabled"]:
        found["accessLogging"] = ["stackdriver"]
    return found


def _tracing(rest: Tree) -> Tree:
    tracer, said = rest["proxy"]["tracer"], rest["tracer"]
    match tracer:
        case "zipkin":
            return {
                "zipkin": {"address": said["zipkin"]["address"] or f"zipkin.{rest['istioNamespace']}:9411"}
            }
        case "datadog":
            return {"datadog": {"address": said["datadog"]["address"] or "$(HOST_IP):8126"}}
        case "lightstep":
            return {"lightstep": {key: said["lightstep"][key] for key in ("address", "accessToken")}}
        case "stackdriver":
            limits = ("maxNumberOfAttributes", "maxNumberOfAnnotations", "maxNumberOfMessageEvents")
            return {"stackdriver": {"debug": False, **dict.fromkeys(limits, 200)}}
        case _:  # none, or one that the mesh configuration has no place for
            return {}


def injection_config(values: Tree, templates: Mapping[str, str]) -> Tree:
    """The `config` document of the injector; `templates` of the user's own names win."""
    webhook = values["sidecarInjectorWebhook"]
    annotations = {key: str(value) for key, value in webhook["injectedAnnotations"].items()}
    return {
        "defaultTemplates": webhook["defaultTemplates"] or ["sidecar"],
        "policy": values["global"]["proxy"]["autoInject"],
        "alwaysInjectSelector": webhook["alwaysInjectSelector"],
        "neverInjectSelector": webhook["neverInjectSelector"],
        **({"injectedAnnotations": annotations} if annotations else {}),
        "template": _MISMATCH,
        "templates": {**templates, **webhook["templates"]},
    }


def injection_values(merged: Tree) -> Tree:
    """The `values` document of the injector: what injection templates may name."""
    gateways: Mapping[str, Any] = merged.get("gateways") or {}
    return {
        **{key: merged[key] for key in ("global", "sidecarInjectorWebhook", "revision") if key in merged},
        "pilot": {key: merged[key] for key in ("cni", "env") if key in merged},
        "gateways": {key: gateways[key] for key in ("securityContext", "seccompProfile") if key in gateways},
    }
