"""Settings of a mesh that stands, which an install of it would lose unless somebody asks for them.

istiod's charts leave two ConfigMaps that tell: the mesh configuration, and the values that the user gave.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from meshctl.stages.comparing.secrets import masked
from meshctl.stages.planning.shapes import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Object, Ref

_NOT_ASKED = frozenset({"revision", "defaultRevision", "global.tag", "profile"})
"""Values that say what is adopted anyway: its version, revision and profile."""


def lost(desired: Manifest, live: Mapping[Ref, Object]) -> tuple[str, ...]:
    """Settings as `--set` takes them, `meshConfig.accessLogFile=/dev/stdout`; tokens are masked.

    Args:
        desired: the manifest of a control plane.
        live: at least the live objects of that manifest.
    """
    found: dict[str, Any] = {}
    for obj in desired.objects:
        there = live.get(obj.ref)
        if there is None or obj.ref.kind != "ConfigMap":
            continue
        found |= dict(_lost(_read(obj, "mesh"), _read(there, "mesh"), "meshConfig"))
        for path, value in _lost(_read(obj, "original-values"), _read(there, "original-values"), "values"):
            # what values say of the mesh configuration is in that itself
            if path.removeprefix("values.") not in _NOT_ASKED and not path.startswith("values.meshConfig."):
                found[path] = value
    return tuple(f"{path}={_text(path, value)}" for path, value in sorted(found.items()))


def hint(settings: tuple[str, ...]) -> str:
    """What to add to the command so that nothing of them is lost; empty where nothing would be."""
    if not settings:
        return ""
    flags = " ".join(f"--set {shlex.quote(each)}" for each in settings)
    return f"that mesh has settings that are not asked for; to keep them, add {flags}"


def _read(obj: Object, key: str) -> Any:
    """A document within a ConfigMap; nothing where it cannot be read."""
    text = (obj.at("data", {}) or {}).get(key)
    if not isinstance(text, str):
        return {}
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader) or {}  # noqa: S506 - both are safe loaders
    except yaml.YAMLError:
        return {}


def _lost(wanted: Any, seen: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Leaves that are there and not wanted so."""
    if isinstance(seen, dict):
        for key, value in seen.items():
            below = wanted.get(key) if isinstance(wanted, dict) else None
            yield from _lost(below, value, joined(path, str(key)))
    elif seen != wanted and seen is not None:
        yield path, seen


def _text(path: str, value: Any) -> str:
    shown = masked(path.rpartition(".")[2], value)
    return shown.replace(",", "\\,") if isinstance(shown, str) else json.dumps(shown)
