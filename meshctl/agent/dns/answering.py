"""Which of the mesh and the host's resolvers answers a question, and what of it reaches the client.

The mesh answers for the addresses of its names, with authority. About all else the host's resolvers are
asked, and what they say goes on as it came; only that a name does not exist is not theirs to say when the
mesh has it.

Before istiod has told the names, the mesh's silence means nothing:
- what lies in the cluster's own domain waits, and then fails;
- of anything else a resolver's answer is good, but for a short time, as the mesh may know better in a moment;
- that a name does not exist cannot be known: that waits, and then fails.
A client asks again after a failure, whereas it believes a denial and may keep it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from meshctl.agent.dns import packets
from meshctl.agent.dns.table import services_domain

if TYPE_CHECKING:
    from meshctl.agent.dns.counters import Counters
    from meshctl.agent.dns.forwarding import Forwarding
    from meshctl.agent.dns.packets import Query
    from meshctl.agent.dns.resolvers import Resolvers
    from meshctl.agent.dns.settings import DnsSettings
    from meshctl.agent.dns.table import Found, Table
    from meshctl.agent.latest import Latest

_log = logging.getLogger(__name__)

_REVERSE: Final = b"\x04arpa\0"
"""Under which addresses have names; the mesh gives none."""
_TRANSFERS: Final = frozenset({packets.AXFR, packets.IXFR})


class Answering:
    """Answers questions, at once where the mesh can."""

    def __init__(
        self,
        settings: DnsSettings,
        table: Latest[Table | None],
        resolvers: Resolvers,
        forwarding: Forwarding,
        counters: Counters,
    ) -> None:
        """Answer from `table`, None until istiod has told the names, or by `forwarding`."""
        self._settings = settings
        self._table = table
        self._resolvers = resolvers
        self._forwarding = forwarding
        self._counters = counters
        domain = services_domain(settings)
        own = (packets.to_wire(domain), packets.to_wire(domain.split(".")[0]))
        self._own = tuple(each for each in own if each)
        self._patient_until: float | None = None
        self._waiting = 0

    def first(self, data: bytes, *, stream: bool) -> bytes | Query | None:
        """What to do about a message: answer these bytes, ask others about this question, or nothing."""
        try:
            query = packets.read_query(data)
        except packets.PacketError as error:
            if error.rcode is None:
                self._counters.ignored += 1
                return None
            self._counters.refused += 1
            return packets.rejection(data, error.rcode)
        limit = packets.MOST if stream else query.limit
        answer = self._at_once(query, limit)
        return query if answer is None else answer

    async def later(self, query: Query, *, stream: bool) -> bytes:
        """The answer to a question about which others have to be asked."""
        limit = packets.MOST if stream else query.limit
        if self._waiting >= self._settings.forwarded:
            self._counters.refused += 1
            return packets.reply(query, packets.SERVFAIL, limit)
        self._waiting += 1
        try:
            return await self._in_time(query, limit, stream=stream)
        except Exception:  # noqa: BLE001 - a fault of ours costs one answer, not the server
            _log.exception("a question was not answered")
            self._counters.failed += 1
            return packets.reply(query, packets.SERVFAIL, limit)
        finally:
            self._waiting -= 1

    def _at_once(self, query: Query, limit: int) -> bytes | None:
        """The answer that needs nobody else, if there is one."""
        if query.version or query.type in _TRANSFERS:
            self._counters.refused += 1
            return packets.reply(query, packets.BADVERS if query.version else packets.REFUSED, limit)
        table = self._table.value
        if table is None or query.cls != packets.IN or query.type not in (packets.A, packets.AAAA):
            return None
        found = table.find(query.name, self._resolvers.search)
        return None if found is None else self._of_mesh(query, found, limit)

    async def _in_time(self, query: Query, limit: int, *, stream: bool) -> bytes:
        if self._table.value is None:
            return await self._unsynced(query, limit, stream=stream)
        answer = await self._forwarding.ask(query, stream=stream)
        if answer is None:
            self._counters.failed += 1
            return packets.reply(query, packets.SERVFAIL, limit)
        if packets.rcode_of(answer) == packets.NXDOMAIN and self._is_known(query):
            self._counters.mesh += 1
            return packets.reply(query, packets.NOERROR, limit)
        return self._forwarded(answer, limit)

    def wait_from(self, now: float) -> None:
        """Begin the time in which questions wait for the names of the mesh."""
        self._patient_until = now + self._settings.patience

    async def _unsynced(self, query: Query, limit: int, *, stream: bool) -> bytes:
        answer = None
        if not query.name.endswith(self._own):
            answer = await self._forwarding.ask(query, stream=stream)
            if answer and (packets.rcode_of(answer) != packets.NXDOMAIN or query.name.endswith(_REVERSE)):
                return self._forwarded(packets.fleeting(answer, self._settings.ttl), limit)
        await self._names_come()
        if self._table.value is not None:
            return self._at_once(query, limit) or await self._in_time(query, limit, stream=stream)
        self._counters.unsynced += 1
        return packets.reply(query, packets.SERVFAIL, limit)

    async def _names_come(self) -> None:
        """Wait for the names of the mesh, as long as there is hope."""
        now = asyncio.get_running_loop().time()
        if self._patient_until is not None and now < self._patient_until:
            try:
                wanted = self._table.until(lambda table: table is not None)
                await asyncio.wait_for(wanted, self._patient_until - now)
            except asyncio.TimeoutError:
                return

    def _of_mesh(self, query: Query, found: Found, limit: int) -> bytes:
        self._counters.mesh += 1
        records = found.addresses.a if query.type == packets.A else found.addresses.aaaa
        if not records:
            return packets.reply(query, packets.NOERROR, limit)
        size = packets.record_size(query.type)
        if len(records) > size:  # clients take the first: each address comes first as often
            start = random.randrange(0, len(records), size)  # noqa: S311 - spreads load, hides nothing
            records = records[start:] + records[:start]
        first = b""
        if found.target:
            first, records = packets.aliased(query, found.target, records, query.type, self._settings.ttl)
        answer = packets.reply(query, packets.NOERROR, limit, records, size, first)
        self._counters.truncated += packets.is_truncated(answer)
        return answer

    def _forwarded(self, answer: bytes, limit: int) -> bytes:
        self._counters.forwarded += 1
        self._counters.truncated += len(answer) > limit
        return packets.shortened(answer, limit)

    def _is_known(self, query: Query) -> bool:
        """Whether the mesh has the name that is asked for, though not what is asked of it."""
        table = self._table.value
        if table is None or query.cls != packets.IN:
            return False
        return table.find(query.name, self._resolvers.search) is not None
