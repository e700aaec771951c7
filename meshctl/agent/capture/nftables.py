"""Rules put in place by nftables itself, in tables of our own: each changes at once, or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshctl.agent.capture.rules import Action, Chain, Drop, Redirect, Return, Rule, Table, Zone, is_said
from meshctl.agent.capture.tools import Tools
from meshctl.errors import UnsupportedError

PREFIX: Final = "meshctl_"
"""Of the names of our tables: one for each of the kernel's, as one that cannot be had must not cost all."""

_OURS: Final = re.compile(rf"^table (ip6?) {PREFIX}(\w+)$", re.MULTILINE)
_HOOKS: Final = {
    ("nat", "PREROUTING"): "type nat hook prerouting priority -100",
    ("nat", "OUTPUT"): "type nat hook output priority -100",
    ("raw", "OUTPUT"): "type filter hook output priority -300",
    ("mangle", "PREROUTING"): "type filter hook prerouting priority -150",
}
"""Where packets pass, with the kernel's own numbers for it. Source: linux/netfilter_ipv4.h."""


@dataclass(frozen=True, slots=True)
class Nftables:
    """The program nft."""

    tools: Tools

    @property
    def name(self) -> str:
        """As in the settings."""
        return "nftables"

    def render(self, table: Table) -> tuple[str, ...]:
        """A table of ours."""
        return (
            f"table {_named(table.family, table.name)} {{",
            *(line for chain in table.chains for line in _chain(table, chain)),
            "}",
        )

    def listed(self) -> dict[tuple[int, str], tuple[str, ...]]:
        """What of ours there is, by family and table, as the tool lists it; nothing without the tool."""
        program = self.tools.find("nft")
        tables = _OURS.findall(self.tools.run([program, "list", "tables"])) if program else []
        return {
            (4 if ip == "ip" else 6, name): tuple(
                self.tools.run([program, "-s", "-nn", "list", "table", ip, f"{PREFIX}{name}"]).splitlines()
            )
            for ip, name in tables
        }

    def replace(self, family: int, table: str, lines: Sequence[str], found: Sequence[str]) -> None:
        """Have `lines`, which `render` has made, as our table; none takes it away.

        Args:
            family: 4 or 6.
            table: of the kernel's.
            lines: to have.
            found: what is there of ours; the tool finds it itself.

        Raises:
            UnsupportedError: the host has no such tool.
            FailedError: the kernel does not take it, and all is as it was.
        """
        program = self.tools.find("nft")
        if not program:
            raise UnsupportedError("no-nft", "this host has no nft", hint="install nftables")
        # Added first, as what is not there cannot be deleted.
        fresh = [f"{verb} table {_named(family, table)}" for verb in ("add", "delete")]
        self.tools.run([program, "-f", "-"], "\n".join((*fresh, *lines, "")))

    def present(self) -> bool:
        """Whether the host has it."""
        return bool(self.tools.find("nft"))


def _named(family: int, table: str) -> str:
    return f"{'ip' if family == 4 else 'ip6'} {PREFIX}{table}"


def _chain(table: Table, chain: Chain) -> list[str]:
    others = [f"\t\tmeta l4proto != {chain.protocol} return"] if chain.protocol else []
    rules = (f"\t\t{_matches(rule, table.family)}counter {_verdict(rule.action)}" for rule in chain.rules)
    return [
        f"\tchain {chain.hook} {{",
        f"\t\t{_HOOKS[table.name, chain.hook]}; policy accept;",
        *others,
        *rules,
        "\t}",
    ]


def _matches(rule: Rule, family: int) -> str:
    """What a rule asks of a packet, each part with a space behind it."""
    ip = "ip" if family == 4 else "ip6"
    parts = [
        ("iifname {}", _interface(rule.input)),
        ("oifname {}", _interface(rule.output)),
        (f"{ip} saddr {{}}", rule.source),
        (f"{ip} daddr {{}}", rule.destination),
        (f"{ip} daddr != {{}}", rule.not_destination),
        ("meta l4proto {}", rule.protocol),
        ("tcp flags & (fin | syn | rst | ack) != {}", rule.not_opening and "syn"),
        (f"{rule.protocol} sport {{}}", rule.sport),
        (f"{rule.protocol} dport {{}}", rule.dport),
        (f"{rule.protocol} dport != {{}}", _set(rule.not_dports)),
        ("fib daddr type != {}", rule.not_local and "local"),
        ("ct state {}", rule.invalid and "invalid"),
        ("meta skuid {}", rule.uid),
        ("meta skgid {}", rule.gid),
        ("meta skuid != {}", _set(rule.not_uids)),
        ("meta skgid != {}", _set(rule.not_gids)),
    ]
    return "".join(f"{form.format(value)} " for form, value in parts if is_said(value))


def _interface(name: str) -> str:
    return f'"{name[:-1]}*"' if name.endswith("+") else f'"{name}"' if name else ""


def _set(numbers: Sequence[int]) -> str:
    return f"{{ {', '.join(map(str, numbers))} }}" if numbers else ""


def _verdict(action: Action) -> str:
    match action:
        case Return():
            return "return"
        case Drop():
            return "drop"
        case Redirect(port):
            return f"redirect to :{port}"
        case Zone(number):
            return f"ct zone set {number}"
