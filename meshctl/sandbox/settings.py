"""What a sandbox is asked to be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from meshctl.errors import ConfigError, Where, listed
from meshctl.sandbox.names import MAX_CLUSTERS, MAX_HOSTS, MAX_LIGHT_CLUSTERS
from meshctl.sandbox.versions import ISTIO_TAGS

MAX_NODES = 5000
NETWORKS = ("flat", "separate")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `up` is to bring up.

    Attributes:
        name: tells sandboxes of one machine apart; begins contexts, namespaces and folders.
        clusters: Kubernetes clusters, 1 to 7; in light mode to 15.
        hosts: systemd hosts beside them, 0 to 60.
        light: without root, namespaces and pods; None decides by what the machine can.
        istio: tags of the Istio images to preload, of those in `versions.ISTIO_TAGS`.
        network: "flat" routes pods and services between clusters and to hosts; "separate" does
            not, and a cluster is reached through its load balancer addresses only.
        nodes: simulated nodes of each cluster in light mode, 1 to 5000; a full one has one.
        audit: the API servers write `<state>/cN/audit.log`, one JSON event of level Metadata a line.
    """

    name: str = "sandbox"
    clusters: int = 1
    hosts: int = 0
    light: bool | None = None
    istio: tuple[str, ...] = ISTIO_TAGS
    network: Literal["flat", "separate"] = "flat"
    audit: bool = True
    nodes: int = 1

    def __post_init__(self) -> None:
        """Refuse what no sandbox can be.

        Raises:
            ConfigError: a value out of its range.
        """
        check_name(self.name)
        most = MAX_CLUSTERS if self.light is False else MAX_LIGHT_CLUSTERS
        _check_range("--clusters", self.clusters, 1, most)
        _check_range("--hosts", self.hosts, 0, MAX_HOSTS)
        _check_range("--nodes", self.nodes, 1, MAX_NODES)
        for tag in self.istio:
            if tag not in ISTIO_TAGS:
                raise ConfigError(
                    "unknown-istio-build",
                    f"the sandbox builds no Istio {tag!r}",
                    where=Where("--istio-version"),
                    hint=f"use one of {listed(ISTIO_TAGS)}",
                )
        if self.network not in NETWORKS:
            raise ConfigError(
                "unknown-network-layout",
                f"unknown network layout {self.network!r}",
                where=Where("--network"),
                hint=f"use one of {listed(NETWORKS)}",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the journal."""
        return {
            "name": self.name,
            "clusters": self.clusters,
            "hosts": self.hosts,
            "light": self.light,
            "istio": list(self.istio),
            "network": self.network,
            "audit": self.audit,
            "nodes": self.nodes,
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Settings:
        """The settings that `to_json` wrote; a sandbox of an older meshctl may run what we build no more."""
        settings = Settings(**{**data, "istio": ()})
        object.__setattr__(settings, "istio", tuple(data["istio"]))
        return settings


def check_name(name: str) -> None:
    """Refuse a name that cannot name contexts, namespaces and folders.

    Raises:
        ConfigError: anything but 1 to 20 of a-z, 0-9 and -, a letter first, no - last.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "bad-sandbox-name",
            f"sandbox name {name!r} cannot be used",
            where=Where("--name"),
            hint="use 1 to 20 of a-z, 0-9 and -, beginning with a letter",
        )


def _check_range(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(
            "out-of-range",
            f"{value} is outside {least} to {most}",
            where=Where(flag),
            hint=f"give a number from {least} to {most}",
        )
