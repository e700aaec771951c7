"""The host's own resolvers, as its resolv.conf names them now.

A change of the file counts within a second: it is looked at when there is a question to ask, never else.

systemd-resolved names itself in resolv.conf, and asks the network's resolvers in turn. It is asked as any
other resolver is, and knows best which network has which names. Only where capture takes its questions too,
these would come back to us: then those are asked directly that it would ask, which it lists in a file of
its own.

Source: resolv.conf(5), systemd-resolved.service(8).
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from meshctl.agent.dns import packets
from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshctl.agent.dns.settings import DnsSettings

_log = logging.getLogger(__name__)

PORT: Final = 53
STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
"""Addresses of systemd-resolved."""
BEHIND_STUB: Final = Path("/run/systemd/resolve/resolv.conf")
_NOBODY: Final = ("127.0.0.1",)
"""Who is asked where the file names none. Source: resolv.conf(5)."""
_LOOK: Final = 1.0
"""Seconds between two looks at the file."""
_PENANCE: Final = 30.0
"""Seconds for which a resolver that did not answer is asked after the others."""
_LARGEST: Final = 65536
"""Characters of the file that are read."""
_TIMEOUT: Final = 5
"""Seconds that the C library waits for an answer."""
_MOST: Final = 3
"""Resolvers that count, as for the C library."""


class Resolver(NamedTuple):
    """Where a resolver listens.

    Attributes:
        family: `AF_INET` or `AF_INET6`.
        address: as a socket of that family takes it.
    """

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What a resolv.conf says.

    Attributes:
        servers: addresses, in their order.
        search: domains, in their order.
        rotate: whether the resolvers are to take turns.
        timeout: seconds for which programs wait for one of them.
    """

    servers: tuple[str, ...]
    search: tuple[str, ...]
    rotate: bool
    timeout: int


