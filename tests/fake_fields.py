"""Ownership of fields as server-side apply keeps it, good enough for the fake API server."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]
Owners = dict[tuple[str, str], set[Path]]
"""Leaf paths held, by field manager and operation (`Apply` or `Update`)."""

_KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "initContainers": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "webhooks": ("name",),
    "conditions": ("type",),
}
_PORTS = {"Service": ("port", "protocol"), "Deployment": ("containerPort", "protocol")}
_WHOLE = {"f:namespaceSelector", "f:nodeSelector", "f:objectSelector"}
"""Maps that are held and replaced as one."""
_SERVERS = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
_SERVERS |= {"deletionTimestamp", "deletionGracePeriodSeconds"}


def leaves(content: dict[str, Any], *, status: bool = True) -> dict[Path, Any]:
    """Every leaf that somebody can own, with its value."""
    found: dict[Path, Any] = {}
    for key, value in content.items():
        if key in ("apiVersion", "kind") or (key == "status" and not status):
            continue
        if key == "metadata":
            value = {name: each for name, each in value.items() if name not in _SERVERS}
        _collect(value, (f"f:{key}",), content["kind"], found)
    return found


def _collect(value: Any, path: Path, kind: str, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and path[-1] not in _WHOLE:
        for key, each in value.items():
            _collect(each, (*path, f"f:{key}"), kind, found)
    elif isinstance(value, list) and (keys := _keys(path[-1], kind)) and _is_keyed(value, keys):
        for each in value:
            step = "k:" + json.dumps({key: _key(each, key) for key in keys}, separators=(",", ":"))
            found[*path, step, "."] = {}
            _collect(each, (*path, step), kind, found)
    elif isinstance(value, list) and path[-1] == "f:finalizers":
        for each in value:
            found[*path, "v:" + json.dumps(each)] = each
    elif value != {} or len(path) > 1:
        found[path] = value


def _keys(step: str, kind: str) -> tuple[str, ...]:
    return _PORTS.get(kind, ()) if step == "f:ports" else _KEYS.get(step[2:], ())


def _key(item: dict[str, Any], key: str) -> Any:
    return item.get(key, "TCP") if key == "protocol" else item[key]


def _is_keyed(value: list[Any], keys: tuple[str, ...]) -> bool:
    return all(
        isinstance(each, dict) and all(key in each or key == "protocol" for key in keys) for each in value
    )


def merged(live: Any, applied: Any, kind: str, step: str = "") -> Any:
    """`live` with `applied` laid over it."""
    if isinstance(live, dict) and isinstance(applied, dict) and step not in _WHOLE:
        out = dict(live)
        for key, value in applied.items():
            out[key] = merged(live[key], value, kind, f"f:{key}") if key in live else copy.deepcopy(value)
        return out
    if isinstance(live, list) and isinstance(applied, list):
        keys = _keys(step, kind)
        if keys and _is_keyed(live, keys) and _is_keyed(applied, keys):
            items = {tuple(_key(each, key) for key in keys): each for each in live}
            for each in applied:
                name = tuple(_key(each, key) for key in keys)
                items[name] = merged(items[name], each, kind) if name in items else copy.deepcopy(each)
            return list(items.values())
        if step == "f:finalizers":
            return [*live, *(each for each in applied if each not in live)]
    return copy.deepcopy(applied)


def remove(content: Any, path: Path) -> None:
    """Take one leaf away, and what became empty above it."""
    step, rest = path[0], path[1:]
    if isinstance(content, dict):
        name = step[2:]
        if name not in content:
            return
        if rest:
            remove(content[name], rest)
        if not rest or content[name] in ({}, []):
            del content[name]
    elif isinstance(content, list) and step.startswith("k:"):
        wanted = json.loads(step[2:])
        for each in list(content):
            if all(_key(each, key) == value for key, value in wanted.items()):
                if rest == (".",):
                    content.remove(each)
                elif rest:
                    remove(each, rest)
    elif isinstance(content, list) and step.startswith("v:"):
        value = json.loads(step[2:])
        if value in content:
            content.remove(value)


def managed_fields(owners: Owners, api_version: str) -> list[dict[str, Any]]:
    """The form that the API server shows."""
    out = []
    for (manager, operation), paths in sorted(owners.items()):
        if not paths:
            continue
        tree: dict[str, Any] = {}
        for path in sorted(paths):
            here = tree
            for step in path:
                here = here.setdefault(step, {})
        entry = {"manager": manager, "operation": operation, "apiVersion": api_version}
        out.append({**entry, "fieldsType": "FieldsV1", "fieldsV1": tree})
    return out


def owners(entries: list[dict[str, Any]]) -> Owners:
    """Ownership as somebody writes it in the form that the API server shows."""
    found: Owners = {}
    for entry in entries:
        paths = found.setdefault((entry["manager"], entry["operation"]), set())
        paths.update(_paths(entry["fieldsV1"], ()))
    return found


def _paths(tree: dict[str, Any], above: Path) -> Iterator[Path]:
    for step, below in tree.items():
        if below:
            yield from _paths(below, (*above, step))
        else:
            yield (*above, step)


def dotted(path: Path) -> str:
    """`.spec.containers[name="x"].image`, the form in conflict messages."""
    out = ""
    for step in path:
        if step.startswith("f:"):
            out += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = [f"{key}={json.dumps(value)}" for key, value in json.loads(step[2:]).items()]
            out += f"[{','.join(pairs)}]"
    return out
