"""What a host outside Kubernetes is told, so that it can be a workload of the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS: Final = "istio-ca"
"""The audience of tokens that istiod's authority takes, unless its values say another."""


@dataclass(frozen=True)
class ControlPlane:
    """What of a control plane is of interest to a host.

    Attributes:
        namespace: where istiod is.
        revision: empty for the unnamed one.
        mesh: the mesh configuration as its ConfigMap has it, without Istio's defaults.
        cluster: id of the cluster, by which istiod knows where a token is from.
        roots: certificates, PEM, that istiod is known by.
        audience: of tokens that its authority takes.
    """

    namespace: str
    revision: str
    mesh: Mapping[str, Any]
    cluster: str
    roots: str
    audience: str = TOKENS

    @property
    def host(self) -> str:
        """The name by which hosts ask istiod, which its certificate is for."""
        name = f"istiod-{self.revision}" if self.revision else "istiod"
        return f"{name}.{self.namespace}.svc"

    @property
    def address(self) -> str:
        """`host:port` of istiod."""
        return f"{self.host}:15012"


@dataclass(frozen=True)
class HostTerms:
    """What is said of one host, or of one group of hosts.

    Attributes:
        registers: whether istiod makes its WorkloadEntry when it connects.
        captures_dns: whether its DNS queries are answered by the agent.
        address: that other workloads reach it by; empty: the host finds its own.
        is_external: the address is translated on the way to the host, which does not have it itself.
        gateways: addresses at which istiod is reached from the host; none: its resolver knows.
        agent: the agent's own settings, as proxy.json has them under `agent`.
    """

    registers: bool = True
    captures_dns: bool = True
    address: str = ""
    is_external: bool = False
    gateways: tuple[str, ...] = ()
    agent: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Enrolment:
    """What a host has to know. It holds no secret: the token is asked for when its turn comes.

    Attributes:
        namespace: of the workload.
        account: the service account whose identity it has.
        audience: of the token by which it asks for its first certificate.
        environment: who it is, as shell variables.
        proxy: how its proxy works: Istio's ProxyConfig in protobuf's JSON form.
        agent: the agent's own settings.
        roots: certificates, PEM, that istiod is known by.
        names: lines of /etc/hosts by which the host finds istiod; possibly none.
    """

    namespace: str
    account: str
    audience: str
    environment: Mapping[str, str]
    proxy: Mapping[str, Any]
    agent: Mapping[str, Any]
    roots: str
    names: tuple[str, ...]
