"""The images that a mesh runs: those its objects name, and those that istiod puts into pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.stages.planning.kinds import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values

INJECTED = "auto"
"""What a pod template says where the injector is to put the proxy's image."""
# Kinds of image that upstream publishes, as an ending of the tag; one replaces another.
_KINDS = ("distroless", "debug")


@dataclass(frozen=True, slots=True, order=True)
class Image:
    """An image, and what runs it.

    Attributes:
        reference: `registry.istio.io/release/pilot:1.31.0`.
        users: workloads as `Deployment istio-system/istiod`, or `injected proxies`; sorted.
    """

    reference: str
    users: tuple[str, ...]


def images(manifest: Manifest, values: Values) -> list[Image]:
    """Every image that is needed to run a manifest and the proxies of its mesh, by reference.

    Args:
        manifest: what was rendered.
        values: what it was rendered from: istiod puts together the proxies' image from them.
    """
    users: dict[str, set[str]] = {}
    proxy = _proxy(values, "proxy.image")
    for each in manifest.objects:
        if each.ref.kind in WORKLOADS:
            for reference in _named(each.content["spec"]["template"]["spec"]):
                users.setdefault(proxy if reference == INJECTED else reference, set()).add(str(each.ref))
    if any(part.component == "istiod" for part in manifest.parts):
        users.setdefault(proxy, set()).add("injected proxies, gateways and waypoints")
        if not values.at("pilot.cni.enabled"):
            users.setdefault(_proxy(values, "proxy_init.image"), set()).add("injected init containers")
        if str((values.at("pilot.env") or {}).get("PILOT_ENABLE_AGENTGATEWAY")).lower() == "true":
            users.setdefault(_agentgateway(values), set()).add("gateways of the class istio-agentgateway")
    return [Image(reference, tuple(sorted(found))) for reference, found in sorted(users.items())]


def _named(pod: dict[str, Any]) -> Iterator[str]:
    """References in a pod's containers, and in the volumes that are images."""
    for kind in ("initContainers", "containers"):
        yield from (each["image"] for each in pod.get(kind) or () if each.get("image"))
    for volume in pod.get("volumes") or ():
        if reference := (volume.get("image") or {}).get("reference"):
            yield reference


def _proxy(values: Values, path: str) -> str:
    """The image that istiod gives proxies; a name with a slash is a whole reference."""
    name = str(values.at(f"global.{path}") or "proxyv2")
    if "/" in name:
        return name
    default = values.at("meshConfig.defaultConfig.image.imageType")
    kind = default or values.at("global.proxy.variant") or values.at("global.variant")
    return _reference(values, name, str(kind or ""))


def _agentgateway(values: Values) -> str:
    name = str(values.at("global.agentgateway.image") or "agentgateway")
    return name if "/" in name else _reference(values, name, str(values.at("global.variant") or ""))


def _reference(values: Values, name: str, kind: str) -> str:
    tag = str(values.at("global.tag"))
    if kind:
        for known in _KINDS:
            tag = tag.removesuffix(f"-{known}")
        tag = f"{tag}-{kind}"
    return f"{values.at('global.hub')}/{name}:{tag}"
