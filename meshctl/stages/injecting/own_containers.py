"""Containers that both a pod and the template have: what the pod says of them stands.

Source: istio.io/istio pkg/kube/inject/webhook.go, `reapplyOverwrittenContainers`, `adjustInitContainerUser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting.overlay import overlaid
from meshctl.stages.injecting.pod_annotations import OVERRIDES
from meshctl.stages.injecting.pods import canonical, go_json, go_text
from meshctl.stages.injecting.probes import PROXY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AUTO = "auto"
"""An image of this name asks for the template's."""

_MODE = "sidecar.istio.io/interceptionMode"
_INITS = ("istio-init", "istio-validation")


def reapplied(
    merged: Mapping[str, Any],
    original: Mapping[str, Any],
    template: Mapping[str, Any],
    remembered: Mapping[str, Any],
    proxy: Mapping[str, Any],
) -> dict[str, Any]:
    """The merged pod with the user's own containers laid over it, and remembered in an annotation.

    Args:
        merged: the pod with the template in it.
        original: the pod as it was.
        template: what the template alone says.
        remembered: own containers that an annotation tells of, by their group.
        proxy: configuration of the proxy.
    """
    found: dict[str, list[Any]] = {}
    spec = original["spec"]
    own = {
        "containers": spec.get("containers") or (),
        "initContainers": [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())],
    }
    result = dict(merged)
    for group, known in own.items():
        for each in template["spec"].get(group) or ():
            mine = named(each["name"], [*remembered.get(group, ()), *known])
            if mine is not None:
                over = {key: value for key, value in mine.items() if key != "image" or value != AUTO}
                found.setdefault(group, []).append(over)
                result = canonical(overlaid(result, {"spec": {group: [over]}}))
    if found:
        told = {
            group: [go_json(each, "Container") for each in found[group]] for group in own if group in found
        }
        meta = result.get("metadata") or {}
        notes = {**(meta.get("annotations") or {}), OVERRIDES: go_text(told)}
        result = {**result, "metadata": {**meta, "annotations": notes}}
    return _with_user(result, original, proxy)


def named(name: str, containers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first container of a name."""
    return next((each for each in containers if each.get("name") == name), None)


def sidecar(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The sidecar of a pod, be it native or not."""
    spec = pod["spec"]
    return named(PROXY, [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())])


def with_container(pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with another container in the place of its first of that name."""
    spec = dict(pod["spec"])
    for group in ("containers", "initContainers"):
        old = named(container["name"], spec.get(group) or ())
        if old is not None:
            spec[group] = [container if each is old else each for each in spec[group]]
            break
    return {**pod, "spec": spec}


def _with_user(
    merged: dict[str, Any], original: Mapping[str, Any], proxy: Mapping[str, Any]
) -> dict[str, Any]:
    """The user and group that the pod gives its own sidecar, where the init container must know them."""
    mine = sidecar(original)
    said = (mine or {}).get("securityContext") or {}
    user, group = said.get("runAsUser"), said.get("runAsGroup")
    inits = merged["spec"].get("initContainers") or ()
    init = next((found for name in _INITS if (found := named(name, inits))), None)
    if init is None or (user is None and group is None):
        return merged
    notes = (merged.get("metadata") or {}).get("annotations") or {}
    result = merged
    if proxy.get("interceptionMode") == "TPROXY" or notes.get(_MODE) == "TPROXY":
        # TPROXY works for root only.
        there = sidecar(merged)
        if user is not None and there is not None:
            rights = {**(there.get("securityContext") or {}), "runAsUser": 0}
            result = with_container(result, {**there, "securityContext": rights})
    elif init["name"] == "istio-validation":
        rights = {"runAsUser": user, "runAsGroup": group}
        kept = {key: value for key, value in rights.items() if value is not None}
        init = {**init, "securityContext": {**(init.get("securityContext") or {}), **kept}}
    if user and "-u" in (init.get("args") or ())[:-1]:
        args = list(init["args"])
        args[args.index("-u") + 1] = str(user)
        init = {**init, "args": args}
    return with_container(result, init)
