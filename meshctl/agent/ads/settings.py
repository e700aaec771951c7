"""How a host gets its configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdsSettings:
    """Which istiods to ask, and how.

    Attributes:
        servers: `host:port` of istiods; each host may have several addresses, and all of them are tried.
        server_name: DNS name that istiod's certificate must have; empty is the host asked.
        cluster: name by which istiod knows the cluster that this workload belongs to; empty says none.
        headers: further metadata of each stream, name and value.
        names: whether to ask for the table of names, for DNS.
        trust: whether to ask for the roots that the mesh trusts.
        removable: type URLs of further extensions that may be left out where Envoy lacks them.
        connect_timeout: seconds until the next address is tried.
        first_wait: seconds up to which is waited, at random, after a failure; each further one doubles it.
        longest_wait: seconds up to which that grows.
        keepalive: seconds without a word from istiod after which it is asked whether it is there.
        keepalive_timeout: seconds that it may take to answer.
    """

    servers: tuple[str, ...] = ("istiod.istio-system.svc:15012",)
    server_name: str = ""
    cluster: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    names: bool = True
    trust: bool = True
    removable: tuple[str, ...] = ()
    connect_timeout: float = 5.0
    first_wait: float = 0.5
    longest_wait: float = 15.0
    keepalive: float = 30.0
    keepalive_timeout: float = 10.0