def read_resolv_conf(text: str) -> ResolvConf:
    """What the text of a resolv.conf says; lines that say nothing are passed over, as the C library does."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    rotate, timeout = False, _TIMEOUT
    for line in text.split("\n"):
        word, *values = line.split() or [""]
        if word == "nameserver" and values:
            servers.append(values[0])
        elif word in ("search", "domain"):
            search = tuple(values[: 1 if word == "domain" else None])
        elif word == "options":
            rotate = rotate or "rotate" in values
            timeout = next((_seconds(each) for each in values if each.startswith("timeout:")), timeout)
    return ResolvConf(tuple(servers), search, rotate, timeout)


def _seconds(option: str) -> int:
    """What `timeout:` says, within the bounds of the C library."""
    said = option.partition(":")[2]
    return min(max(int(said), 1), 30) if said.isascii() and said.isdigit() and len(said) < 6 else _TIMEOUT


def resolver(text: str, port: int = PORT) -> Resolver | None:
    """The resolver at `address`, `address:port` or `[address]:port`; None for anything else.

    An address that is local to a link names its interface: `fe80::1%eth0`. One that is not there makes None.
    """
    host, said = text, ""
    if text.startswith("["):
        host, _, said = text[1:].partition("]")
        if said and not said.startswith(":"):
            return None
        said = said[1:]
    elif text.count(":") == 1:
        host, _, said = text.partition(":")
    if said:
        if not (said.isascii() and said.isdigit() and len(said) <= 5 and 0 < int(said) < 65536):
            return None
        port = int(said)
    return _at(host, port)


def _at(host: str, port: int) -> Resolver | None:
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        pass
    else:
        return Resolver(socket.AF_INET, (host, port))
    address, _, interface = host.partition("%")
    try:
        socket.inet_pton(socket.AF_INET6, address)
        return Resolver(socket.AF_INET6, (address, port, 0, _scope(interface) if interface else 0))
    except (OSError, ValueError):
        return None


def _scope(interface: str) -> int:
    """Number of an interface. Raises OSError: there is none of that name."""
    digits = interface.isascii() and interface.isdigit() and len(interface) < 10
    return int(interface) if digits else socket.if_nametoindex(interface)


def check(settings: DnsSettings) -> None:
    """Refuse settings that name a resolver or a search domain that is none.

    Raises:
        ConfigError: with what is wrong.
    """
    for each in settings.servers:
        if resolver(each) is None:
            raise ConfigError(
                "bad-resolver",
                f"resolver {each!r} is not an address, with a port or without",
                hint="write it like 10.0.0.2, 10.0.0.2:5353 or [2001:db8::2]:53",
            )
    for each in settings.search:
        if not packets.to_wire(each):
            raise ConfigError("bad-search-domain", f"search domain {each!r} is not a DNS name")


class Resolvers:
    """Whom to ask what the mesh does not know."""

    def __init__(
        self,
        settings: DnsSettings,
        *,
        behind_stub: Path = BEHIND_STUB,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take resolvers from the settings, or from the files they name."""
        self._settings = settings
        self._files = (Path(settings.resolv_conf), behind_stub)
        self._clock = clock
        self._seen: tuple[object, ...] = ()
        self._looked = float("-inf")
        self._told = ""
        self._resolvers = self._usable(map(resolver, settings.servers))
        self._rotate = False
        self._turn = 0
        self._failed: dict[Resolver, float] = {}
        self._search = _wire(settings.search)
        self._pause = settings.retry

    @property
    def search(self) -> bytes:
        """The first search domain, on the wire; empty without."""
        self._look()
        return self._search

    @property
    def pause(self) -> float:
        """Seconds until the next resolver is asked as well: before the host's programs give up."""
        self._look()
        return self._pause

    def in_order(self) -> list[Resolver]:
        """Whom to ask, and in which order: who has just failed comes last."""
        self._look()
        found = list(self._resolvers)
        if self._rotate and found:
            self._turn = (self._turn + 1) % len(found)
            found = found[self._turn :] + found[: self._turn]
        if self._failed:
            late = self._clock() - _PENANCE
            found.sort(key=lambda each: self._failed.get(each, late) > late)
        return found

    def failed(self, one: Resolver) -> None:
        """A resolver has not answered."""
        self._failed[one] = self._clock()

    def answered(self, one: Resolver) -> None:
        """A resolver has answered."""
        if self._failed:
            self._failed.pop(one, None)

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        if self._settings.servers and self._settings.search:
            return
        seen = tuple(map(_state, self._files))
        if seen != self._seen:
            self._seen = seen
            self._read()

    def _read(self) -> None:
        conf = read_resolv_conf(_text(self._files[0]))
        if not self._settings.search:
            self._search = _wire(conf.search)
        self._pause = min(self._settings.retry, conf.timeout / 2)
        if self._settings.servers:
            return
        servers = conf.servers
        if self._settings.all_captured and STUBS & set(servers):
            behind = read_resolv_conf(_text(self._files[1])).servers
            if behind:
                servers = (*(each for each in servers if each not in STUBS), *behind)
        found = {each: resolver(each) for each in (servers or _NOBODY)[:_MOST]}
        self._resolvers = self._usable(found.values())
        self._rotate = conf.rotate
        self._failed = {one: since for one, since in self._failed.items() if one in self._resolvers}
        unusable = [text for text, each in found.items() if each not in self._resolvers]
        if any("%" in text for text in unusable):
            self._seen = ()  # the interface may come later
        self._tell(", ".join(text for text in found if text not in unusable), ", ".join(unusable))

    def _tell(self, usable: str, unusable: str) -> None:
        told = f"resolvers of the host: {usable or 'none'}"
        if unusable:
            told += f"; not to be asked: {unusable}"
        if told != self._told:
            self._told = told
            _log.log(logging.WARNING if unusable else logging.INFO, "%s", told)

    def _usable(self, found: Iterable[Resolver | None]) -> tuple[Resolver, ...]:
        """Those that there are, without this server, which would ask itself."""
        own = (("127.0.0.1", self._settings.port), ("::1", self._settings.port))
        return tuple(each for each in found if each and each.address[:2] not in own)


def _wire(search: tuple[str, ...]) -> bytes:
    """The first search domain on the wire; empty for what is no name, and for the root."""
    return packets.to_wire(search[0]) or b"" if search else b""


def _state(file: Path) -> object:
    """What tells one version of a file from another."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _text(file: Path) -> str:
    """What is in a file; nothing, if it cannot be read."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError as error:
        _log.warning("%s cannot be read: %s", file, error.strerror)
        return ""
