"""A host with iptables, in memory: its tables, its loopback addresses, and a way to die at any step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import ip_address
from typing import Any

from meshctl.agent.capture.kernel import Chain, Ruleset
from meshctl.agent.capture.tools import Tools
from meshctl.errors import FailedError


class Killed(BaseException):
    """The process is no more: nothing of it runs from here on."""


class FakeHost:
    """Tables of iptables-nft, by family; `steps` counts what changes something.

    Attributes:
        lacks: (family, table) that the kernel refuses.
        kill_at: the step at which the process dies; None is never.
    """

    def __init__(self, programs: Collection[str] = ("iptables-nft", "ip6tables-nft")) -> None:
        self.programs = programs
        self.tables: dict[tuple[int, str], dict[str, list[str]]] = {}
        self.loopback = {"127.0.0.1", "::1"}
        self.others: tuple[str, ...] = ("10.0.0.2", "fd00::2")
        self.lacks: set[tuple[int, str]] = set()
        self.kill_at: int | None = None
        self.steps = 0
        self.time = 1000.0
        self.boot = "boot-1"
        self.timers: dict[str, float] = {}
        self.files: dict[str, str] = {}

    def step(self) -> None:
        """Something changes now, or the process dies before."""
        if self.kill_at is not None and self.steps >= self.kill_at:
            raise Killed
        self.steps += 1

    def everything(self) -> Any:
        """All that is on the host, to compare."""
        tables = {
            key: {name: list(rules) for name, rules in chains.items()} for key, chains in self.tables.items()
        }
        return tables, set(self.loopback)

    def save(self, family: int, table: str) -> str:
        """What iptables-save says."""
        chains = self.tables.get((family, table), {})
        heads = [
            f":{name} {'ACCEPT' if name.isupper() and '_' not in name else '-'} [0:0]" for name in chains
        ]
        rules = [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
        return "\n".join([f"*{table}", *heads, *rules, "COMMIT", ""])

    def save_all(self, family: int) -> str:
        """What iptables-save says of all tables."""
        return "".join(self.save(each, table) for each, table in self.tables if each == family)

    def restore(self, family: int, text: str) -> None:
        """What iptables-restore does: all of a table, or nothing."""
        self.step()
        lines = text.splitlines()
        table = lines[0][1:]
        if (family, table) in self.lacks:
            raise FailedError("tool-failed", "iptables-restore ended with 1", details=["no such table"])
        chains = {name: list(rules) for name, rules in self.tables.get((family, table), {}).items()}
        for line in lines[1 : lines.index("COMMIT")]:
            verb, _, rest = line.partition(" ")
            if line.startswith(":"):
                chains[verb[1:]] = []
            elif verb == "-A":
                name, _, rule = rest.partition(" ")
                chains.setdefault(name, []).append(rule)
            elif verb == "-D":
                name, _, rule = rest.partition(" ")
                chains[name].remove(rule)
            elif verb == "-F":
                chains[rest].clear()
            else:
                assert verb == "-X", line
                assert not any(f"-j {rest}" in rule for rules in chains.values() for rule in rules)
                assert not chains.pop(rest)
        self.tables[family, table] = chains


class FakeTools(Tools):
    """The programs of a fake host."""

    __slots__ = ("host",)
    host: FakeHost

    def __init__(self, host: FakeHost) -> None:
        super().__init__()
        object.__setattr__(self, "host", host)

    def find(self, name: str) -> str:
        known = name.removesuffix("-save").removesuffix("-restore")
        return f"/fake/{name}" if known in self.host.programs else ""

    def read(self, path: str) -> str:
        return self.host.files.get(path, "")

    def run(self, command: Sequence[str], text: str = "") -> str:
        family = 6 if "ip6tables" in command[0] else 4
        if command[0].endswith("-save"):
            return self.host.save_all(family)
        self.host.restore(family, text)
        return ""


class FakeKernel:
    """The kernel of a fake host."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def origin(self) -> str:
        return self.host.boot

    def uptime(self) -> float:
        return self.host.time

    def ruleset(self) -> Ruleset:
        names = {4: "ip", 6: "ip6"}
        chains = tuple(
            Chain(names[family], table, name, not rules and "_" not in name)
            for (family, table), made in self.host.tables.items()
            for name, rules in made.items()
        )
        tables = {(names[family], table): len(made) for (family, table), made in self.host.tables.items()}
        return Ruleset(0, tables, chains)

    def delete_idle(self, tables: Collection[str], before: Collection[str]) -> None:
        self.host.step()
        for (family, table), chains in list(self.host.tables.items()):
            name = f"{'ip' if family == 4 else 'ip6'} {table}"
            for chain in [each for each in chains if not chains[each] and f"{name} {each}" not in before]:
                del chains[chain]
            if not chains and name not in before:
                del self.host.tables[family, table]

    def addresses(self) -> Any:
        own = [(1, ip_address(each)) for each in sorted(self.host.loopback)]
        return (*own, *((2, ip_address(each)) for each in self.host.others))

    def add_to_loopback(self, address: Any) -> bool:
        self.host.step()
        there = str(address) in self.host.loopback
        self.host.loopback.add(str(address))
        return not there

    def remove_from_loopback(self, address: Any) -> bool:
        self.host.step()
        there = str(address) in self.host.loopback
        self.host.loopback.discard(str(address))
        return there


class FakeTimer:
    """Timers of a fake host."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def arm(self, number: str, seconds: float) -> None:
        self.host.step()
        self.host.timers[number] = self.host.time + seconds

    def disarm(self, number: str) -> None:
        self.host.timers.pop(number, None)
