"""Which of a host's tools puts the rules in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from meshctl.agent.capture.iptables import PREFIX as CHAINS
from meshctl.agent.capture.iptables import Iptables
from meshctl.agent.capture.nftables import PREFIX as TABLES
from meshctl.agent.capture.nftables import Nftables
from meshctl.errors import UnsupportedError, listed

if TYPE_CHECKING:
    from meshctl.agent.capture.kernel import Ruleset
    from meshctl.agent.capture.rules import Table
    from meshctl.agent.capture.tools import Tools

KERNEL_TABLES: Final = ("nat", "mangle", "raw")
"""In the order to take away: what redirects goes first."""


class Flavour(Protocol):
    """A tool that changes one of the kernel's tables for one family at once, or not at all."""

    @property
    def name(self) -> str:
        """As in the settings."""

    def present(self) -> bool:
        """Whether the host has it."""

    def render(self, table: Table) -> tuple[str, ...]:
        """A table in the tool's language."""

    def listed(self) -> dict[tuple[int, str], tuple[str, ...]]:
        """What of ours is there, by family and table, as the tool says it."""

    def replace(self, family: int, table: str, lines: Sequence[str], found: Sequence[str]) -> None:
        """Have what `render` has made in place of what is found; nothing takes it away."""


def flavours(tools: Tools) -> dict[str, Flavour]:
    """All of them, by name."""
    found: tuple[Flavour, ...] = (Iptables(tools, "nft"), Iptables(tools, "legacy"), Nftables(tools))
    return {each.name: each for each in found}


def choose(tools: Tools, wanted: str) -> Flavour:
    """The flavour that is wanted, or for `auto` the one that fits this host.

    Legacy tables are seen before those of nftables, so where somebody has rules in them, ours go there, too.

    Raises:
        UnsupportedError: the host lacks it.
    """
    known = flavours(tools)
    names = [wanted]
    if wanted == "auto":
        used = ["iptables-legacy"] if _legacy_in_use(tools) else []
        names = [*used, "iptables-nft", "nftables", "iptables-legacy"]
    for name in names:
        if known[name].present():
            return known[name]
    raise UnsupportedError(
        "no-capture-tool",
        f"this host has no {listed(dict.fromkeys(names))}",
        hint="install iptables or nftables, or set capture.mode to none and name the proxy in the programs",
    )


def with_ours(tools: Tools, ruleset: Ruleset) -> list[Flavour]:
    """Those by which there is something of ours, whoever has put it there and whatever we remember."""
    known = flavours(tools)
    found = []
    if any(chain.name.startswith(CHAINS) and chain.table in KERNEL_TABLES for chain in ruleset.chains):
        found.append(known["iptables-nft"])
    if any(table.startswith(TABLES) for _, table in ruleset.tables):
        found.append(known["nftables"])
    if known["iptables-legacy"].listed():
        found.append(known["iptables-legacy"])
    return found


def _legacy_in_use(tools: Tools) -> bool:
    """Whether somebody has rules in legacy tables; only those that exist are looked at."""
    program = tools.find("iptables-legacy-save")
    tables = tools.read("/proc/net/ip_tables_names").split()
    return bool(program) and any("\n-A " in tools.run([program, "-t", table]) for table in tables)
