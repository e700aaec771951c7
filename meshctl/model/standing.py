"""How a mesh stands: what is installed, whether it is ready, and for how long its certificates last."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from meshctl.model.finding import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from meshctl.errors import MeshctlError
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object, Ref
    from meshctl.model.release import Release


class Role(StrEnum):
    """What a workload of Istio's is for."""

    CONTROL_PLANE = "control-plane"
    GATEWAY = "gateway"
    CNI = "cni"
    ZTUNNEL = "ztunnel"


@dataclass(frozen=True)
class Installation:
    """A workload of Istio's that runs in a cluster.

    Attributes:
        ref: the Deployment or DaemonSet.
        role: what it is for.
        revision: control-plane revision it belongs to, `default` for the unnamed one.
        version: tag of its image; empty where a gateway gets its image when it is injected.
        image: its image as written.
        by: who installed it: `meshctl`, `istioctl`, `helm`, `istiod`, or the label's own word; empty when
            nothing tells.
        wanted: replicas or nodes it should have.
        ready: replicas or nodes that are ready.
        trouble: why it is not ready, in a few words; empty when it is.
        causes: what keeps it from being ready, the gravest first.
    """

    ref: Ref
    role: Role
    revision: str
    version: str
    image: str
    by: str
    wanted: int
    ready: int
    trouble: str = ""
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook configuration of Istio's, and whether the API server can use it.

    Attributes:
        ref: the configuration.
        revision: control-plane revision it leads to.
        tag: revision tag it stands for; empty for a revision's own.
        target: `Service namespace/name`, or a URL.
        is_alive: whether the Service has a ready endpoint; None for a URL, or when it is not known.
        has_bundle: whether every entry has a CA bundle.
        trusts_root: whether the bundle holds the mesh root; None when either is not known.
        is_required: whether a call that fails stops what it was asked about (`failurePolicy: Fail`).
    """

    ref: Ref
    revision: str
    tag: str
    target: str
    is_alive: bool | None
    has_bundle: bool
    trusts_root: bool | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class DefaultOwner:
    """Revisions that serve what names no revision; empty where none does.

    Attributes:
        injection: for namespaces with `istio-injection: enabled`.
        validation: for Istio objects without a revision label.
    """

    injection: str = ""
    validation: str = ""


@dataclass(frozen=True, slots=True)
class CertificateAge:
    """A CA certificate, public part only.

    Attributes:
        name: `mesh root`, `signing CA`.
        place: where it was read.
        begins: first moment of its validity, UTC.
        ends: last moment of its validity, UTC.
    """

    name: str
    place: str
    begins: datetime
    ends: datetime

    def left(self, now: datetime) -> float:
        """Share of its life that is left, from 0 to 1."""
        life = (self.ends - self.begins).total_seconds()
        return min(1.0, max(0.0, (self.ends - now).total_seconds() / life)) if life > 0 else 0.0


@dataclass(frozen=True)
class DataPlane:
    """Pods with a proxy.

    Attributes:
        sidecars: how many have a sidecar.
        gateways: how many are gateways or waypoints.
        namespaces: how many namespaces they are in.
        versions: how many proxies run which version, by the tag of the image.
    """

    sidecars: int = 0
    gateways: int = 0
    namespaces: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How one cluster stands.

    Attributes:
        cluster: its name within the mesh.
        server: address of its API server.
        version: of its API server.
        releases: the newest record of each mesh that meshctl installed here.
        installations: Istio's workloads, the control plane first.
        webhooks: Istio's webhook configurations.
        default: who serves what names no revision.
        certificates: CA certificates that could be read.
        data_plane: pods with a proxy; None when they could not be listed.
        findings: what is not as it should be.
        unread: what could not be read, with the reason.
    """

    cluster: str
    server: str
    version: str = ""
    releases: tuple[Release, ...] = ()
    installations: tuple[Installation, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    default: DefaultOwner = DefaultOwner()
    certificates: tuple[CertificateAge, ...] = ()
    data_plane: DataPlane | None = None
    findings: tuple[Finding, ...] = ()
    unread: tuple[tuple[str, MeshctlError], ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether there is a mesh here, or a record of one."""
        return bool(self.releases or self.installations)


@dataclass(frozen=True)
class MeshStatus:
    """How the mesh stands in each cluster, at the moment `now` (UTC)."""

    now: datetime
    clusters: tuple[Standing, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all clusters."""
        return tuple(finding for one in self.clusters for finding in one.findings)

    @property
    def is_sound(self) -> bool:
        """Whether there is a mesh, all of it could be read, and no finding is an error."""
        fine = all(finding.rule.level is not Level.ERROR for finding in self.findings)
        read = not any(one.unread for one in self.clusters)
        return fine and read and any(one.is_installed for one in self.clusters)


def is_served(slices: Iterable[Object]) -> bool:
    """Whether a Service with these EndpointSlices has somebody to answer.

    A missing condition means ready (API reference of discovery.k8s.io/v1, EndpointConditions).
    """
    return any(
        endpoint.get("conditions", {}).get("ready", True) is not False
        for each in slices
        for endpoint in each.at("endpoints", ())
    )
