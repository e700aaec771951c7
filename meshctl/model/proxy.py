"""Proxies, and what the control plane last told each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from meshctl.errors import MeshctlError

_ENVOY = "type.googleapis.com/envoy"
_SHORT = {
    f"{_ENVOY}.config.cluster.v3.Cluster": "CDS",
    f"{_ENVOY}.config.listener.v3.Listener": "LDS",
    f"{_ENVOY}.config.endpoint.v3.ClusterLoadAssignment": "EDS",
    f"{_ENVOY}.config.route.v3.RouteConfiguration": "RDS",
    f"{_ENVOY}.config.core.v3.TypedExtensionConfig": "ECDS",
    f"{_ENVOY}.extensions.transport_sockets.tls.v3.Secret": "SDS",
    "type.googleapis.com/istio.networking.nds.v1.NameTable": "NDS",
    "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig": "PCDS",
    "type.googleapis.com/istio.workload.Address": "WDS",
    "type.googleapis.com/istio.workload.Workload": "WDS",
    "type.googleapis.com/istio.security.Authorization": "WADS",
}


def short_type(url: str) -> str:
    """The usual short name of an xDS type URL, such as `CDS`; the message's own name where there is none."""
    return _SHORT.get(url) or url.rpartition("/")[2].rpartition(".")[2] or url


class Sync(StrEnum):
    """Whether a proxy has what istiod last sent it of one type."""

    SYNCED = "synced"
    STALE = "stale"
    """Sent, and not acknowledged yet."""
    NOT_SENT = "not-sent"
    """Subscribed, and istiod had nothing to send."""
    ERROR = "error"
    """The proxy rejected it."""
    IGNORED = "ignored"
    """A state that istiod does not name."""


_WORST = (Sync.ERROR, Sync.STALE, Sync.IGNORED, Sync.NOT_SENT, Sync.SYNCED)


class Carrier(StrEnum):
    """What a proxy runs in."""

    SIDECAR = "sidecar"
    GATEWAY = "gateway"
    WAYPOINT = "waypoint"
    ZTUNNEL = "ztunnel"
    VM = "vm"
    GONE = "gone"
    """Its pod no longer exists, and istiod has not noticed."""
    UNKNOWN = "unknown"
    """It could not be looked up, for example in a cluster that was not asked."""


@dataclass(frozen=True, slots=True)
class TypeSync:
    """One xDS type of one proxy.

    Attributes:
        state: whether the proxy has it.
        sent: when istiod last sent it; None when it never did.
        error: why the proxy rejected it, in Envoy's words.
    """

    state: Sync
    sent: datetime | None = None
    error: str = ""


@dataclass(frozen=True)
class Proxy:
    """A proxy with a stream to an istiod.

    Attributes:
        name: of its pod or host.
        namespace: where its workload lives.
        cluster: ID of its cluster, as the proxy says it (`Kubernetes` unless it was set).
        istiod: name of the istiod pod it is connected to.
        version: Istio's version, as the proxy says it.
        types: what it subscribed to, by type URL, in the order of the URLs.
        carrier: what it runs in.
    """

    name: str
    namespace: str
    cluster: str
    istiod: str
    version: str
    types: Mapping[str, TypeSync]
    carrier: Carrier = Carrier.UNKNOWN

    @property
    def states(self) -> Mapping[str, TypeSync]:
        """As `types`, by short name: `CDS`, `LDS` and so on; of two types with one name the worse."""
        best_first = sorted(self.types.items(), key=lambda item: _WORST.index(item[1].state), reverse=True)
        return {short_type(url): sync for url, sync in best_first}

    @property
    def worst(self) -> Sync:
        """The state that deserves the first look: an error, then stale, else synced."""
        found = {sync.state for sync in self.types.values()}
        return next((state for state in (Sync.ERROR, Sync.STALE) if state in found), Sync.SYNCED)


@dataclass(frozen=True, slots=True)
class Seat:
    """A pod that has a proxy in it, as the API server knows it.

    Attributes:
        name: of the pod.
        namespace: of the pod.
        cluster: ID of its cluster.
        carrier: what the proxy is for.
        revision: control-plane revision it was injected by; empty where the pod does not say.
        version: tag of the proxy's image.
        trouble: why the pod cannot run just now, in a few words; empty when it runs.
        is_leaving: whether the pod is being deleted.
    """

    name: str
    namespace: str
    cluster: str
    carrier: Carrier
    revision: str = ""
    version: str = ""
    trouble: str = ""
    is_leaving: bool = False


@dataclass(frozen=True)
class Inventory:
    """What the API server of one cluster knows of the proxies in it.

    Attributes:
        cluster: ID of the cluster, as its proxies say it.
        seats: its pods with a proxy.
        pods: `(namespace, name)` of all its pods, or None where they were not listed.
        hosts: `(istiod, namespace)` of workload entries that are connected to that istiod.
    """

    cluster: str
    seats: tuple[Seat, ...]
    pods: frozenset[tuple[str, str]] | None = None
    hosts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Istiod:
    """One istiod, and whether it answered.

    Attributes:
        name: of the pod.
        namespace: of the pod.
        cluster: name of the cluster it runs in.
        revision: its control-plane revision, `default` for the unnamed one.
        version: as it says itself; empty when it did not answer.
        proxies: how many proxies it has; 0 when it did not answer.
        error: why it did not answer.
    """

    name: str
    namespace: str
    cluster: str
    revision: str
    version: str = ""
    proxies: int = 0
    error: MeshctlError | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ProxyStatus:
    """All proxies that were told of, and all that should have been.

    Attributes:
        proxies: connected ones, by cluster, namespace and name.
        missing: pods with a proxy that is connected to none of the istiods that answered.
        istiods: every one asked, in the order of their names.
        unseen: clusters whose pods could not be listed, by name, with the reason; their pods are
            neither found missing nor gone.
    """

    proxies: tuple[Proxy, ...] = ()
    missing: tuple[Seat, ...] = ()
    istiods: tuple[Istiod, ...] = ()
    unseen: tuple[tuple[str, MeshctlError], ...] = ()

    @property
    def failed(self) -> tuple[Istiod, ...]:
        """Istiods that did not answer."""
        return tuple(istiod for istiod in self.istiods if istiod.error is not None)

    @property
    def is_partial(self) -> bool:
        """Whether something could not be asked, so that the answer may lack proxies."""
        return bool(self.failed or self.unseen)

    @property
    def is_synced(self) -> bool:
        """Whether the answer is whole, nothing is missing, gone, stale or rejected."""
        fine = all(one.worst is Sync.SYNCED and one.carrier is not Carrier.GONE for one in self.proxies)
        return fine and not self.missing and not self.is_partial
