"""What the DNS server has done, counted since it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Each question counts under `udp` or `tcp`, and under how it was answered.

    Attributes:
        udp: messages that came as datagrams.
        tcp: messages that came over connections.
        mesh: answered from the names of the mesh.
        forwarded: answered by a resolver of the host.
        failed: answered with a failure, since no resolver gave an answer.
        unsynced: answered with a failure, since only the mesh can tell and its names had not come.
        refused: turned away: malformed, of a kind that is not served, or more than are served at once.
        ignored: not answered: no questions at all.
        truncated: answers that were cut to what the client takes.
        tables: name tables taken over.
        bad_tables: name tables that could not be read; the one before stays.
    """

    udp: int = 0
    tcp: int = 0
    mesh: int = 0
    forwarded: int = 0
    failed: int = 0
    unsynced: int = 0
    refused: int = 0
    ignored: int = 0
    truncated: int = 0
    tables: int = 0
    bad_tables: int = 0
