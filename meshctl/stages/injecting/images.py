"""The proxy's images, as istiod puts their names together.

Source: istio.io/istio pkg/kube/inject/inject.go, `ProxyImage` and `ProxyInitImage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.gotemplate.printing import sprint

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE_TYPE = "sidecar.istio.io/proxyImageType"
_DEFAULT = "proxyv2"
_TYPES = ("distroless", "debug")


def proxy_image(values: Mapping[str, Any], image_type: str, notes: Mapping[str, str]) -> str:
    """The sidecar's image; `image_type` is what its proxy configuration says."""
    name = (_global(values).get("proxy") or {}).get("image") or _DEFAULT
    return _image(values, name, image_type, notes)


def init_image(values: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """The image of the init container."""
    name = (_global(values).get("proxy_init") or {}).get("image") or _DEFAULT
    return _image(values, name, "", notes)


def _global(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return values.get("global") or {}


def _image(values: Mapping[str, Any], name: str, image_type: str, notes: Mapping[str, str]) -> str:
    said = _global(values)
    tag = said.get("tag")
    shown = "" if tag is None else sprint([float(tag) if type(tag) is int else tag])
    wanted = notes.get(IMAGE_TYPE, image_type or said.get("variant") or "")
    return f"{said.get('hub') or ''}/{name}:{_tag(shown, wanted)}"


def _tag(tag: str, image_type: str) -> str:
    """A tag for an image type, in place of the type that it ends in."""
    if not image_type:
        return tag
    bare = next((tag.removesuffix(f"-{each}") for each in _TYPES if tag.endswith(f"-{each}")), tag)
    return bare if image_type == "default" else f"{bare}-{image_type}"
