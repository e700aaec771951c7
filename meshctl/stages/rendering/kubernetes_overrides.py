"""`k8s` of an IstioOperator component: changes to rendered objects, by kind and name."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.model.values import place
from meshctl.stages.rendering.objectpath import apply_patch
from meshctl.stages.rendering.strategic import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import TypeAlias

    from meshctl.errors import Where
    from meshctl.model.mesh import Path
    from meshctl.model.values import Tree, Values

    Finder: TypeAlias = Callable[[Path], Where]


@dataclass(frozen=True, slots=True)
class Target:
    """What a component's `k8s` is about: its workload, by kind and name, and the container in it."""

    kind: str
    name: str
    container: str


def finder(values: Values, *component: str | int) -> Finder:
    """Tells where the user said a change to the objects of a component, by its path below `k8s`."""
    return lambda path: place(values, ("components", *component, "k8s", *path))


def overridden(contents: list[Tree], k8s: Mapping[str, Any], target: Target, where: Finder) -> list[Tree]:
    """Objects with the changes of one component applied, patches first and overlays last.

    Args:
        contents: objects as rendered.
        k8s: the component's `k8s`.
        target: the component's workload.
        where: see `finder`; for errors.

    Raises:
        ConfigError: an overlay's path leads nowhere.
    """
    changed = contents
    for kind, patch in _patches(k8s, target):
        changed = [
            _mended(patched(each, patch), patch) if _names(each, kind, target.name) else each
            for each in changed
        ]
    for number, overlay in enumerate(k8s.get("overlays") or ()):
        changed = [
            _overlaid(each, overlay, lambda path: where(("overlays", number, *path)))  # noqa: B023 - called at once
            if _names(each, overlay.get("kind"), overlay.get("name"))
            else each
            for each in changed
        ]
    return changed


def _names(content: Tree, kind: str | None, name: str | None) -> bool:
    return bool(content["kind"] == kind and content["metadata"]["name"] == name)


def _patches(k8s: Mapping[str, Any], target: Target) -> Iterator[tuple[str, Tree]]:
    """A patch for each setting, with the kind it is for."""
    for key, value in sorted(k8s.items()):
        match key:
            case (
                "affinity"
                | "nodeSelector"
                | "priorityClassName"
                | "tolerations"
                | "securityContext"
                | "volumes"
            ):
                yield target.kind, {"spec": {"template": {"spec": {key: value}}}}
            case "env" | "imagePullPolicy" | "readinessProbe" | "resources" | "volumeMounts":
                container = {"name": target.container, key: value}
                yield target.kind, {"spec": {"template": {"spec": {"containers": [container]}}}}
            case "podAnnotations":
                yield target.kind, {"spec": {"template": {"metadata": {"annotations": value}}}}
            case "replicaCount" if target.kind == "Deployment":  # a DaemonSet has a pod a node
                yield target.kind, {"spec": {"replicas": value}}
            case "strategy":
                field = "strategy" if target.kind == "Deployment" else "updateStrategy"
                yield target.kind, {"spec": {field: value}}
            case "hpaSpec":
                yield "HorizontalPodAutoscaler", {"spec": value}
            case "podDisruptionBudget":
                yield "PodDisruptionBudget", {"spec": value}
            case "service":
                yield "Service", {"spec": value}
            case "serviceAnnotations":
                yield "Service", {"metadata": {"annotations": value}}
            case _:
                pass  # overlays come later; replicas of a DaemonSet are warned of


def _mended(content: Tree, patch: Tree) -> Tree:
    """A budget says either how many must be there or how many may be missing: what was asked for wins."""
    spec = content.get("spec", {})
    if content["kind"] == "PodDisruptionBudget" and {"minAvailable", "maxUnavailable"} <= spec.keys():
        dropped = "maxUnavailable" if "maxUnavailable" not in patch["spec"] else "minAvailable"
        return {**content, "spec": {key: value for key, value in spec.items() if key != dropped}}
    return content


def _overlaid(content: Tree, overlay: Mapping[str, Any], where: Finder) -> Tree:
    changed = copy.deepcopy(content)
    for number, patch in enumerate(overlay.get("patches") or ()):
        at = where(("patches", number, "path"))
        apply_patch(changed, str(patch.get("path", "")), patch.get("value"), at)
    return changed


def idle(values: Values, rendered: Collection[tuple[str, str]]) -> Iterator[str]:
    """Warnings of overlays that change nothing, since no object of their kind and name is rendered.

    Args:
        values: settled values of one cluster.
        rendered: kind and name of every object.
    """
    for key, said in (values.at("components") or {}).items():
        for index, each in enumerate(said if isinstance(said, list) else [said]):
            listed = isinstance(said, list)  # what is listed is on unless it says otherwise
            if not each or not each.get("enabled", listed):
                continue
            path = ("components", key, index) if listed else ("components", key)
            for number, overlay in enumerate((each.get("k8s") or {}).get("overlays") or ()):
                kind, name = overlay.get("kind"), overlay.get("name")
                if (kind, name) not in rendered:
                    where = place(values, (*path, "k8s", "overlays", number))
                    yield f"{where}: the overlay changes nothing: there is no {kind} {name!r}"
