"""What the kernel does to a packet by rules written for iptables or for nftables, as far as we use them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

Test = Callable[["Packet"], bool]


@dataclass(frozen=True)
class Packet:
    """The first packet of something: it comes to this host, or is sent by it.

    Attributes:
        hook: `PREROUTING` or `OUTPUT`.
        protocol: `tcp`, `udp` or `icmp`.
        source, destination: addresses.
        sport, dport: ports.
        interface: by which it comes, or goes.
        uid, gid: who sends it.
        local: it is for this host.
        opening: of TCP, it opens a connection.
        invalid: it fits no connection.
    """

    hook: str
    protocol: str
    source: str
    destination: str
    sport: int
    dport: int
    interface: str
    uid: int = 0
    gid: int = 0
    local: bool = True
    opening: bool = True
    invalid: bool = False

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_address(self.destination).version


@dataclass(frozen=True)
class Verdict:
    """What becomes of a packet: redirected to a port, tracked in a zone, dropped."""

    port: int = 0
    zone: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class Line:
    """A rule: all tests hold, and then the action."""

    tests: tuple[Test, ...]
    action: str
    value: str = ""


@dataclass
class Rules:
    """Chains of each family and table; those named after a hook are where packets pass."""

    chains: dict[tuple[int, str, str], list[Line]] = field(default_factory=dict)

    def verdict(self, packet: Packet) -> Verdict:
        """What becomes of a packet on its way through raw, mangle and nat."""
        zone = self._walk(packet, "raw", packet.hook, "zone")
        dropped = self._walk(packet, "mangle", packet.hook, "drop")
        port = self._walk(packet, "nat", packet.hook, "redirect")
        return Verdict(int(port or 0), int(zone or 0), bool(dropped))

    def _walk(self, packet: Packet, table: str, chain: str, wanted: str) -> str:
        """The value of the first `wanted` that is met; empty when the packet goes through."""
        value, _ = self._through(packet, table, chain, wanted)
        return value

    def _through(self, packet: Packet, table: str, chain: str, wanted: str) -> tuple[str, bool]:
        """The value found, and whether the packet's way ends there."""
        for line in self.chains.get((packet.family, table, chain), ()):
            if not all(test(packet) for test in line.tests):
                continue
            if line.action == wanted:
                return line.value or "1", True
            if line.action == "return":
                return "", False
            if line.action == "accept":
                return "", True
            if line.action == "jump":
                value, ended = self._through(packet, table, line.value, wanted)
                if ended:
                    return value, True
        return "", False


def iptables(texts: Mapping[int, str]) -> Rules:
    """Rules of what iptables-restore is told, by family."""
    rules = Rules()
    for family, text in texts.items():
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(("-A ", "-I ")):
                _, chain, *words = shlex.split(line)
                chains = rules.chains.setdefault((family, table, chain), [])
                if line.startswith("-A "):
                    chains.append(_iptables_line(words))
                else:
                    chains.insert(int(words[0]) - 1, _iptables_line(words[1:]))
    return rules


def _iptables_line(words: Sequence[str]) -> Line:
    tests: list[Test] = []
    at, positive = 0, True
    while words[at] != "-j":
        option = words[at]
        at += 1
        if option == "!":
            positive = False
            continue
        if option == "-m":
            at += 1
            continue
        test = _iptables_test(option, "" if option == "--syn" else words[at])
        at += option != "--syn"
        tests.append(test if positive else _not(test))
        positive = True
    target, value = words[at + 1], words[-1]
    actions = {"RETURN": "return", "DROP": "drop", "ACCEPT": "accept", "REDIRECT": "redirect", "CT": "zone"}
    return Line(tuple(tests), actions.get(target, "jump"), value)


def _iptables_test(option: str, value: str) -> Test:
    tests: dict[str, Callable[[], Test]] = {
        "-p": lambda: lambda packet: packet.protocol == value,
        "-s": lambda: _within(value, "source"),
        "-d": lambda: _within(value, "destination"),
        "-i": lambda: _interface(value, "+", "PREROUTING"),
        "-o": lambda: _interface(value, "+", "OUTPUT"),
        "--sport": lambda: lambda packet: packet.sport == int(value),
        "--dport": lambda: lambda packet: packet.dport == int(value),
        "--dports": lambda: lambda packet: packet.dport in map(int, value.split(",")),
        "--uid-owner": lambda: lambda packet: packet.uid == int(value),
        "--gid-owner": lambda: lambda packet: packet.gid == int(value),
        "--dst-type": lambda: lambda packet: packet.local,
        "--ctstate": lambda: lambda packet: packet.invalid,
        "--syn": lambda: lambda packet: packet.opening,
    }
    return tests[option]()


