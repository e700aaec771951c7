"""What an operator may set of the agent's DNS server."""

from __future__ import annotations

from dataclasses import dataclass

from meshctl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How names are answered; times are in seconds.

    Attributes:
        enabled: whether the server runs (`ISTIO_META_DNS_CAPTURE`); off, no port is opened.
        namespace: of this workload; its services are known by their names alone.
        domain: under which services lie, such as `svc.cluster.local`; a leading `<namespace>.` is taken off.
        port: of 127.0.0.1 and ::1, for UDP and TCP.
        ttl: how long an answer of the mesh may be kept by who asked.
        resolv_conf: file of the host's own resolvers; read again when it changes.
        servers: resolvers to ask in place of that file's: addresses, with a port or without (`[::1]:5353`).
        search: domains that clients append, in place of that file's; the first one counts.
        all_captured: whether all questions of this host are captured, whomever they ask (`CAPTURE_ALL_DNS`);
            systemd-resolved is then passed over, as what it asks would come back here.
        timeout: for a forwarded question, whichever resolvers are asked (`DNS_FORWARD_TIMEOUT`).
        retry: until the next resolver is asked as well.
        parallel: ask all resolvers at once, and take the first that answers (`DNS_FORWARD_PARALLEL`).
        patience: after the start, how long questions that only the mesh can answer wait for its names.
        forwarded: questions that wait for resolvers at once; more are answered as failed.
        connections: TCP clients at once; more are closed.
        idle: until a TCP client that asks nothing is closed.
    """

    enabled: bool
    namespace: str
    domain: str
    port: int = 15053
    ttl: int = 30
    resolv_conf: str = "/etc/resolv.conf"
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    all_captured: bool = False
    timeout: float = 5.0
    retry: float = 1.0
    parallel: bool = False
    patience: float = 5.0
    forwarded: int = 256
    connections: int = 128
    idle: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: a time or a number is too small; a resolver is no address; a domain is no name.
        """
        for name in ("timeout", "retry", "idle", "forwarded", "connections"):
            if getattr(self, name) <= 0:
                raise ConfigError("bad-dns-setting", f"{name!r} of dns has to be above 0")
        for name in ("ttl", "patience"):
            if not 0 <= getattr(self, name) < 2**31:
                raise ConfigError("bad-dns-setting", f"{name!r} of dns has to be 0 or above")
        if self.servers or self.search:
            from meshctl.agent.dns.resolvers import check  # which needs sockets, and few set these

            check(self)
