"""What this host is: its name and its addresses."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NEW_LINK, _GET_LINK, _NEW_ADDRESS, _GET_ADDRESS, _DONE, _ERROR = 16, 18, 20, 22, 3, 2
_REQUEST_DUMP: Final = 0x301
_UP, _LOOPBACK = 0x1, 0x8
_IFLA_IFNAME, _IFA_ADDRESS, _IFA_LOCAL = 3, 1, 2
"""Numbers of rtnetlink(7) and netdevice(7)."""
_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class Interface:
    """A network interface.

    Attributes:
        name: such as `eth0`.
        used: whether it is up, and leads to other hosts.
        addresses: IPv4 first, each in its shortest form.
    """

    name: str
    used: bool
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """Facts of a host.

    Attributes:
        name: the first part of its host name.
        interfaces: all of them, in the kernel's order.
    """

    name: str
    interfaces: tuple[Interface, ...] = ()

    def addresses(self, without: Collection[str] = ()) -> tuple[str, ...]:
        """Addresses that others may reach it by, but for those of the interfaces named in `without`.

        Source: Istio's pilot/pkg/util/network; loopback and link-local ones are no use to others.
        """
        found = {
            address: None
            for interface in self.interfaces
            if interface.used and interface.name not in without
            for address in interface.addresses
            if _reachable(address)
        }
        return tuple(found)


def this_host() -> Host:
    """The host that this runs on; without interfaces where the kernel does not tell them."""
    name = socket.gethostname().partition(".")[0]
    try:
        return Host(name, _interfaces())
    except (OSError, ValueError, struct.error):
        return Host(name)


def _reachable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (
        address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    )


def _interfaces() -> tuple[Interface, ...]:
    links: dict[int, tuple[str, bool]] = {}
    addresses: dict[int, list[str]] = {}
    for kind, body in _dump(_GET_LINK):
        if kind == _NEW_LINK:
            _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
            name = _attributes(body, 16).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
            links[index] = (name, bool(flags & _UP and not flags & _LOOPBACK))
    for kind, body in _dump(_GET_ADDRESS):
        if kind == _NEW_ADDRESS:
            (index,) = struct.unpack_from("=4xI", body)
            said = _attributes(body, 8)
            if raw := said.get(_IFA_LOCAL) or said.get(_IFA_ADDRESS):
                addresses.setdefault(index, []).append(str(ipaddress.ip_address(raw)))
    return tuple(
        Interface(name, used, tuple(addresses.get(index, ())))
        for index, (name, used) in sorted(links.items())
    )


def _dump(wanted: int) -> Iterator[tuple[int, bytes]]:
    """All that the kernel answers to a request to list something: the kind of each message, and its body."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as door:
        door.settimeout(_PATIENCE)
        door.bind((0, 0))
        door.send(struct.pack("=IHHIIB3x", 20, wanted, _REQUEST_DUMP, 1, 0, socket.AF_UNSPEC))
        while True:
            answer = door.recv(1 << 16)
            at = 0
            while at + 16 <= len(answer):
                size, kind = struct.unpack_from("=IH", answer, at)
                if kind == _DONE:
                    return
                if kind == _ERROR or size < 16:
                    raise OSError("the kernel does not list its interfaces")
                yield kind, answer[at + 16 : at + size]
                at += size + 3 & ~3


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        if size < 4:
            break
        found[kind] = body[at + 4 : at + size]
        at += size + 3 & ~3
    return found
