"""Rules put in place by iptables, of either kind: a table of a family changes at once, or not at all.

Each built-in chain gets one rule, which leads to a chain of ours. What is taken away is found in what the
tool itself lists, so that it is there exactly once and as the tool wants to have it said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from meshctl.agent.capture.rules import Action, Chain, Drop, Redirect, Return, Rule, Table, Zone, is_said
from meshctl.agent.capture.tools import Tools
from meshctl.errors import UnsupportedError

PREFIX: Final = "MESHCTL_"
"""Of the names of our chains."""
Kind = Literal["nft", "legacy"]

_OURS: Final = re.compile(rf":({PREFIX}\S+) -")
_LEADS: Final = re.compile(rf"-A (\S+) .*-[jg] {PREFIX}\S+")
_REGISTERED: Final = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}
_LOCK: Final = "30"
"""Seconds that a legacy tool waits for another one's end."""


@dataclass(frozen=True, slots=True)
class Iptables:
    """One kind of iptables, for both families."""

    tools: Tools
    kind: Kind

    @property
    def name(self) -> str:
        """As in the settings."""
        return f"iptables-{self.kind}"

    def render(self, table: Table) -> tuple[str, ...]:
        """A table's part of ours: chains, what leads to them, and their rules."""
        chains = [(f"{PREFIX}{chain.hook}", chain) for chain in table.chains]
        return (
            *(f":{name} - [0:0]" for name, _ in chains),
            *(f"-A {chain.hook}{_protocol(chain)} -j {name}" for name, chain in chains),
            *(
                f"-A {name}{_matches(rule)} {_target(rule.action)}"
                for name, chain in chains
                for rule in chain.rules
            ),
        )

    def listed(self) -> dict[tuple[int, str], tuple[str, ...]]:
        """What of ours there is, by family and table, as the tool lists it; nothing without the tool."""
        found: dict[tuple[int, str], tuple[str, ...]] = {}
        for family in (4, 6):
            program = self._program(family, "save")
            # The legacy tool makes a table that it is asked for; asked for none, it looks at what is there.
            if program and (self.kind == "nft" or self.tools.read(_REGISTERED[family]).strip()):
                found |= {(family, table): each for table, each in _ours(self.tools.run([program])).items()}
        return found

    def replace(self, family: int, table: str, lines: Sequence[str], found: Sequence[str]) -> None:
        """Have `lines`, which `render` has made, in place of all that is ours; none takes it away.

        Args:
            family: 4 or 6.
            table: of the kernel's.
            lines: to have.
            found: what is there of ours, as listed.

        Raises:
            UnsupportedError: the host has no such tool.
            FailedError: the kernel does not take it, and all is as it was.
        """
        program = self._program(family, "restore")
        if not program:
            tool = f"{_command(family)}-{self.kind}-restore"
            raise UnsupportedError("no-iptables", f"this host has no {tool}", hint="install iptables")
        self.tools.run([program, "--noflush", "--wait", _LOCK], _script(table, found, lines))

    def _program(self, family: int, part: str) -> str:
        """The path of `save` or `restore`; the one without a kind in its name may be of either."""
        command = _command(family)
        if named := self.tools.find(f"{command}-{self.kind}-{part}"):
            return named
        plain = self.tools.find(f"{command}-{part}")
        if not plain:
            return ""
        kind = "nft" if "nf_tables" in self.tools.run([plain, "--version"]) else "legacy"
        return plain if kind == self.kind else ""

    def present(self) -> bool:
        """Whether the host has it, for IPv4 at least."""
        return bool(self._program(4, "save") and self._program(4, "restore"))


def _command(family: int) -> str:
    return "iptables" if family == 4 else "ip6tables"


def _ours(saved: str) -> dict[str, tuple[str, ...]]:
    """Our chains, what leads to them, and their rules, by table, of what iptables-save says."""
    found = {}
    for part in re.split(r"^\*", saved, flags=re.MULTILINE)[1:]:
        table, *lines = (line.strip() for line in part.splitlines())
        chains = [f":{name[1]} - [0:0]" for line in lines if (name := _OURS.match(line))]
        rules = [line for line in lines if line.startswith(f"-A {PREFIX}")]
        leads = [line for line in lines if line not in rules and _LEADS.fullmatch(line)]
        if chains or leads:
            found[table] = (*chains, *leads, *rules)
    return found


def _script(table: str, found: Sequence[str], lines: Sequence[str]) -> str:
    """What iptables-restore is told; a chain that is declared is emptied."""
    declared = [line for line in lines if line.startswith(":")]
    old = [line for line in found if line.startswith(":") and line not in declared]
    leads = [line for line in found if not line.startswith((":", f"-A {PREFIX}"))]
    return "\n".join(
        (
            f"*{table}",
            *declared,
            *(f"-D{line[2:]}" for line in leads),
            *(line for line in lines if not line.startswith(":")),
            *(f"-F {line.split()[0][1:]}" for line in old),
            *(f"-X {line.split()[0][1:]}" for line in old),
            "COMMIT",
            "",
        )
    )


def _protocol(chain: Chain) -> str:
    return f" -p {chain.protocol}" if chain.protocol else ""


def _matches(rule: Rule) -> str:
    """What a rule asks of a packet, each part after a space."""
    parts = [
        ("-i {}", rule.input),
        ("-o {}", rule.output),
        ("-s {}", rule.source),
        ("-d {}", rule.destination),
        ("! -d {}", rule.not_destination),
        ("-p {}", rule.protocol),
        ("! --syn{}", rule.not_opening and " "),
        ("--sport {}", rule.sport),
        ("--dport {}", rule.dport),
        ("-m multiport ! --dports {}", ",".join(map(str, rule.not_dports))),
        ("-m addrtype ! --dst-type {}", rule.not_local and "LOCAL"),
        ("-m conntrack --ctstate {}", rule.invalid and "INVALID"),
        ("-m owner --uid-owner {}", rule.uid),
        ("-m owner --gid-owner {}", rule.gid),
        *(("-m owner ! --uid-owner {}", uid) for uid in rule.not_uids),
        *(("-m owner ! --gid-owner {}", gid) for gid in rule.not_gids),
    ]
    return "".join(f" {form.format(value).strip()}" for form, value in parts if is_said(value))


def _target(action: Action) -> str:
    match action:
        case Return():
            return "-j RETURN"
        case Drop():
            return "-j DROP"
        case Redirect(port):
            return f"-j REDIRECT --to-ports {port}"
        case Zone(number):
            return f"-j CT --zone {number}"
