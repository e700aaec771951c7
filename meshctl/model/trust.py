"""Who vouches for whom in a mesh, as it is seen in clusters, in istiods and in live proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from meshctl.errors import MeshctlError
    from meshctl.model.certificate import Facts
    from meshctl.model.finding import Finding


@dataclass(frozen=True, slots=True)
class SeenAuthority:
    """An authority as the Secret says that holds it.

    Attributes:
        place: `Secret istio-system/cacerts`.
        by: who keeps it: `meshctl`, `istiod`, `cert-manager`; empty where nothing tells.
        certificate: the authority's own; None where it cannot be read.
        root: SHA-256 of the root that vouches for it; empty where none of those it brings does.
        roots: SHA-256 of those it brings, sorted: its istiod has proxies trust them.
    """

    place: str
    by: str
    certificate: Facts | None
    root: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Namespaces in which istiod publishes the same roots: their SHA-256, sorted."""

    namespaces: tuple[str, ...]
    roots: tuple[str, ...]


class Kind(StrEnum):
    """What shows a certificate."""

    ISTIOD = "istiod"
    ENVOY = "envoy"
    ZTUNNEL = "ztunnel"


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that is in use now, and the roots beside it.

    Attributes:
        kind: who shows it; an istiod does by what it would give a proxy now.
        namespace: of its pod.
        pod: name of that pod.
        leaf: the certificate; None where it was not seen.
        issuer: SHA-256 of the authority that signed it; empty where it did not show that.
        root: SHA-256 of the root among those it trusts that vouches for it; empty where none does.
        roots: SHA-256 of those it trusts, sorted.
        error: why it was not seen.
    """

    kind: Kind
    namespace: str
    pod: str
    leaf: Facts | None = None
    issuer: str = ""
    root: str = ""
    roots: tuple[str, ...] = ()
    error: MeshctlError | None = None

    @property
    def subject(self) -> str:
        """As people name it."""
        return f"Pod {self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class ClusterTrust:
    """One cluster.

    Attributes:
        cluster: its name.
        server: name of the cluster whose istiod gives its proxies their certificates; its own unless it is
            a remote.
        authority: what its istiod is to work with; None where it has none.
        published: roots that its namespaces are given.
        shown: certificates of its istiods and proxies.
        unread: what could not be looked at, and why.
        findings: what is not as it should be.
    """

    cluster: str
    server: str
    authority: SeenAuthority | None = None
    published: tuple[Published, ...] = ()
    shown: tuple[Shown, ...] = ()
    unread: tuple[tuple[str, MeshctlError], ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class TrustStatus:
    """A mesh, or several that trust each other.

    Attributes:
        now: when it was looked at; aware, UTC.
        clusters: in the order of the mesh.
        roots: every root that was seen anywhere, by its end.
        kept: SHA-256 of the roots in folders of the operator's.
    """

    now: datetime
    clusters: tuple[ClusterTrust, ...]
    roots: tuple[Facts, ...] = ()
    kept: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is found wrong, and all could be looked at."""
        return not any(each.findings or each.unread for each in self.clusters)
