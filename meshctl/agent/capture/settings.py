"""Which traffic of a host goes through Envoy, as an operator writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from meshctl.errors import ConfigError, ProblemsError, Where, listed

MODES: Final = ("redirect", "none")
FLAVOURS: Final = ("auto", "iptables-nft", "iptables-legacy", "nftables")
FAMILIES: Final = ("auto", "on", "off")
TRANSPARENT: Final = "TPROXY needs a proxy with privileges, which ours has not: take REDIRECT or NONE"


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is redirected, and what never is; `options.options` checks it and gives it types.

    In a list, `*` alone is everything. Ports are numbers; networks are CIDRs or addresses; an interface that
    ends in `+` is all that begin so; users and groups are names or numbers.

    Attributes:
        mode: one of `MODES`; with `none` nothing is captured, for hosts that name the proxy themselves.
        flavour: one of `FLAVOURS`; `auto` takes what the host uses.
        ipv6: one of `FAMILIES`: whether IPv6 is captured; `auto` where Envoy listens on it: in a dual stack,
            and where the workload's address is one.
        dual_stack: whether the mesh has both families.
        address: the workload's own, empty for the host's first.
        user: account of the agent and of Envoy, whose traffic goes out as it is.
        outbound_port: where Envoy takes outbound connections.
        inbound_port: where Envoy takes inbound connections.
        tunnel_port: where Envoy takes tunnels itself.
        inbound_ports: of this host that are captured.
        inbound_ports_exclude: of this host that are not, whatever the others say.
        outbound_ports: that are captured at any address that is not excluded.
        outbound_ports_exclude: that are not, at any address.
        outbound_networks: that are captured at any port.
        outbound_networks_exclude: that are not.
        interfaces_exclude: whose traffic is left alone both ways.
        interfaces_reroute: from which traffic counts as outbound, as those of virtual machines on this host.
        users: whose traffic is captured.
        users_exclude: whose is not, when all others' is.
        groups: whose traffic is captured; a process' own group counts.
        groups_exclude: whose is not, when all others' is.
        loopback: addresses of this host, for itself, that are never captured.
        dns: whether questions to the host's resolvers go to the agent.
        dns_all: whether questions to any resolver do.
        dns_port: where the agent answers them.
        dns_servers: the host's resolvers, instead of those in resolv.conf.
        drop_invalid: drop packets to this host that fit no connection, which would otherwise be reset.
        ssh_ports: that are never captured, beside 22 and those that sshd listens on.
        peers: addresses from which this host is managed, whose TCP is never captured.
    """

    mode: str = "redirect"
    flavour: str = "auto"
    ipv6: str = "auto"
    dual_stack: bool = False
    address: str = ""
    user: str = "meshctl-agent"
    outbound_port: int = 15001
    inbound_port: int = 15006
    tunnel_port: int = 15008
    inbound_ports: tuple[str, ...] = ("*",)
    inbound_ports_exclude: tuple[str, ...] = ("15020", "15021", "15090")
    outbound_ports: tuple[str, ...] = ()
    outbound_ports_exclude: tuple[str, ...] = ()
    outbound_networks: tuple[str, ...] = ("*",)
    outbound_networks_exclude: tuple[str, ...] = ()
    interfaces_exclude: tuple[str, ...] = ()
    interfaces_reroute: tuple[str, ...] = ()
    users: tuple[str, ...] = ("*",)
    users_exclude: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("*",)
    groups_exclude: tuple[str, ...] = ()
    loopback: str = "127.0.0.1/32"
    dns: bool = False
    dns_all: bool = False
    dns_port: int = 15053
    dns_servers: tuple[str, ...] = ()
    drop_invalid: bool = False
    ssh_ports: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()


