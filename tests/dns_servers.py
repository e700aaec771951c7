"""DNS servers for tests: a host's resolver that says what a test has it say, and the agent's own server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from meshctl.agent.dns.server import Dns
from meshctl.agent.dns.settings import DnsSettings
from meshctl.agent.latest import Latest
from meshctl.agent.messages import NameTable

HOST = "127.0.0.1"
PATIENCE = 10.0
"""Seconds that a test waits for anything."""

Answer = Callable[[dns.message.Message, bool], "bytes | None"]


def free_port() -> int:
    """A port that neither UDP nor TCP uses just now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
            one.bind((HOST, 0))
            with suppress(OSError):
                other.bind((HOST, one.getsockname()[1]))
                return int(one.getsockname()[1])


def zone(records: Mapping[str, Mapping[str, list[str]]], ttl: int = 300) -> Answer:
    """What a resolver says that knows `records`, by name and type, and that there is nothing else."""

    def answer(asked: dns.message.Message, stream: bool) -> bytes:
        reply = dns.message.make_response(asked, recursion_available=True)
        name, kind = asked.question[0].name, asked.question[0].rdtype
        known = records.get(name.to_text().lower())
        if known is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif values := known.get(dns.rdatatype.to_text(kind)):
            reply.answer.append(dns.rrset.from_text_list(name, ttl, "IN", kind, values))
        if not reply.answer:
            soa = "ns.example. root.example. 1 2 3 4 900"
            reply.authority.append(dns.rrset.from_text("example.", ttl, "IN", "SOA", soa))
        limit = 65535 if stream else max(512, asked.payload if asked.edns >= 0 else 512)
        return limited(reply, limit)

    return answer


def limited(reply: dns.message.Message, limit: int) -> bytes:
    """A message on the wire; without its records, and truncated, if it is longer than `limit`."""
    wire = reply.to_wire(max_size=65535)
    if len(wire) <= limit:
        return wire
    reply.answer, reply.authority = [], []
    reply.flags |= dns.flags.TC
    return reply.to_wire()


class Resolver:
    """A resolver of the host, at a port of its own.

    Attributes:
        port: where it listens, for UDP and TCP.
        answer: what it says; None says nothing.
        asked: the questions that came, `name type udp` or `name type tcp`.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.port = free_port()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((HOST, self.port))
        self._listener = socket.create_server((HOST, self.port), backlog=64)
        for work in (self._read, self._accept):
            threading.Thread(target=work, daemon=True).start()

    @property
    def server(self) -> str:
        """As settings name it."""
        return f"{HOST}:{self.port}"

    def close(self) -> None:
        """Stop listening."""
        for each in (self._datagrams, self._listener):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _said(self, data: bytes, *, stream: bool) -> bytes | None:
        asked = dns.message.from_wire(data)
        question = asked.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{question.name.to_text()} {kind} {'tcp' if stream else 'udp'}")
        return self.answer(asked, stream)

    def _read(self) -> None:
        while True:
            try:
                data, client = self._datagrams.recvfrom(65535)
            except OSError:
                return
            if not data:
                return
            threading.Thread(target=self._reply, args=(data, client), daemon=True).start()

    def _reply(self, data: bytes, client: Any) -> None:
        said = self._said(data, stream=False)
        with suppress(OSError):
            if said is not None:
                self._datagrams.sendto(said, client)

    def _accept(self) -> None:
        while True:
            try:
                opened, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(opened,), daemon=True).start()

    def _talk(self, opened: socket.socket) -> None:
        with opened, suppress(OSError):
            opened.settimeout(PATIENCE)
            while head := opened.recv(2, socket.MSG_WAITALL):
                data = opened.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
                said = self._said(data, stream=True)
                if said is not None:
                    opened.sendall(len(said).to_bytes(2, "big") + said)


@contextmanager
def resolver(answer: Answer) -> Iterator[Resolver]:
    """A resolver that runs as long as the block does."""
    found = Resolver(answer)
    try:
        yield found
    finally:
        found.close()


def name_table(names: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A NameTable as istiod sends it, out of what a host's entry says by the names of its fields."""
    table = NameTable()
    for host, given in names.items():
        entry = table.table[host]
        entry.ips.extend(given.get("ips", ()))
        entry.alt_hosts.extend(given.get("altHosts", ()))
        entry.registry = given.get("registry", "External")
        entry.shortname = given.get("shortname", "")
        entry.namespace = given.get("namespace", "")
    return table.SerializeToString()


