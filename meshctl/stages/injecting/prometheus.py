"""One address for Prometheus: the agent's, which answers with the application's metrics and its own.

Source: istio.io/istio pkg/kube/inject/webhook.go, `applyPrometheusMerge`, `applySecurePrometheusAnnotation`;
pilot/cmd/pilot-agent/status/server.go for targets and reserved ports.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.stages.injecting.pod_annotations import MERGE_METRICS, boolean
from meshctl.stages.injecting.pods import go_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRAPED = "ISTIO_PROMETHEUS_ANNOTATIONS"
SECURE_PORT = "prometheus.istio.io/secure-port"
SECURE_VARIABLE = "ENVOY_SECURE_MERGED_METRICS_PORT"
_PATH = "/stats/prometheus"
_TARGETS = "prometheus_istio_io_scrape_targets"
_OWN = {
    "prometheus_io_scrape": "scrape",
    "prometheus_io_path": "path",
    "prometheus_io_port": "port",
    _TARGETS: "targets",
}
_RESERVED = ("15000", "15001", "15004", "15006", "15008", "15020", "15021", "15053", "15090")


def is_merged(notes: Mapping[str, str], mesh: Mapping[str, Any]) -> bool:
    """Whether a pod's metrics are to be merged into the agent's."""
    port = str(mesh["defaultConfig"].get("statusPort", 0))
    scrapes = (boolean(value) for name, value in notes.items() if _OWN.get(_sanitized(name)) == "scrape")
    if next((each for each in scrapes if each is not None), True) is False:
        return False
    said = boolean(notes.get(MERGE_METRICS, ""))
    wanted = mesh.get("enablePrometheusMerge", True) if said is None else said
    return bool(wanted) and _first(notes, "port") != port


def scraped(notes: Mapping[str, str], status_port: int, *, targets: bool = True) -> str:
    """What the agent is told to scrape, as JSON; empty where the pod says nothing.

    Args:
        notes: a pod's annotations.
        status_port: the agent's own port.
        targets: whether istiod knows of several targets, and checks all ports.

    Raises:
        ConfigError: a port that is none, or that belongs to the sidecar.
    """
    found: dict[str, Any] = {"scrape": "", "path": "", "port": ""}
    for name in sorted(notes):
        field = _OWN.get(_sanitized(name))
        if field == "targets":
            found["targets"] = _targets(notes[name]) if targets else []
        elif field:
            found[field] = notes[name]
    listed = found.pop("targets", [])
    if targets:
        for each in listed or ([found] if found["port"] else []):
            _check_port(each["port"], status_port)
    if listed:
        found |= {"port": listed[0]["port"], "path": listed[0]["path"], "targets": list(listed)}
    return go_text(found) if any(found.values()) else ""


def merged_notes(notes: Mapping[str, str], status_port: int, *, targets: bool = True) -> dict[str, str]:
    """Annotations that lead Prometheus to the agent, in place of the pod's own."""
    own = [name for name in _OWN if targets or name != _TARGETS]
    kept = {name: value for name, value in notes.items() if _sanitized(name) not in own}
    return {
        **kept,
        "prometheus.io/port": str(status_port),
        "prometheus.io/path": _PATH,
        "prometheus.io/scrape": "true",
    }


def restored_notes(notes: Mapping[str, str], told: str | None) -> dict[str, str]:
    """The annotations as they were before `merged_notes`.

    Args:
        notes: annotations of an injected pod.
        told: what its agent was told to scrape; None where it was told nothing.
    """
    injected = notes.get("prometheus.io/path") == _PATH and notes.get("prometheus.io/scrape") == "true"
    if not injected or "prometheus.io/port" not in notes:
        return dict(notes)
    kept = {name: value for name, value in notes.items() if _sanitized(name) not in _OWN}
    try:
        was = json.loads(told) if told else {}
    except ValueError:
        return dict(notes)
    if was.get("targets"):
        listed = ",".join(f"{each['port']}:{each['path']}" for each in was["targets"])
        own = {"scrape": was.get("scrape")}
        kept["prometheus.istio.io/scrape-targets"] = listed
    else:
        own = {field: was.get(field) for field in ("scrape", "path", "port")}
    return {**kept, **{f"prometheus.io/{field}": value for field, value in own.items() if value}}


def secure_port(notes: Mapping[str, str], variables: list[Mapping[str, Any]]) -> str:
    """The port for Prometheus with TLS, as the sidecar's environment has it.

    Empty where there is none, or where the pod says one itself.
    """
    if any(_sanitized(name) == _sanitized(SECURE_PORT) for name in notes):
        return ""
    values = (each.get("value", "") for each in variables if each["name"] == SECURE_VARIABLE)
    return next((value for value in values if value not in ("", "0")), "")


def _sanitized(name: str) -> str:
    """A name as Prometheus sees it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _first(notes: Mapping[str, str], field: str) -> str:
    return next((notes[name] for name in sorted(notes) if _OWN.get(_sanitized(name)) == field), "")


def _targets(text: str) -> list[dict[str, str]]:
    """Ports and paths of a list such as `8080:/metrics,9090`; none where it cannot be read."""
    found = []
    for entry in filter(None, (each.strip() for each in text.split(","))):
        port, _, path = (part.strip() for part in entry.partition(":"))
        if not port:
            return []
        found.append({"port": port, "path": path or "/metrics"})
    return found


def _check_port(text: str, status_port: int) -> None:
    fault = ""
    if not re.fullmatch(r"[+-]?[0-9]+", text) or not 1 <= int(text) <= 65535:
        fault = "is none"
    elif int(text) == status_port or str(int(text)) in _RESERVED:
        fault = "belongs to the sidecar"
    if fault:
        raise ConfigError(
            "bad-scrape-port",
            f"Prometheus is to scrape port {text!r}, which {fault}",
            hint="name the application's own port in prometheus.io/port",
        )
