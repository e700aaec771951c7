"""What is asked of the kernel itself: its tables of rules, addresses, which boot this is, and its clock.

iptables on nftables makes the kernel's tables and built-in chains when it first needs them, and has no way to
delete the tables again. The kernel has, and takes care that nobody else has touched them meanwhile.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.errors import FailedError

if TYPE_CHECKING:
    from meshctl.agent.capture.options import Address

# linux/netlink.h
_REQUEST, _ACK, _DUMP, _CREATE, _EXCLUSIVE = 0x1, 0x4, 0x300, 0x400, 0x200
_NETFILTER: Final = 12
_ERROR, _DONE = 2, 3
_NESTED: Final = 0x8000
# linux/netfilter/nfnetlink.h and nf_tables.h
_BEGIN, _END = 16, 17
_NFTABLES: Final = 10
_GET_TABLE, _DELETE_TABLE, _GET_CHAIN, _DELETE_CHAIN, _NEW_GENERATION, _GET_GENERATION = 1, 2, 4, 5, 15, 16
_ACCEPT: Final = 1
# linux/rtnetlink.h and if_addr.h
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_ADDRESS, _LOCAL = 1, 2
_NO_DUPLICATES: Final = 0x02
_LOOPBACK: Final = 1  # the index of `lo` in every network namespace

_FAMILIES: Final[dict[int, str]] = {socket.AF_INET: "ip", socket.AF_INET6: "ip6"}
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of nftables.

    Attributes:
        family: `ip` or `ip6`.
        table: that it is in.
        name: of the chain.
        idle: it is where packets pass, has no rule, and lets all through.
    """

    family: str
    table: str
    name: str
    idle: bool

    @property
    def said(self) -> str:
        """All of its name: `ip nat OUTPUT`."""
        return f"{self.family} {self.table} {self.name}"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What nftables has for IP.

    Attributes:
        generation: number of the kernel's last change to it.
        tables: family and name, and how many things each has.
        chains: those of them.
    """

    generation: int = 0
    tables: dict[tuple[str, str], int] = field(default_factory=dict)
    chains: tuple[Chain, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Its tables and chains, as `ip nat` and `ip nat OUTPUT`."""
        return (*sorted(" ".join(each) for each in self.tables), *sorted(chain.said for chain in self.chains))


def origin() -> str:
    """Which boot and network namespace this is: rules of another one are not here."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/net').readlink()}"


def uptime() -> float:
    """Seconds since this host's boot, those asleep too; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def ruleset() -> Ruleset:
    """What nftables has; nothing where the kernel has no nftables.

    Raises:
        FailedError: the kernel does not tell, as to who is not root.
    """
    try:
        with _opened(_NETFILTER) as kernel:
            generation = _generation(kernel)
            tables = dict(_tables(kernel))
            return Ruleset(generation, tables, tuple(_chains(kernel)))
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP):
            return Ruleset()
        raise FailedError(
            "netlink-failed", f"the kernel does not tell its rules: {error.strerror}"
        ) from error


def delete_idle(tables: Collection[str], before: Collection[str]) -> None:
    """Delete what iptables has made of some tables and nobody uses.

    Args:
        tables: `nat`, `raw`, `mangle`; others are not touched.
        before: names, as of `Ruleset.names`, that were there before and stay.

    Raises:
        FailedError: others change the rules all the time, or the kernel refuses.
    """
    for _ in range(_TRIES):
        now = ruleset()
        chains = [
            chain for chain in now.chains if chain.idle and chain.table in tables and chain.said not in before
        ]
        emptied = [
            each
            for each, uses in now.tables.items()
            if each[1] in tables
            and " ".join(each) not in before
            and uses == sum((chain.family, chain.table) == each for chain in chains)
        ]
        if not chains and not emptied:
            return
        if _delete(chains, emptied, now.generation):
            return
    raise FailedError("netlink-failed", "tables that iptables has made cannot be deleted: others change them")


def _delete(chains: Collection[Chain], tables: Collection[tuple[str, str]], generation: int) -> bool:
    """Delete chains and tables, all or none; false when something has changed since `generation`."""
    numbers = {name: number for number, name in _FAMILIES.items()}
    batch = [_message(_BEGIN, _REQUEST, _nfgen(0, _NFTABLES) + _attribute(1, struct.pack(">I", generation)))]
    for chain in chains:
        body = _attribute(1, _text(chain.table)) + _attribute(3, _text(chain.name))
        kind = _NFTABLES << 8 | _DELETE_CHAIN
        batch.append(_message(kind, _REQUEST | _ACK, _nfgen(numbers[chain.family]) + body))
    for family, table in tables:
        kind = _NFTABLES << 8 | _DELETE_TABLE
        body = _attribute(1, _text(table))
        batch.append(_message(kind, _REQUEST | _ACK, _nfgen(numbers[family]) + body))
    batch.append(_message(_END, _REQUEST, _nfgen(0, _NFTABLES)))
    try:
        with _opened(_NETFILTER) as kernel:
            kernel.send(b"".join(batch))
            _acknowledged(kernel, len(chains) + len(tables))
    except OSError as error:
        # 85 is ERESTART, which Python has a name for on some systems only.
        if error.errno in (85, errno.EBUSY, errno.ENOENT):
            return False
        raise FailedError("netlink-failed", f"the kernel does not delete: {error.strerror}") from error
    return True