def nftables(text: str, tables: Mapping[str, str]) -> Rules:
    """Rules of what nft is told, as `add rule` or in a table's braces.

    Args:
        text: the commands.
        tables: which of the kernel's tables each one stands for, by family and name.
    """
    rules = Rules()
    for line, family, table, chain in _nft_lines(text):
        kernel = tables.get(f"{family} {table}") or tables.get(table, "")
        for number in (4, 6) if family == "inet" else (4,) if family == "ip" else (6,):
            made = _nft_line(line, number)
            position = re.match(r"\(index (\d+)\)", line)
            chains = rules.chains.setdefault((number, kernel, _HOOKS.get(chain, chain)), [])
            if made is not None:
                chains.insert(int(position[1]), made) if position else chains.append(made)
    return rules


_HOOKS = {"prerouting": "PREROUTING", "output": "OUTPUT"}
_ADDED = re.compile(r"(?:add|insert) rule (\S+) (\S+) (\S+) (?:index (\d+) )?(.*)")
_VERDICT = re.compile(
    r"(?:redirect to :(?P<redirect>\d+)|ct zone set (?P<zone>\d+)|jump (?P<jump>\S+)"
    r"|(?P<plain>return|drop|accept))$"
)
_MATCH = re.compile(
    r"(?P<key>iifname|oifname|ip6? [sd]addr|meta l4proto|(?:tcp|udp) [sd]port|(?:meta )?sk[ug]id"
    r"|fib daddr type|ct state|tcp flags & \(fin \| syn \| rst \| ack\)) "
    r"(?P<not>!= )?(?P<value>\{[^}]*\}|\S+) ?"
)


def _nft_lines(text: str) -> Iterable[tuple[str, str, str, str]]:
    family = table = chain = ""
    for line in map(str.strip, text.splitlines()):
        if added := _ADDED.match(line):
            index = f"(index {added[4]}) " if line.startswith("insert") else ""
            yield index + added[5], added[1], added[2], added[3]
        elif line.startswith("table "):
            _, family, table, _ = line.split()
        elif line.startswith("chain "):
            chain = line.split()[1]
        elif chain and line not in ("", "}") and not line.startswith("type "):
            yield line, family, table, chain


def _nft_line(line: str, family: int) -> Line | None:
    """A rule; None when it is one of the other family."""
    rest = re.sub(r"^\(index \d+\) ", "", line).replace("counter ", "")
    tests: list[Test] = []
    while found := _MATCH.match(rest):
        rest = rest[found.end() :]
        if found["key"].startswith("ip") and found["key"].startswith("ip6") != (family == 6):
            return None
        test = _nft_test(found["key"], found["value"])
        tests.append(_not(test) if found["not"] else test)
    verdict = _VERDICT.match(rest)
    assert verdict, f"not understood: {rest!r} of {line!r}"
    if verdict["plain"]:
        return Line(tuple(tests), verdict["plain"])
    action = next(name for name in ("redirect", "zone", "jump") if verdict[name])
    return Line(tuple(tests), action, verdict[action])


def _nft_test(key: str, value: str) -> Test:
    values = [each.strip().strip('"') for each in value.strip("{} ").split(",")]
    if key in ("iifname", "oifname"):
        return _interface(values[0], "*", "PREROUTING" if key == "iifname" else "OUTPUT")
    if key.endswith("addr"):
        return _within(values[0], "source" if key.endswith("saddr") else "destination")
    if key == "meta l4proto":
        return lambda packet: packet.protocol == value
    if key.endswith("port"):
        protocol, side = key.split()
        name = "sport" if side == "sport" else "dport"
        return lambda packet: packet.protocol == protocol and getattr(packet, name) in map(int, values)
    if key.endswith(("skuid", "skgid")):
        return lambda packet: getattr(packet, key[-3:]) in map(int, values)
    tests: dict[str, Test] = {
        "fib daddr type": lambda packet: packet.local,
        "ct state": lambda packet: packet.invalid,
    }
    return tests.get(key, lambda packet: packet.opening)


def _within(network: str, side: str) -> Test:
    wanted = ip_network(network, strict=False)
    return lambda packet: ip_address(getattr(packet, side)) in wanted


def _interface(name: str, wildcard: str, hook: str) -> Test:
    if name.endswith(wildcard):
        return lambda packet: packet.hook == hook and packet.interface.startswith(name[:-1])
    return lambda packet: packet.hook == hook and packet.interface == name


def _not(test: Test) -> Test:
    return lambda packet: not test(packet)
