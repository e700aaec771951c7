"""What is captured, checked and typed: nothing else of what an operator writes ever reaches a rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeVar

from meshctl.agent.capture.settings import FAMILIES, FLAVOURS, MODES, TRANSPARENT, VARIABLES, CaptureSettings
from meshctl.errors import ConfigError, ProblemsError, Where, listed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Owner = int | str
"""A user or a group: its number or its name."""
T = TypeVar("T")

MOST_OWNERS: Final = 64
"""Users, or groups, to capture alone: they stand in one rule, which the kernel limits."""

_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_NETWORK: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?", re.ASCII)
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\+?", re.ASCII)
_INTERFACE_LONGEST: Final = 15  # the kernel's IFNAMSIZ, less its end
_OWNER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\\-]{0,254}\$?", re.ASCII)
_OWNER_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """`CaptureSettings` with types; where a list may be everything, None is that."""

    redirect: bool
    flavour: str
    ipv6: str
    dual_stack: bool
    address: Address | None
    user: Owner
    outbound_port: int
    inbound_port: int
    tunnel_port: int
    inbound_ports: tuple[int, ...] | None
    inbound_ports_exclude: tuple[int, ...]
    outbound_ports: tuple[int, ...]
    outbound_ports_exclude: tuple[int, ...]
    outbound_networks: tuple[Network, ...] | None
    outbound_networks_exclude: tuple[Network, ...]
    interfaces_exclude: tuple[str, ...]
    interfaces_reroute: tuple[str, ...]
    users: tuple[Owner, ...] | None
    users_exclude: tuple[Owner, ...]
    groups: tuple[Owner, ...] | None
    groups_exclude: tuple[Owner, ...]
    loopback: IPv4Network
    dns: bool
    dns_all: bool
    dns_port: int
    dns_servers: tuple[Address, ...]
    drop_invalid: bool
    ssh_ports: tuple[int, ...]
    peers: tuple[Network, ...]


def options(settings: CaptureSettings, where: Callable[[str], Where | None] = lambda _: None) -> Options:
    """The options that settings mean.

    Args:
        settings: as they were written.
        where: the place that sets a field, for errors.

    Raises:
        ProblemsError: each value that is wrong, all at once.
    """
    read = _Reader(settings, where)
    made = Options(
        redirect=read.word("mode", MODES, TRANSPARENT) == "redirect",
        flavour=read.word("flavour", FLAVOURS),
        ipv6=read.word("ipv6", FAMILIES),
        dual_stack=settings.dual_stack,
        address=read.one("address", lambda text: _address(text) if text else None),
        user=read.one("user", _owner) or 0,
        outbound_port=read.one("outbound_port", _port) or 0,
        inbound_port=read.one("inbound_port", _port) or 0,
        tunnel_port=read.one("tunnel_port", _port) or 0,
        inbound_ports=read.several_or_all("inbound_ports", _port),
        inbound_ports_exclude=read.several("inbound_ports_exclude", _port),
        outbound_ports=read.several("outbound_ports", _port),
        outbound_ports_exclude=read.several("outbound_ports_exclude", _port),
        outbound_networks=read.several_or_all("outbound_networks", _network),
        outbound_networks_exclude=read.several("outbound_networks_exclude", _network),
        interfaces_exclude=read.several("interfaces_exclude", _interface),
        interfaces_reroute=read.several("interfaces_reroute", _interface),
        users=read.several_or_all("users", _owner),
        users_exclude=read.several("users_exclude", _owner),
        groups=read.several_or_all("groups", _owner),
        groups_exclude=read.several("groups_exclude", _owner),
        loopback=read.one("loopback", _loopback) or IPv4Network("127.0.0.1/32"),
        dns=settings.dns,
        dns_all=settings.dns_all,
        dns_port=read.one("dns_port", _port) or 0,
        dns_servers=read.several("dns_servers", _address),
        drop_invalid=settings.drop_invalid,
        ssh_ports=read.several("ssh_ports", _port),
        peers=read.several("peers", _network),
    )
    read.settle()
    return made


class _Reader:
    """Reads fields, and gathers what is wrong with them."""

    def __init__(self, settings: CaptureSettings, where: Callable[[str], Where | None]) -> None:
        self.settings = settings
        self.where = where
        self.problems: list[ConfigError] = []

    def settle(self) -> None:
        """Go on when nothing is wrong."""
        if self.problems:
            raise ProblemsError(self.problems)

    def one(self, name: str, read: Callable[[str], T]) -> T | None:
        """The value of a field; None when it is wrong."""
        return self._value(name, getattr(self.settings, name), read)

    def _value(self, name: str, said: object, read: Callable[[str], T]) -> T | None:
        try:
            return read(str(said))
        except ValueError as error:
            self._wrong(name, str(error))
            return None

    def word(self, name: str, known: tuple[str, ...], hint: str = "") -> str:
        """One of the words that are known."""
        said = str(getattr(self.settings, name))
        if said not in known:
            self._wrong(name, f"{said!r} is none of {listed(known)}", hint)
        return said

    def several(self, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """The values of a list, each once."""
        found = [self._value(name, said, read) for said in getattr(self.settings, name)]
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def several_or_all(self, name: str, read: Callable[[str], T]) -> tuple[T, ...] | None:
        """The values of a list, or None for `*`."""
        if tuple(getattr(self.settings, name)) == ("*",):
            return None
        found = self.several(name, read)
        if read is _owner and len(found) > MOST_OWNERS:
            self._wrong(name, f"{len(found)} are too many to be captured alone", f"name up to {MOST_OWNERS}")
        return found

    def _wrong(self, name: str, message: str, hint: str = "") -> None:
        place = self.where(name) or Where("capture", path=name)
        self.problems.append(ConfigError("capture-invalid", message, where=place, hint=hint or _set_by(name)))


def _set_by(name: str) -> str:
    """Where an operator sets a field."""
    first, *rest = name.split("_")
    key = "".join((first, *(word.title() for word in rest)))
    variables = [f"{variable} in cluster.env" for variable in VARIABLES.get(name, ())[:1]]
    return f"it is set by {' or '.join((*variables, f'agent.capture.{key} in proxy.json'))}"


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def _address(text: str) -> Address:
    if not _NETWORK.fullmatch(text) or "/" in text:
        raise ValueError(f"{text!r} is no address")
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address") from None


def _network(text: str) -> Network:
    if text == "*":
        raise ValueError("'*' stands alone, or not at all")
    if not _NETWORK.fullmatch(text):
        raise ValueError(f"{text!r} is no network such as 10.0.0.0/8")
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network such as 10.0.0.0/8") from None


def _loopback(text: str) -> IPv4Network:
    found = _network(text)
    if not isinstance(found, IPv4Network) or not found.network_address.is_loopback or found.prefixlen < 8:
        raise ValueError(f"{text!r} is no network in 127.0.0.0/8")
    return found


def _interface(text: str) -> str:
    if not _INTERFACE.fullmatch(text) or len(text) > _INTERFACE_LONGEST:
        raise ValueError(f"{text!r} is no name of an interface")
    return text


def _owner(text: str) -> Owner:
    if _OWNER_NUMBER.fullmatch(text):
        if int(text) >= 2**32 - 1:  # the last one stands for none
            raise ValueError(f"{text} is no number of a user or group")
        return int(text)
    if not _OWNER.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a user or group")
    return text