def addresses() -> tuple[tuple[int, Address], ...]:
    """This host's addresses, each with the index of its interface, in the kernel's order."""
    with _opened(socket.NETLINK_ROUTE) as kernel:
        kernel.send(_message(_GET_ADDRESS, _REQUEST | _DUMP, struct.pack("=BBBBI", 0, 0, 0, 0, 0)))
        found = []
        for body in _answers(kernel):
            _, _, _, _, index = struct.unpack_from("=BBBBI", body)
            parts = dict(_attributes(body[8:]))
            if raw := parts.get(_LOCAL) or parts.get(_ADDRESS):
                found.append((index, ip_address(raw)))
        return tuple(found)


def add_to_loopback(address: Address) -> bool:
    """Give `lo` an address; false when it has it already.

    Raises:
        FailedError: the kernel refuses.
    """
    return _loopback(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, address, errno.EEXIST)


def remove_from_loopback(address: Address) -> bool:
    """Take an address from `lo`; false when it has none such.

    Raises:
        FailedError: the kernel refuses.
    """
    return _loopback(_DELETE_ADDRESS, 0, address, errno.EADDRNOTAVAIL)


def _loopback(kind: int, flags: int, address: Address, done: int) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    head = struct.pack("=BBBBI", family, address.max_prefixlen, _NO_DUPLICATES, 0, _LOOPBACK)
    body = head + _attribute(_LOCAL, address.packed) + _attribute(_ADDRESS, address.packed)
    try:
        with _opened(socket.NETLINK_ROUTE) as kernel:
            kernel.send(_message(kind, _REQUEST | _ACK | flags, body))
            _acknowledged(kernel, 1)
    except OSError as error:
        if error.errno == done:
            return False
        message = f"the loopback interface cannot have {address}: {error.strerror}"
        raise FailedError("netlink-failed", message) from error
    return True


def _generation(kernel: socket.socket) -> int:
    kernel.send(_message(_NFTABLES << 8 | _GET_GENERATION, _REQUEST, _nfgen(0)))
    for kind, body in _parts(kernel.recv(65536)):
        if kind == _NFTABLES << 8 | _NEW_GENERATION:
            return _number(dict(_attributes(body[4:])).get(1, b""))
    return 0


def _tables(kernel: socket.socket) -> Iterator[tuple[tuple[str, str], int]]:
    kernel.send(_message(_NFTABLES << 8 | _GET_TABLE, _REQUEST | _DUMP, _nfgen(0)))
    for body in _answers(kernel):
        parts = dict(_attributes(body[4:]))
        if family := _FAMILIES.get(body[0]):
            yield (family, _name(parts[1])), _number(parts.get(3, b""))


def _chains(kernel: socket.socket) -> Iterator[Chain]:
    kernel.send(_message(_NFTABLES << 8 | _GET_CHAIN, _REQUEST | _DUMP, _nfgen(0)))
    for body in _answers(kernel):
        parts = dict(_attributes(body[4:]))
        if family := _FAMILIES.get(body[0]):
            # A hook, a policy that accepts, and no rule.
            idle = 4 in parts and _number(parts.get(5, b"")) == _ACCEPT and _number(parts.get(6, b"")) == 0
            yield Chain(family, _name(parts[1]), _name(parts[3]), idle)


@contextmanager
def _opened(protocol: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.settimeout(10)
        kernel.bind((0, 0))
        yield kernel


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    """The bodies of a dump's messages."""
    while True:
        for kind, body in _parts(kernel.recv(1 << 20)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                _raise(body)
            yield body


def _acknowledged(kernel: socket.socket, count: int) -> None:
    while count:
        for kind, body in _parts(kernel.recv(65536)):
            if kind == _ERROR:
                _raise(body)
                count -= 1


def _raise(body: bytes) -> None:
    (code,) = struct.unpack_from("=i", body)
    if code:
        raise OSError(-code, errno.errorcode.get(-code, f"error {-code}"))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def _nfgen(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each message."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + 16 : at + length]
        at += max(16, length + -length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        yield kind & ~_NESTED, data[at + 4 : at + length]
        at += max(4, length + -length % 4)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _name(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")
