"""Which pods the injector injects, and why it leaves the others alone.

Source: istio.io/istio pkg/kube/inject/inject.go, `injectRequired`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INJECT = "sidecar.istio.io/inject"
IGNORED_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


def reason_against(pod: Mapping[str, Any], namespace: str, config: Mapping[str, Any]) -> str:
    """Why a pod is not injected; empty when it is.

    Args:
        pod: a canonical pod.
        namespace: where it will run.
        config: the injector's configuration, as its ConfigMap has it.
    """
    if pod["spec"].get("hostNetwork"):
        return "it uses the host's network"
    if namespace in IGNORED_NAMESPACES:
        return f"namespace {namespace} is never injected"
    meta = pod.get("metadata") or {}
    labels = meta.get("labels") or {}
    said = labels.get(INJECT, (meta.get("annotations") or {}).get(INJECT, ""))
    policy = config.get("policy")
    if policy not in ("enabled", "disabled"):
        return f"the injector's policy is {policy!r}, neither enabled nor disabled"
    if said in ("true", "false"):
        return "" if said == "true" else f'{INJECT} is "false"'
    if any(selects(each, labels) for each in config.get("neverInjectSelector") or ()):
        return "a neverInjectSelector of the injector selects its labels"
    if any(selects(each, labels) for each in config.get("alwaysInjectSelector") or ()):
        return ""
    return (
        "" if policy == "enabled" else f'the injector\'s policy is disabled; set the label {INJECT}: "true"'
    )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector that is not empty selects these labels; a wrong one selects nothing."""
    rules = selector.get("matchExpressions") or ()
    if not (selector.get("matchLabels") or rules) or not all(_is_proper(rule) for rule in rules):
        return False
    return matches(selector, labels)


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects all."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    rules: Sequence[Mapping[str, Any]] = selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _agrees(rule, labels) for rule in rules
    )


def _is_proper(rule: Mapping[str, Any]) -> bool:
    wants = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}.get(str(rule.get("operator")))
    return wants is not None and wants == bool(rule.get("values"))


def _agrees(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = str(rule.get("key")), rule.get("values") or ()
    match rule.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
