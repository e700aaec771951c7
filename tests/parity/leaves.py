"""Rendered objects as leaves, a path and a value each, so that two renderings can be compared.

Order carries no meaning where Kubernetes takes none from it: objects are known by kind, namespace and
name, elements of lists by what tells them apart, and lists of words in RBAC rules are sets. A null is
what is not there, as it is for the API server. Documents within ConfigMaps are opened. Of injection
templates only the names count here; what they do is compared in test_injection.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Leaves = dict[str, Any]

PLACEHOLDER = "1.0.0"
"""Version of upstream's charts in its source tree; its release build writes the true one."""

OPENED = ("mesh", "meshNetworks", "config", "values", "original-values", "merged-values")


@dataclass(frozen=True)
class Difference:
    """How two renderings differ."""

    shared: int
    missing: Leaves
    """What upstream has and we have not, or not so."""
    extra: Leaves
    """What we have and upstream has not, or not so."""

    @property
    def share(self) -> float:
        """Shared leaves of all leaves, 0 to 1; two empty renderings share everything."""
        whole = self.shared + len(self.missing) + len(self.extra)
        return self.shared / whole if whole else 1.0

    def __str__(self) -> str:
        lines = [f"  - {path} = {value!r}" for path, value in sorted(self.missing.items())]
        lines += [f"  + {path} = {value!r}" for path, value in sorted(self.extra.items())]
        return "\n".join(lines)


def compare(ours: Leaves, theirs: Leaves, accepted: Callable[[str], bool] = lambda path: False) -> Difference:
    """Count what is the same, and list what is not; leaves at `accepted` paths are left out."""
    missing = {path: value for path, value in theirs.items() if path not in ours or ours[path] != value}
    extra = {path: value for path, value in ours.items() if path not in theirs or theirs[path] != value}
    shared = sum(1 for path in theirs if path not in missing)
    return Difference(
        shared,
        {path: value for path, value in missing.items() if not accepted(path)},
        {path: value for path, value in extra.items() if not accepted(path)},
    )


def documents(text: str) -> list[dict[str, Any]]:
    """Objects of a YAML stream."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def leaves(objects: Iterable[Mapping[str, Any]], version: str) -> Leaves:
    """Leaves of all objects but CustomResourceDefinitions, which test_crds.py compares."""
    found: Leaves = {}
    for content in objects:
        if content["kind"] == "CustomResourceDefinition":
            continue
        meta = content["metadata"]
        name = f"{content['kind']} {meta.get('namespace', '')}/{meta['name']}"
        for path, value in _walk(_opened(content), ""):
            assert name + path not in found, name + path
            found[name + path] = _released(path, value, version)
    return found


def _opened(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A ConfigMap with the documents in it as data."""
    if content["kind"] != "ConfigMap":
        return content
    data = dict(content.get("data") or {})
    for key in data:
        if key in OPENED or "gatewayclass" in content["metadata"]["name"]:
            data[key] = _Document(yaml.load(data[key], Loader=yaml.CSafeLoader))
    config = data.get("config")
    if isinstance(config, _Document) and isinstance(config.tree, dict):
        config.tree["templates"] = dict.fromkeys(config.tree.get("templates") or {}, "…")
    return {**content, "data": data}


class _Document:
    """A document within a document: nulls and empty maps count in it."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree


def _released(path: str, value: Any, version: str) -> Any:
    if path.endswith((".app.kubernetes.io/version", ".helm.sh/chart")) and isinstance(value, str):
        return value.replace(PLACEHOLDER, version)
    return value


def _walk(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, _Document):
        yield from _walk(tree.tree, path + "#")
    elif isinstance(tree, dict):
        kept = {key: value for key, value in tree.items() if value is not None}
        if not kept and "#" in path:
            yield path, {}
        for key, value in kept.items():
            yield from _walk(value, f"{path}.{key}")
    elif isinstance(tree, list):
        if not tree:
            yield path, []
        for key, value in _named(tree, path):
            yield from _walk(value, f"{path}[{key}]")
    else:
        yield path, tree


def _named(items: list[Any], path: str) -> list[tuple[str, Any]]:
    """Elements of a list, each with what tells it apart from the others."""
    if path.endswith((".verbs", ".apiGroups", ".resources", ".operations")):
        return [(str(index), each) for index, each in enumerate(sorted(items))]
    if all(isinstance(each, dict) for each in items):
        for key in (_rule, _field("name"), _field("mountPath"), _field("containerPort"), _field("port")):
            names = [key(each) for each in items]
            if all(names) and len(set(names)) == len(names):
                return list(zip(names, items, strict=True))
    return [(str(index), each) for index, each in enumerate(items)]


def _field(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda item: "" if isinstance(item.get(name), dict) else str(item.get(name) or "")


def _rule(item: dict[str, Any]) -> str:
    """An RBAC rule, by what it is about."""
    if not {"apiGroups", "resources", "verbs"} <= item.keys():
        return ""
    return json.dumps([sorted(item["apiGroups"]), sorted(item["resources"])])