def service(name: str, namespace: str, *ips: str, domain: str = "svc.cluster.local") -> dict[str, Any]:
    """A service of Kubernetes in a name table: its host, and what is said of it."""
    said = {"ips": list(ips), "registry": "Kubernetes", "shortname": name, "namespace": namespace}
    return {f"{name}.{namespace}.{domain}": said}


class Running:
    """The agent's DNS server, in a thread of its own.

    Attributes:
        dns: the server.
        port: where it listens.
    """

    def __init__(self, settings: DnsSettings, names: bytes | None) -> None:
        self.port = settings.port
        self.loop = asyncio.new_event_loop()
        self.latest: Latest[bytes | None] = Latest(names)
        self.dns = Dns(settings, self.latest)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._task: asyncio.Task[None] | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._task = self.loop.create_task(self.dns.run())
        try:
            self.loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self.loop.run_until_complete(self._rest())
            self.loop.close()

    async def _rest(self) -> None:
        """End what a connection has just begun, as `asyncio.run` does."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_default_executor()
        await asyncio.sleep(0)

    def start(self) -> None:
        self._thread.start()
        until(lambda: self.dns.listening)
        if self.latest.value is not None:
            until(lambda: self.dns.counters.tables + self.dns.counters.bad_tables > 0)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the server does not end"

    def tell(self, names: bytes) -> None:
        """Have istiod tell names, and wait until they are taken over."""
        seen = self.dns.counters.tables + self.dns.counters.bad_tables
        self.loop.call_soon_threadsafe(self.latest.set, names)
        until(lambda: self.dns.counters.tables + self.dns.counters.bad_tables > seen)

    def ask(self, name: str, kind: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
        """What the server says."""
        return ask(self.port, name, kind, tcp=tcp, **options)

    def addresses(self, name: str, kind: str = "A") -> list[str]:
        """The addresses that it says, sorted."""
        return addresses(self.ask(name, kind))

    def raw(self, data: bytes, seconds: float = 0.3) -> bytes | None:
        """What it says to a datagram; None if it does not."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.settimeout(seconds)
            opened.sendto(data, (HOST, self.port))
            try:
                return opened.recv(65535)
            except TimeoutError:
                return None


@contextmanager
def running(names: bytes | None = None, **said: Any) -> Iterator[Running]:
    """The agent's DNS server with these settings, as long as the block runs; it has no resolvers."""
    given = {
        "enabled": True,
        "namespace": "ns1",
        "domain": "svc.cluster.local",
        "port": free_port(),
        "resolv_conf": "/nonexistent/resolv.conf",
        "servers": (f"{HOST}:1",),
        "timeout": 2.0,
        "patience": 0.0,
        **said,
    }
    found = Running(DnsSettings(**given), names)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def ask(port: int, name: str, kind: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
    """What a server on this machine says to a question; `options` are those of dnspython's `make_query`."""
    query = dns.message.make_query(name, kind, **options)
    if tcp:
        return dns.query.tcp(query, HOST, port=port, timeout=PATIENCE, one_rr_per_rrset=True)
    return dns.query.udp(query, HOST, port=port, timeout=PATIENCE, one_rr_per_rrset=True)


def addresses(message: dns.message.Message) -> list[str]:
    """The addresses in an answer, sorted."""
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return sorted(item.address for each in message.answer if each.rdtype in kinds for item in each)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
