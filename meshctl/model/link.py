"""Links: which istiod reads which cluster, and for how long the token lasts by which it does."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.mesh import Role
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.model.mesh import Mesh

MULTICLUSTER: Final = "istio/multiCluster"
"""Label with the value `true` by which istiod finds its remote secrets."""
READS: Final = "networking.istio.io/cluster"
"""Annotation of a remote secret: the cluster that is read by it."""
CONFIG_SECRET: Final = "istio-kubeconfig"  # noqa: S105 - the name of one
"""Secret with the kubeconfig by which an external istiod reads its configuration."""
CONFIG_KEY: Final = "config"
RENEWED_AT: Final = 1 / 3
"""Share of a token's life that is left when it is renewed."""

_REMOTE: Final = "istio-remote-secret-"
_TOKEN: Final = re.compile(r"[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")


class LinkKind(StrEnum):
    """What an istiod reads a cluster for."""

    REMOTE = "remote"
    """Services and endpoints; for clusters that it serves, their webhooks and roots, too."""
    CONFIG = "config"
    """All that an istiod of the cluster's own would: it runs elsewhere."""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One istiod that reads one other cluster.

    Attributes:
        server: name of the cluster in which that istiod runs.
        reads: name of the cluster that it reads.
        kind: what for.
    """

    server: str
    reads: str
    kind: LinkKind = LinkKind.REMOTE

    @property
    def key(self) -> str:
        """Key in the Secret under which the kubeconfig stands."""
        return CONFIG_KEY if self.kind is LinkKind.CONFIG else self.reads

    def secret(self, namespace: str) -> Ref:
        """The Secret with the kubeconfig; `namespace` is that of the istiod."""
        name = CONFIG_SECRET if self.kind is LinkKind.CONFIG else f"{_REMOTE}{self.reads}"
        return Ref("v1", "Secret", namespace, name)

    def __str__(self) -> str:
        """`east → west`: the istiod of the first reads the second."""
        return f"{self.server} → {self.reads}"


def links_wanted(mesh: Mesh, others: Sequence[Mesh] = ()) -> tuple[Link, ...]:
    """The links that the istiods of a mesh need, by the clusters they run in.

    Every istiod reads every cluster with workloads, those that others serve too, as endpoints of a service
    may be anywhere; an external one reads its configuration by a Secret of its own kind.

    Args:
        mesh: whose istiods.
        others: meshes whose services they find as well.
    """
    places = [each for one in (mesh, *others) for each in one.clusters if each.role is not Role.EXTERNAL]
    links = []
    for server in mesh.clusters:
        if not server.has_istiod:
            continue
        own = mesh.known_as(server).name
        if server.role is Role.EXTERNAL and own != server.name:
            links.append(Link(server.name, own, LinkKind.CONFIG))
        links += [Link(server.name, each.name) for each in places if each.name != own]
    return tuple(links)


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when a token is valid; aware, UTC. `ends` is None for one that does not end by itself."""

    begins: datetime
    ends: datetime | None

    def left(self, now: datetime) -> float:
        """Share of its life that is left, 0 to 1; 1 for one that does not end."""
        if self.ends is None:
            return 1.0
        whole = (self.ends - self.begins).total_seconds()
        return min(1.0, max(0.0, (self.ends - now).total_seconds() / whole)) if whole > 0 else 0.0

    def is_due(self, now: datetime) -> bool:
        """Whether it should be renewed."""
        return self.left(now) < RENEWED_AT


def life_of(token: str) -> Life | None:
    """The life of a service account's token; None where it is no JSON Web Token that tells."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issued, ends = claims.get("iat", claims.get("nbf", 0)), claims.get("exp")
        return Life(_moment(issued), None if ends is None else _moment(ends))
    except (binascii.Error, ValueError, AttributeError, TypeError, OverflowError, OSError):
        return None


def tokens_in(kubeconfig: str) -> tuple[str, ...]:
    """The JSON Web Tokens in a kubeconfig, whoever wrote it."""
    return tuple(each for each in _TOKEN.findall(kubeconfig) if life_of(each))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
