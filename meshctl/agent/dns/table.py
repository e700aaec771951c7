"""The names of the mesh, as istiod tells them, and the addresses that each stands for.

A service of Kubernetes is known by its full name, by `<name>.<namespace>.svc`, by `<name>.<namespace>`, and
by `<name>` to workloads of its own namespace; any other host by its name alone. `*.example.com` stands for
all names below `example.com`, the longest such host first.

A client's resolver tries a name with its first search domain behind it before it tries the name itself.
Such a question is answered at once: by an alias (CNAME) of the name that was meant.

Source: Istio's pkg/dns/client; where this differs, tests/parity/test_agent_dns.py says how and why.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from meshctl.agent.dns import packets
from meshctl.agent.messages import NameTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.agent.dns.settings import DnsSettings

_KUBERNETES: Final = "Kubernetes"
_STAR: Final = b"\x01*"


class Addresses(NamedTuple):
    """What a name stands for, as records of a question's name, one behind another.

    Attributes:
        a: records of IPv4 addresses.
        aaaa: records of IPv6 addresses.
    """

    a: bytes
    aaaa: bytes


class Found(NamedTuple):
    """A name of the mesh.

    Attributes:
        addresses: of it.
        target: the name that was meant, where a search domain stood behind it; else empty.
    """

    addresses: Addresses
    target: bytes


class Table:
    """Names of the mesh; those of wildcard hosts without their star."""

    def __init__(self, exact: Mapping[bytes, Addresses], below: Mapping[bytes, Addresses]) -> None:
        """Names that stand for themselves, and domains all names below which stand for the same."""
        self._exact = exact
        self._below = below

    def __len__(self) -> int:
        """Names, of all kinds."""
        return len(self._exact) + len(self._below)

    def find(self, name: bytes, search: bytes) -> Found | None:
        """What the mesh knows of a name.

        Args:
            name: on the wire, in lower case.
            search: the first search domain of the host, likewise; empty without.
        """
        if addresses := self._exact.get(name):
            return Found(addresses, b"")
        meant = _without(name, search)
        if meant and (addresses := self._exact.get(meant)):
            return Found(addresses, meant)
        return self._wild(name, search, meant) if self._below else None

    def _wild(self, name: bytes, search: bytes, meant: bytes) -> Found | None:
        """The nearest wildcard host above a name, or above what was meant by it."""
        at = name[0] + 1
        while at < len(name) - 1:
            domain = name[at:]
            if addresses := self._below.get(domain):
                return Found(addresses, b"")
            short = _without(domain, search)
            if short and (addresses := self._below.get(short)):
                return Found(addresses, meant)
            at += name[at] + 1
        return None

    def data(self) -> dict[str, list[str]]:
        """All names with their addresses, as plain data, for debugging."""
        names = {_text(name): each for name, each in self._exact.items()}
        names |= {f"*.{_text(domain)}": each for domain, each in self._below.items()}
        return {name: list(_addresses(names[name])) for name in sorted(names)}


def read_table(message: bytes, settings: DnsSettings) -> Table:
    """The table that istiod sent; hosts that are no names, or have no address, are left out.

    Args:
        message: a NameTable, as it came.
        settings: whose namespace and domain say which services have short names.

    Raises:
        ValueError: it is no NameTable.
    """
    try:
        hosts = NameTable.FromString(message).table
    except DecodeError as error:
        raise ValueError(f"the name table cannot be read: {error}") from error
    domain = services_domain(settings)
    full: dict[bytes, Addresses] = {}
    others: dict[bytes, Addresses] = {}
    for host in sorted(hosts):
        addresses = _records(hosts[host].ips, settings.ttl)
        wire = packets.to_wire(host)
        if not wire or not addresses:
            continue
        full[wire] = addresses
        for other in _other_names(host, hosts[host], settings.namespace, domain):
            others.setdefault(other, addresses)
    return _told_apart({**others, **full})  # a host that bears a name goes before one that may also have it


def services_domain(settings: DnsSettings) -> str:
    """The domain under which services lie, without a namespace before it."""
    domain = settings.domain.lower().strip(".")
    return domain.removeprefix(f"{settings.namespace.lower()}.")


def _told_apart(names: dict[bytes, Addresses]) -> Table:
    """Wildcard hosts by what is behind their star; a star alone would be every name there is, and is none."""
    below = {name[2:]: each for name, each in names.items() if name.startswith(_STAR) and len(name) > 3}
    return Table({name: each for name, each in names.items() if not name.startswith(_STAR)}, below)


def _other_names(host: str, known: Any, own: str, domain: str) -> Iterator[bytes]:
    """Further names of a service of Kubernetes in `domain`, for a workload of the namespace `own`."""
    if known.registry != _KUBERNETES or not domain or not _lies_in(host, domain):
        return
    short, namespace = known.shortname, known.namespace
    names = [f"{short}.{namespace}", f"{short}.{namespace}.{domain.split('.')[0]}", *known.alt_hosts]
    if namespace == own:
        names.append(short)
    yield from filter(None, map(packets.to_wire, names))


def _lies_in(host: str, domain: str) -> bool:
    return host.lower().removesuffix(".").endswith(f".{domain}")


def _records(texts: Iterable[str], ttl: int) -> Addresses | None:
    """Each address once, in their order; None where there is none."""
    found = [each for each in dict.fromkeys(map(_packed, texts)) if each]
    if not found:
        return None
    four = tuple(each for each in found if len(each) == 4)
    six = tuple(each for each in found if len(each) == 16)
    return Addresses(packets.address_records(four, ttl), packets.address_records(six, ttl))


def _packed(text: str) -> bytes:
    """An address on the wire; empty for what is none."""
    address = text.partition("%")[0]
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):  # ValueError: a zero byte in it
        return b""


def _without(name: bytes, search: bytes) -> bytes:
    """A name without the search domain behind it; empty where that is not so, or is so twice."""
    if not search or len(name) <= len(search) or not name.endswith(search):
        return b""
    short = name[: -len(search)] + b"\0"
    return b"" if short.endswith(search) else short


def _text(name: bytes) -> str:
    labels, at = [], 0
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length].decode())
        at += length + 1
    return ".".join(labels)


def _addresses(known: Addresses) -> Iterator[str]:
    for records, family, kind in (
        (known.a, socket.AF_INET, packets.A),
        (known.aaaa, socket.AF_INET6, packets.AAAA),
    ):
        size = packets.record_size(kind)
        for end in range(size, len(records) + 1, size):
            yield socket.inet_ntop(family, records[end - (4 if kind == packets.A else 16) : end])
