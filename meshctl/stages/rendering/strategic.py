"""Kubernetes' strategic merge patch, for the kinds that a component's settings may change.

Source: patchStrategy and patchMergeKey tags of k8s.io/api core/v1, apps/v1; the directives of
k8s.io/apimachinery/pkg/util/strategicpatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.values import Tree

# Lists that are merged, by the last two names of their path, with the key that tells elements apart.
# Whatever is not here is replaced.
_KEYS: dict[tuple[str, str], str] = {
    ("spec", "containers"): "name",
    ("spec", "initContainers"): "name",
    ("spec", "volumes"): "name",
    ("spec", "imagePullSecrets"): "name",
    ("spec", "hostAliases"): "ip",
    ("spec", "topologySpreadConstraints"): "topologyKey",
    ("containers", "env"): "name",
    ("containers", "ports"): "containerPort",
    ("containers", "volumeMounts"): "mountPath",
    ("containers", "volumeDevices"): "devicePath",
    ("initContainers", "env"): "name",
    ("initContainers", "ports"): "containerPort",
    ("initContainers", "volumeMounts"): "mountPath",
    ("spec", "ports"): "port",
}
_DIRECTIVES = frozenset({"$patch", "$retainKeys"})


def patched(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Tree:
    """`base` with a strategic merge patch applied; neither argument changes.

    Maps are merged and None deletes. Lists are merged by key where Kubernetes says so. `$patch` may be
    `replace`, `merge` or `delete`; `$retainKeys` lists the keys that stay.
    """
    return _map(base, patch, ("", ""))


def _map(base: Mapping[str, Any], patch: Mapping[str, Any], path: tuple[str, str]) -> Tree:
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key not in _DIRECTIVES}
    result = dict(base)
    kept = patch.get("$retainKeys")
    if kept is not None:
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key in _DIRECTIVES:
            continue
        below = (path[1], key)
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            if value.get("$patch") == "delete":
                result.pop(key, None)
            else:
                result[key] = _map(old if isinstance(old, dict) else {}, value, below)
        elif isinstance(value, list) and _KEYS.get(below):
            result[key] = _list(old if isinstance(old, list) else [], value, _KEYS[below], below)
        else:
            result[key] = value
    return result


def _list(base: list[Any], patch: list[Any], key: str, path: tuple[str, str]) -> list[Any]:
    if any(isinstance(each, dict) and each.get("$patch") == "replace" for each in patch):
        return [each for each in patch if not (isinstance(each, dict) and each.get("$patch") == "replace")]
    result = list(base)
    for each in patch:
        place = next((at for at, old in enumerate(result) if old.get(key) == each.get(key)), None)
        if each.get("$patch") == "delete":
            if place is not None:
                del result[place]
        elif place is None:
            result.append(_map({}, each, path))
        else:
            result[place] = _map(result[place], each, path)
    return result
