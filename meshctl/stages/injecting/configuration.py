"""Where an injector's configuration comes from when its webhook is not asked: objects or exported files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshctl.errors import ConfigError, Where, listed
from meshctl.stages.injecting.injector import USER, Injector
from meshctl.stages.injecting.mesh_config import mesh_config
from meshctl.stages.injecting.yaml_text import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.objects import Object

INJECTOR, MESH, ISTIOD = "istio-sidecar-injector", "istio", "istiod"
_SLASH = "--slash--"
_USERS, _GROUPS = "openshift.io/sa.scc.uid-range", "openshift.io/sa.scc.supplemental-groups"
_RANGE = re.compile(r"(\d+)([-/])(\d+)")
_VARIABLES = {"cluster": "ISTIO_META_CLUSTER_ID", "net": "ISTIO_META_NETWORK"}
# Since this minor of Kubernetes, native sidecars are there for good.
_NATIVE_SINCE = 33
# Since this minor of Istio, a sidecar merges the metrics of several ports.
_TARGETS_SINCE = 31


@dataclass(frozen=True)
class Text:
    """A text and where it came from: a file, or an object."""

    text: str
    origin: str


def named(name: str, revision: str) -> str:
    """Name of an object of a revision; `default` is the unnamed one."""
    return f"{name}-{revision}" if revision not in ("", "default") else name


def from_texts(config: Text, values: Text, mesh: Text | None, **more: Any) -> Injector:
    """An injector by the texts of its ConfigMaps; `more` are further fields of `Injector`.

    Args:
        config: policy and templates; or the text of the template `sidecar` alone.
        values: what templates call `.Values`.
        mesh: mesh configuration; None: Istio's defaults.

    Raises:
        ConfigError: a text is not what it should be; names its origin.
    """
    told = _map(values)
    try:
        meshed = mesh_config(_map(mesh) if mesh else {})
    except ValueError as fault:
        raise _bad(mesh or values, str(fault)) from fault
    return Injector(_config(config), told, meshed, **more)


def from_objects(
    objects: Iterable[Object], revision: str, *, native: bool | None = None, scrape_targets: bool = True
) -> Injector:
    """An injector by the objects of a control plane.

    Args:
        objects: its ConfigMaps, its Deployment, its webhook configuration and namespaces, as far as they
            are there.
        revision: the control plane's; `default` and empty are the unnamed one.
        native: whether sidecars are native; None: as istiod's environment says, else not.
        scrape_targets: as in `Injector`.

    Raises:
        ConfigError: a ConfigMap is missing, or is not what it should be.
    """
    found = {(each.ref.kind, each.ref.name): each for each in objects}
    injector = _data(found, named(INJECTOR, revision), ("config", "values"))
    mesh = _data(found, named(MESH, revision), ("mesh",))
    env = environment(found.get(("Deployment", named(ISTIOD, revision))))
    said = {"true": True, "false": False}.get(env.get("ENABLE_NATIVE_SIDECARS", "").lower())
    return from_texts(
        injector["config"],
        injector["values"],
        mesh["mesh"],
        revision="" if revision == "default" else revision,
        native=bool(said if native is None else native),
        compliance=env.get("COMPLIANCE_POLICY", ""),
        env=env,
        variables=path_variables(_path(found.values(), revision or "default")),
        users=_users(found.values()) if env.get("PLATFORM") == "openshift" else {},
        scrape_targets=scrape_targets,
    )


def _path(objects: Iterable[Object], revision: str) -> str:
    """The path under which a revision's webhook is asked."""
    for each in objects:
        if each.ref.kind == "MutatingWebhookConfiguration" and each.labels.get("istio.io/rev") == revision:
            for hook in each.at("webhooks", ()):
                client = hook.get("clientConfig") or {}
                return str(
                    (client.get("service") or {}).get("path") or urlsplit(client.get("url") or "").path
                )
    return ""


def _users(objects: Iterable[Object]) -> dict[str, tuple[int, int]]:
    """The last user and group of each namespace that OpenShift has given a range."""
    found = {}
    for each in objects:
        users = _RANGE.match(each.annotations.get(_USERS, ""))
        groups = _RANGE.match(each.annotations.get(_GROUPS, each.annotations.get(_USERS, "")))
        if each.ref.kind == "Namespace" and (users or groups):
            found[each.ref.name] = (_last(users), _last(groups))
    return found