VARIABLES: Final = {
    "mode": ("ISTIO_INBOUND_INTERCEPTION_MODE",),
    "flavour": ("FORCE_IPTABLES_BINARY",),
    "dual_stack": ("ISTIO_DUAL_STACK", "DUAL_STACK"),
    "address": ("ISTIO_SVC_IP",),
    "outbound_port": ("ENVOY_PORT",),
    "inbound_port": ("INBOUND_CAPTURE_PORT",),
    "tunnel_port": ("INBOUND_TUNNEL_PORT",),
    "inbound_ports": ("ISTIO_INBOUND_PORTS",),
    "inbound_ports_exclude": ("ISTIO_LOCAL_EXCLUDE_PORTS",),
    "outbound_ports": ("ISTIO_OUTBOUND_PORTS",),
    "outbound_ports_exclude": ("ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",),
    "outbound_networks": ("ISTIO_SERVICE_CIDR",),
    "outbound_networks_exclude": ("ISTIO_SERVICE_EXCLUDE_CIDR",),
    "interfaces_exclude": ("ISTIO_EXCLUDE_INTERFACES",),
    "interfaces_reroute": ("KUBE_VIRT_INTERFACES",),
    "groups": ("ISTIO_OUTBOUND_OWNER_GROUPS",),
    "groups_exclude": ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",),
    "loopback": ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR",),
    "dns": ("ISTIO_META_DNS_CAPTURE", "REDIRECT_DNS"),
    "dns_all": ("CAPTURE_ALL_DNS",),
    "drop_invalid": ("INVALID_DROP", "DROP_INVALID"),
}
"""Variables of cluster.env that set a field, by the first that is there. Source: Istio's istio-iptables."""


def from_variables(
    environment: Mapping[str, str], where: Callable[[str], Where | None] = lambda _: None
) -> dict[str, Any]:
    """Fields of `CaptureSettings` that cluster.env sets.

    Args:
        environment: its variables.
        where: the place that sets a variable, for errors.

    Raises:
        ProblemsError: each value that is none.
    """
    values: dict[str, Any] = {}
    problems: list[ConfigError] = []
    for name, variables in (*VARIABLES.items(), *((each, (each,)) for each in _SWITCHES)):
        variable = next((each for each in variables if each in environment), "")
        if not variable:
            continue
        said = environment[variable].strip()
        if reason := _fault(name, said):
            hint = _HINTS.get(name, "")
            problems.append(ConfigError("wrong-type", reason, where=where(variable), hint=hint))
        else:
            values.update(_read(name, said))
    if problems:
        raise ProblemsError(problems)
    return values


_SWITCHES: Final[dict[str, dict[str, Any]]] = {
    "NATIVE_NFTABLES": {"flavour": "nftables"},
    "ISTIO_CUSTOM_IP_TABLES": {"mode": "none"},
}
"""Variables that, when true, mean a value."""
_WORDS: Final = {
    "mode": {"": "redirect", "REDIRECT": "redirect", "NONE": "none"},
    "flavour": {"": "auto", "nft": "iptables-nft", "legacy": "iptables-legacy"},
}
_HINTS: Final = {"mode": TRANSPARENT}
_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
_FALSE: Final = ("", "0", "f", "F", "false", "FALSE", "False")
_DEFAULTS: Final = {field.name: field.default for field in fields(CaptureSettings)}


def _fault(name: str, text: str) -> str:
    """What is wrong with a variable's text; empty when nothing is."""
    default = _DEFAULTS.get(name, False)
    if name in _WORDS:
        known = (repr(word) for word in _WORDS[name] if word)
        return "" if text in _WORDS[name] else f"{text!r} is none of {listed(known)}"
    if isinstance(default, bool):
        return "" if text in (*_TRUE, *_FALSE) else f"there has to be true or false, not {text!r}"
    if isinstance(default, int) and text and not (text.isascii() and text.isdigit() and len(text) <= 5):
        return f"{text!r} is no port"
    return ""


def _read(name: str, text: str) -> dict[str, Any]:
    """The fields that a variable's text sets; that of a single value sets none when it is empty."""
    if name in _SWITCHES:
        return _SWITCHES[name] if text in _TRUE else {}
    default = _DEFAULTS[name]
    if name in _WORDS:
        return {name: _WORDS[name][text]}
    if isinstance(default, bool):
        return {name: text in _TRUE}
    if isinstance(default, tuple):
        return {name: tuple(part.strip() for part in text.split(",") if part.strip())}
    return {name: int(text) if isinstance(default, int) else text} if text else {}
