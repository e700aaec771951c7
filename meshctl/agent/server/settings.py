"""Where the agent's own server listens, and whose metrics it gives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from meshctl.agent.health.settings import Exec, HealthSettings, HttpGet, health_settings
from meshctl.errors import ConfigError, Where

RESERVED: Final = {
    15000: "Envoy's administration",
    15001: "captured outbound traffic",
    15004: "istiod's debugging through the agent",
    15006: "captured inbound traffic",
    15008: "HBONE tunnels",
    15020: "the agent itself",
    15021: "Envoy's readiness",
    15053: "the agent's DNS",
    15090: "Envoy's metrics, which are merged already",
}
"""Ports of the proxy, where no application answers. Source: Istio's data plane."""

_URL: Final = re.compile(
    r"http://(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:(?P<port>[0-9]{1,5}))?(?P<path>/[\x21-\x7e]*)?"
)
_PROBE_PATH: Final = re.compile(
    r"/(app-health|app-lifecycle)/[^/]+/(livez|readyz|startupz|prestopz|poststartz)"
)


@dataclass(frozen=True)
class Scrape:
    """An application's metrics: of `http://host:port` the path."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """Its URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class ServerSettings:
    """The agent's own server.

    Attributes:
        address: that it listens on; `0.0.0.0` or `::`, which is all, when metrics are fetched from elsewhere.
        port: that it listens on.
        envoy_metrics: whether Envoy's metrics are given, too.
        applications: URLs of applications' metrics, `http://localhost:8080/metrics`, which are given, too.
        application_bytes: most that is taken of one application.
        scrape_timeout: seconds for metrics of all, where the scraper says no time.
        probes: health checks of containers, by their paths at this server.
    """

    address: str = "127.0.0.1"
    port: int = 15020
    envoy_metrics: bool = True
    applications: tuple[str, ...] = ()
    application_bytes: int = 10 * 1024 * 1024
    scrape_timeout: float = 10.0
    probes: tuple[tuple[str, HealthSettings], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: a port of none; a URL of no metrics, or of the proxy's own.
        """
        if not 1 <= self.port <= 65535:
            raise ConfigError("bad-setting", f"{self.port} is no port", hint="ports are from 1 to 65535")
        if not self.scrape_timeout:
            raise ConfigError("bad-setting", "metrics cannot be had in no time")
        self.scrapes()

    def scrapes(self) -> tuple[Scrape, ...]:
        """The applications.

        Raises:
            ConfigError: a URL of no metrics, or of the proxy's own, which would ask itself without end.
        """
        return tuple(_scrape(url, self.port) for url in self.applications)


def _scrape(url: str, own: int) -> Scrape:
    found = _URL.fullmatch(url)
    port = int((found and found["port"]) or 80)
    if not found or not 1 <= port <= 65535:
        hint = "write it as http://localhost:8080/metrics"
        raise ConfigError("metrics-url-invalid", f"{url!r} is no URL of metrics", hint=hint)
    if port == own or port in RESERVED:
        whose = "the agent itself" if port == own else RESERVED[port]
        raise ConfigError("metrics-port-reserved", f"no application has port {port}: it is for {whose}")
    return Scrape(found["host"].strip("[]"), port, found["path"] or "/metrics")


def annotated_applications(text: str, where: Where) -> tuple[str, ...]:
    """URLs of applications' metrics, from the JSON of pods' annotations in ISTIO_PROMETHEUS_ANNOTATIONS.

    Raises:
        ConfigError: it is none.

    Source:
        Istio's `prometheus.io/{scrape,port,path}` annotations; port 80 and path `/metrics` by default.
    """
    said = _object(text, where)
    if said.get("scrape") == "false":
        return ()
    targets = said.get("targets") or [said]
    if not isinstance(targets, list) or not all(isinstance(each, Mapping) for each in targets):
        raise ConfigError("bad-setting", "targets are an array of objects", where=where)
    return tuple(
        f"http://localhost:{each.get('port') or '80'}{each.get('path') or '/metrics'}" for each in targets
    )


def container_probes(host: str, text: str, where: Where) -> tuple[tuple[str, HealthSettings], ...]:
    """Health checks by their paths, from the JSON of containers' probes in ISTIO_KUBE_APP_PROBERS.

    Args:
        host: that is asked.
        text: an object of paths and probes, as Istio's injector writes it.
        where: it comes from.

    Raises:
        ConfigError: it is none.
    """
    found = []
    for path, probe in _object(text, where).items():
        if not _PROBE_PATH.fullmatch(path):
            raise ConfigError("bad-setting", f"{path!r} is no path of a probe", where=where)
        settings = health_settings(probe, host=host, where=lambda *_: where)
        check = settings.check
        if check is None or isinstance(check, Exec):
            raise ConfigError("bad-setting", f"the probe at {path!r} asks no port", where=where)
        if isinstance(check, HttpGet):  # the kubelet would take the host; the proxy asks its own
            settings = replace(settings, check=replace(check, host=""))
        found.append((path, settings))
    return tuple(found)


def _object(text: str, where: Where) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("not-json", "this is not JSON", where=where) from error
    if not isinstance(said, dict):
        raise ConfigError("not-json", "there has to be a JSON object", where=where)
    return said
