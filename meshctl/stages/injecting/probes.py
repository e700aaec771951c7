"""Probes that go through the sidecar's agent, and the way back.

The kubelet cannot probe an application that takes mutual TLS only. Its probes and hooks are pointed at the
agent, and the agent is told in an environment variable where they led before.

Source: istio.io/istio pkg/kube/inject/app_probe.go.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting.pods import canonical, go_json, go_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Of the agent's path for a probe or hook, the probe itself, and the named ports of its container.
    Change = Callable[[str, Mapping[str, Any], Mapping[str, int]], Mapping[str, Any]]

PROBERS = "ISTIO_KUBE_APP_PROBERS"
PROXY = "istio-proxy"
"""Name of the sidecar's container, whose own probes stay as they are."""

GROUPS = ("initContainers", "containers")
_ACTIONS = {"httpGet": "HTTPGetAction", "tcpSocket": "TCPSocketAction", "grpc": "GRPCAction"}
_PROBES = {"readinessProbe": "readyz", "livenessProbe": "livez", "startupProbe": "startupz"}
_HOOKS = {"preStop": "prestopz", "postStart": "poststartz"}


def probers(pod: Mapping[str, Any], status_port: int) -> str:
    """What the agent is told of a pod's probes, as JSON; empty when there is nothing to tell.

    Args:
        pod: a canonical pod whose probes are still its own.
        status_port: the agent's port; a probe that leads there already is not told.
    """
    told: dict[str, Any] = {}

    def tell(path: str, handler: Mapping[str, Any], ports: Mapping[str, int]) -> Mapping[str, Any]:
        prober = _prober(handler, ports, status_port)
        if prober is not None:
            told[path] = prober
        return handler

    _each_application(pod, tell)
    return go_text({path: told[path] for path in sorted(told)}) if told else ""


def rewritten(pod: Mapping[str, Any], status_port: int) -> dict[str, Any]:
    """A pod whose probes and hooks ask the agent at its port."""

    def ask_agent(path: str, handler: Mapping[str, Any], _: Mapping[str, int]) -> Mapping[str, Any]:
        action = _action(handler)
        if action is None:
            return handler
        asked = {**(handler["httpGet"] if action == "httpGet" else {}), "path": path, "port": status_port}
        if asked.get("scheme") == "HTTPS":
            asked["scheme"] = "HTTP"
        return {**{key: value for key, value in handler.items() if key != action}, "httpGet": asked}

    return _each_application(pod, ask_agent)


def restored(pod: Mapping[str, Any], told: str) -> dict[str, Any]:
    """A pod whose probes and hooks lead where its agent was told that they led."""
    known = _known(told)

    def ask_itself(path: str, handler: Mapping[str, Any], _: Mapping[str, int]) -> Mapping[str, Any]:
        prober = known.get(path)
        if not isinstance(prober, dict):
            return handler
        action = _action(prober)
        if action is None or (handler.get("httpGet") or {}).get("path") != path:
            return handler
        own = canonical(prober[action], _ACTIONS[action])
        return {**{key: value for key, value in handler.items() if key != "httpGet"}, action: own}

    return _each_application(pod, ask_itself)


def _known(told: str) -> Mapping[str, Any]:
    try:
        found = json.loads(told)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _action(handler: Mapping[str, Any]) -> str | None:
    return next((each for each in _ACTIONS if each in handler), None)


def _prober(handler: Mapping[str, Any], ports: Mapping[str, int], status_port: int) -> dict[str, Any] | None:
    action = _action(handler)
    if action is None:
        return None
    told = go_json(handler[action], _ACTIONS[action])
    if action != "grpc":
        port = told["port"]
        if port == status_port or (isinstance(port, str) and port not in ports):
            return None
        told["port"] = ports.get(port, port)
    limit = handler.get("timeoutSeconds")
    return {action: told, **({"timeoutSeconds": limit} if limit else {})}


def _each_application(pod: Mapping[str, Any], change: Change) -> dict[str, Any]:
    spec = dict(pod["spec"])
    for group in GROUPS:
        if spec.get(group):
            spec[group] = [
                each if each.get("name") == PROXY else _each_handler(each, change) for each in spec[group]
            ]
    return {**pod, "spec": spec}


def _each_handler(container: Mapping[str, Any], change: Change) -> dict[str, Any]:
    result, name = dict(container), container.get("name")
    ports = {
        each["name"]: each["containerPort"]
        for each in container.get("ports") or ()
        if each.get("name") and "containerPort" in each
    }
    for field, path in _PROBES.items():
        if isinstance(result.get(field), dict):
            result[field] = change(f"/app-health/{name}/{path}", result[field], ports)
    if isinstance(result.get("lifecycle"), dict):
        result["lifecycle"] = {
            field: change(f"/app-lifecycle/{name}/{_HOOKS[field]}", each, ports)
            if field in _HOOKS and isinstance(each, dict)
            else each
            for field, each in result["lifecycle"].items()
        }
    return result
