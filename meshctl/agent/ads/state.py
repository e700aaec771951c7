"""How the exchange with istiod and Envoy stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = "type.googleapis.com/"
CLUSTERS: Final = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
LISTENERS: Final = f"{_PREFIX}envoy.config.listener.v3.Listener"
NAMES: Final = f"{_PREFIX}istio.networking.nds.v1.NameTable"
PROXY_CONFIG: Final = f"{_PREFIX}istio.mesh.v1alpha1.ProxyConfig"
HEALTH: Final = f"{_PREFIX}istio.v1.HealthInformation"

_SHORT: Final = {
    CLUSTERS: "CDS",
    LISTENERS: "LDS",
    f"{_PREFIX}envoy.config.route.v3.RouteConfiguration": "RDS",
    f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
    f"{_PREFIX}envoy.config.core.v3.TypedExtensionConfig": "ECDS",
    f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret": "SDS",
    NAMES: "NDS",
    PROXY_CONFIG: "PCDS",
}


def short(type_url: str) -> str:
    """A type of resources as people call it; its URL when they have no name for it."""
    return _SHORT.get(type_url, type_url)


@dataclass(frozen=True, slots=True)
class TypeState:
    """How resources of one type stand.

    Attributes:
        pushes: responses of istiod so far.
        accepted: how many of them Envoy (or the agent, of its own types) has taken.
        rejected: how many it has refused.
        version: of the last that was taken.
        error: why the last was refused; empty since one was taken.
        at: epoch seconds of the last response.
    """

    pushes: int = 0
    accepted: int = 0
    rejected: int = 0
    version: str = ""
    error: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class AdsState:
    """How it all stands at one moment.

    Attributes:
        envoy: whether Envoy has a stream to the agent.
        server: `address:port` of the istiod that answers; empty when none does.
        since: epoch seconds since when it does, or since when none does; 0 before the first.
        protocol: `delta` or `sotw`, as Envoy has asked; empty before.
        connections: streams to istiod so far that were answered.
        error: why there is none, or why the last attempt failed; empty while one answers.
        types: by short name (`CDS`), in alphabetical order.
        removed: extensions that Envoy lacks, which were left out since its stream began; how often, by type.
    """

    envoy: bool = False
    server: str = ""
    since: float = 0.0
    protocol: str = ""
    connections: int = 0
    error: str = ""
    types: Mapping[str, TypeState] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)