def _last(found: re.Match[str] | None) -> int:
    """The end of a range, written `first/count` or `first-last`."""
    if found is None:
        return USER
    first, other = int(found[1]), int(found[3])
    return first + other - 1 if found[2] == "/" else other


def path_variables(path: str) -> dict[str, str]:
    """The variables that a webhook's path gives each proxy, such as `/inject/cluster/east/net/n1`."""
    words = path.strip("/").split("/")[1:]
    pairs = zip(words[::2], words[1::2], strict=False)
    return {_VARIABLES.get(key, key.upper()): value.replace(_SLASH, "/") for key, value in pairs}


def native_by_nodes(env: Mapping[str, str], kubelets: Iterable[str]) -> bool:
    """Whether istiod makes sidecars native, by its environment and the versions of all kubelets."""
    said = env.get("ENABLE_NATIVE_SIDECARS", "auto").lower()
    if said != "auto":
        return said == "true"
    return all(_minor(each) >= _NATIVE_SINCE for each in kubelets)


def knows_targets(deployment: Object | None) -> bool:
    """Whether an istiod lets pods name several ports for Prometheus: since 1.31, as its image is tagged."""
    containers = deployment.at("spec.template.spec.containers", ()) if deployment else ()
    tags = (re.search(r":1\.(\d+)", each.get("image", "")) for each in containers)
    return all(int(tag[1]) >= _TARGETS_SINCE for tag in tags if tag)


def environment(deployment: Object | None) -> dict[str, str]:
    """The plain variables of istiod's container."""
    containers = deployment.at("spec.template.spec.containers", ()) if deployment else ()
    return {
        each["name"]: str(each["value"])
        for container in containers
        for each in container.get("env") or ()
        if "value" in each
    }


def exported(text: str, origin: str, key: str) -> Text | None:
    """The text of one key in an exported ConfigMap, or the whole text where that is none.

    None: it is a ConfigMap, but has no such key.
    """
    try:
        found = parsed(text)
    except ValueError:
        return Text(text, origin)
    if not isinstance(found, dict) or found.get("kind") not in ("ConfigMap", "ConfigMapList", "List"):
        return Text(text, origin)
    items = found.get("items") or [found]
    held = next((each["data"][key] for each in items if key in (each.get("data") or {})), None)
    return None if held is None else Text(str(held), origin)


def _minor(version: str) -> int:
    parts = version.removeprefix("v").split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def _data(found: Mapping[tuple[str, str], Object], name: str, keys: tuple[str, ...]) -> dict[str, Text]:
    there = found.get(("ConfigMap", name))
    data = there.at("data", {}) if there else {}
    missing = [key for key in keys if key not in data]
    if missing:
        what = f"ConfigMap {name!r} has no {listed(missing)}" if there else f"there is no ConfigMap {name!r}"
        base = INJECTOR if "config" in keys else MESH
        others = sorted(other for kind, other in found if kind == "ConfigMap" and other.startswith(base))
        raise ConfigError(
            "no-injection-config",
            what,
            hint=f"choose the revision with --revision; there are {listed(others)}"
            if others
            else "a mesh of that shape has no injector of its own; ask the webhook, or go by its primary",
        )
    return {key: Text(data[key], f"ConfigMap {name}") for key in keys}


def _config(text: Text) -> dict[str, Any]:
    """The injector's configuration; a text that is none is itself the template `sidecar`."""
    try:
        found = parsed(text.text)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("templates"):
        return {"policy": "enabled", **found}
    if isinstance(found, dict) and {"policy", "template"} & found.keys():
        raise _bad(text, "it has no templates; is it of an Istio before 1.10?")
    return {"policy": "enabled", "templates": {"sidecar": text.text}}


def _map(text: Text) -> dict[str, Any]:
    try:
        found = parsed(text.text)
    except ValueError as fault:
        raise _bad(text, str(fault)) from fault
    if found is not None and not isinstance(found, dict):
        raise _bad(text, "it is no map")
    return found or {}


def _bad(text: Text, fault: str) -> ConfigError:
    return ConfigError(
        "bad-injection-config",
        fault,
        where=Where(text.origin),
        hint="export it again from the ConfigMap of the installed mesh",
    )
