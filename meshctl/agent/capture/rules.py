"""The rules that capture a host's traffic, whatever tool puts them in place. Pure.

    nat     PREROUTING   what comes to this host goes to Envoy's inbound port
            OUTPUT       what this host sends goes to Envoy's outbound port, questions to DNS to the agent
    raw     OUTPUT       questions to DNS that are redirected are tracked apart from those of the agent
                         itself, which may have the same addresses and ports
    mangle  PREROUTING   what fits no connection is dropped, where that is wanted

The first rule that matches decides. What opens no connection is never redirected: connections from before,
such as the SSH session that put the rules there, go on as they were.

Source: which traffic Istio captures is said by its tools/istio-iptables; tests/parity/test_capture.py lists
where we differ, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshctl.agent.capture.options import Address, Network, Options

DNS: Final = 53
ZONE: Final = 2
"""Of connection tracking, for questions to DNS on their way to the agent. Source: Istio uses the same."""


@dataclass(frozen=True, slots=True)
class Return:
    """Not ours: the host's other rules decide."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The packet is gone."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """To a port of this host."""

    port: int


@dataclass(frozen=True, slots=True)
class Zone:
    """Tracked in a zone of its own."""

    number: int


Action = Return | Drop | Redirect | Zone


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a packet to which all of this applies.

    Attributes:
        action: that is taken.
        protocol: `tcp`, `udp`, or empty for any; needed by ports and by Redirect.
        source, destination: networks that it is from, or for.
        not_destination: a network that it is not for.
        sport, dport: ports.
        not_dports: ports that it is not for.
        input, output: interface that it comes by, or goes by; with `+` at the end all that begin so.
        uid, gid: who sent it, from this host.
        not_uids, not_gids: who did not.
        not_opening: it is of TCP and opens no connection.
        not_local: it is for another host.
        invalid: it fits no connection.
    """

    action: Action
    protocol: str = ""
    source: Network | None = None
    destination: Network | None = None
    not_destination: Network | None = None
    sport: int | None = None
    dport: int | None = None
    not_dports: tuple[int, ...] = ()
    input: str = ""
    output: str = ""
    uid: int | None = None
    gid: int | None = None
    not_uids: tuple[int, ...] = ()
    not_gids: tuple[int, ...] = ()
    not_opening: bool = False
    not_local: bool = False
    invalid: bool = False


def is_said(value: object) -> bool:
    """Whether a rule asks for this: also for user 0, or group 0."""
    return value is not None and value is not False and value != ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules where packets pass.

    Attributes:
        hook: `PREROUTING` or `OUTPUT`.
        rules: in order.
        protocol: of the packets that it sees; empty is any.
    """

    hook: str
    rules: tuple[Rule, ...]
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Chains of one family, 4 or 6, in one of the kernel's tables: `nat`, `raw`, `mangle`."""

    family: int
    name: str
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """What the rules need to know of a host.

    Attributes:
        uids, gids: of the agent and of Envoy.
        users, groups: whose traffic is captured; None is everybody's.
        users_exclude, groups_exclude: whose is not.
        resolvers: that its programs ask.
        ssh_ports: where it is managed.
        peers: from where it is.
        ipv6: whether IPv6 is captured, too.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    users: tuple[int, ...] | None = None
    users_exclude: tuple[int, ...] = ()
    groups: tuple[int, ...] | None = None
    groups_exclude: tuple[int, ...] = ()
    resolvers: tuple[Address, ...] = ()
    ssh_ports: tuple[int, ...] = (22,)
    peers: tuple[Network, ...] = ()
    ipv6: bool = False


def tables(options: Options, host: Host) -> tuple[Table, ...]:
    """The tables to have, in the order to make them: what redirects comes last.

    Of `options`, what `host` has resolved (owners, resolvers, SSH ports, peers, families) is not looked at.
    """
    if not options.redirect:
        return ()
    families = (4, 6) if host.ipv6 else (4,)
    made = [_Family(options, host, family).tables() for family in families]
    order = ("raw", "mangle", "nat")
    return tuple(table for name in order for each in made for table in each if table.name == name)


class _Family:
    """The tables of one family."""

    def __init__(self, options: Options, host: Host, family: int) -> None:
        self.options = options
        self.host = host
        self.family = family
        self.loopback: Network = options.loopback if family == 4 else IPv6Network("::1/128")
        # Envoy brings inbound connections to the application from this address; Istio's API says so.
        self.passthrough: Network = IPv4Network("127.0.0.6/32") if family == 4 else IPv6Network("::6/128")

    def tables(self) -> list[Table]:
        found = []
        if questions := self._questions("udp", Zone(ZONE)):
            found.append(Table(self.family, "raw", (Chain("OUTPUT", self._zoned(questions), "udp"),)))
        if self.options.drop_invalid:
            found.append(Table(self.family, "mangle", (Chain("PREROUTING", self._dropped(), "tcp"),)))
        chains = [Chain("PREROUTING", rules, "tcp")] if (rules := self._inbound()) else []
        # Without a chain at OUTPUT, the kernel would show this host's calls to itself to PREROUTING.
        found.append(Table(self.family, "nat", (*chains, Chain("OUTPUT", self._outbound()))))
        return found

    def _inbound(self) -> tuple[Rule, ...]:
        options = self.options
        leave = Rule(Return())
        captured = [
            *(rule for name in options.interfaces_reroute for rule in self._rerouted(name)),
            *self._inbound_ports(),
        ]
        if not captured:
            return ()
        return (
            replace(leave, protocol="tcp", not_opening=True),
            *(replace(leave, input=name) for name in options.interfaces_exclude),
            *self._managed(),
            *captured,
        )

    def _inbound_ports(self) -> list[Rule]:
        options = self.options
        capture = Rule(Redirect(options.inbound_port), "tcp")
        if options.inbound_ports is None:
            captured = [capture]
        else:
            captured = [replace(capture, dport=port) for port in options.inbound_ports]
        if not captured:
            return []
        left = dict.fromkeys((options.tunnel_port, *options.inbound_ports_exclude))
        return [
            Rule(Return(), not_local=True),  # it only passes through, as that of containers does
            *(Rule(Return(), "tcp", dport=port) for port in left),
            *captured,
        ]

    def _rerouted(self, name: str) -> list[Rule]:
        """What comes by an interface whose traffic counts as outbound."""
        capture = Rule(Redirect(self.options.outbound_port), "tcp", input=name)
        return [*self._to_networks(capture), Rule(Return(), input=name)]

    def _managed(self) -> list[Rule]:
        """What an operator reaches this host by."""
        return [
            *(Rule(Return(), "tcp", dport=port) for port in self.host.ssh_ports),
            *(Rule(Return(), "tcp", source=peer) for peer in self._mine(self.host.peers)),
        ]

    def _outbound(self) -> tuple[Rule, ...]:
        options = self.options
        leave = Rule(Return())
        capture = Rule(Redirect(options.outbound_port), "tcp")
        return (
            replace(leave, protocol="tcp", not_opening=True),
            *self._interfaces(),
            *(replace(leave, protocol="tcp", destination=peer) for peer in self._mine(self.host.peers)),
            *(
                replace(leave, protocol=protocol, dport=port)
                for port in options.outbound_ports_exclude
                for protocol in ("tcp", "udp")
            ),
            replace(leave, source=self.passthrough, output="lo"),
            *self._to_itself(),
            *self._proxies(leave),
            *self._owners(),
            *self._questions("tcp", Redirect(options.dns_port)),
            *self._questions("udp", Redirect(options.dns_port)),
            *(() if self._wants_loopback() else (replace(leave, output="lo"),)),
            replace(leave, destination=self.loopback),
            *(
                replace(leave, destination=network)
                for network in self._mine(options.outbound_networks_exclude)
            ),
            *(replace(capture, dport=port) for port in options.outbound_ports),
            *self._to_networks(capture),
        )

    def _interfaces(self) -> list[Rule]:
        return [Rule(Return(), output=name) for name in self.options.interfaces_exclude]

    def _to_itself(self) -> list[Rule]:
        """Calls of an application to its own service: Envoy chose this host, and comes in as others do."""
        dns = (DNS,) if self._captures_dns() else ()
        call = Rule(
            Redirect(self.options.inbound_port),
            "tcp",
            not_destination=self.loopback,
            not_dports=(*dns, self.options.tunnel_port),
            output="lo",
        )
        return self._proxies(call)

    def _proxies(self, rule: Rule) -> list[Rule]:
        """A rule for what the agent and Envoy send."""
        return [
            *(replace(rule, uid=uid) for uid in self.host.uids),
            *(replace(rule, gid=gid) for gid in self.host.gids),
        ]

    def _owners(self) -> list[Rule]:
        host = self.host
        rules = []
        if host.users is None:
            rules += [Rule(Return(), uid=uid) for uid in host.users_exclude]
        else:
            rules.append(Rule(Return(), not_uids=host.users))
        if host.groups is None:
            rules += [Rule(Return(), gid=gid) for gid in host.groups_exclude]
        else:
            rules.append(Rule(Return(), not_gids=host.groups))
        return rules

    def _captures_dns(self) -> bool:
        return self.options.dns and (self.options.dns_all or bool(self.host.resolvers))

    def _questions(self, protocol: str, action: Action) -> list[Rule]:
        """A rule for the questions that the agent is to answer, those of exempted owners apart."""
        if not self._captures_dns() or DNS in self.options.outbound_ports_exclude:
            return []
        question = Rule(action, protocol, dport=DNS)
        if self.options.dns_all:
            return [question]
        width = 32 if self.family == 4 else 128
        made = IPv4Network if self.family == 4 else IPv6Network
        return [
            replace(question, destination=made((int(each), width)))
            for each in self.host.resolvers
            if each.version == self.family
        ]

    def _zoned(self, questions: list[Rule]) -> tuple[Rule, ...]:
        """The questions that are redirected, and the agent's answers to them; all else is tracked as ever."""
        return (
            *self._proxies(Rule(Zone(ZONE), "udp", sport=self.options.dns_port)),
            *self._interfaces(),
            *self._proxies(Rule(Return())),
            *self._owners(),
            *questions,
        )

    def _dropped(self) -> tuple[Rule, ...]:
        interfaces = (Rule(Return(), input=name) for name in self.options.interfaces_exclude)
        return (
            *interfaces,
            *self._managed(),
            Rule(Return(), not_local=True),
            Rule(Drop(), "tcp", invalid=True),
        )

    def _wants_loopback(self) -> bool:
        return any(each.network_address.is_loopback for each in self.options.outbound_networks or ())

    def _to_networks(self, capture: Rule) -> list[Rule]:
        if self.options.outbound_networks is None:
            return [capture]
        return [replace(capture, destination=each) for each in self._mine(self.options.outbound_networks)]

    def _mine(self, networks: tuple[Network, ...]) -> list[Network]:
        return [each for each in networks if each.version == self.family]
