"""Asking the host's resolvers: the second one, those that lie, those that ask us in turn."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import dns.message
import dns.rcode
import pytest

from tests.dns_servers import HOST, Answer, addresses, free_port, name_table, resolver, running, until, zone

NAMES = name_table({"api.example.com": {"ips": ["240.0.0.1"]}})
GOOD = zone({"www.example.org.": {"A": ["192.0.2.80"]}})


def silent(asked: dns.message.Message, stream: bool) -> bytes | None:
    return None


def saying(rcode: dns.rcode.Rcode) -> Answer:
    def answer(asked: dns.message.Message, stream: bool) -> bytes:
        reply = dns.message.make_response(asked)
        reply.set_rcode(rcode)
        return reply.to_wire()

    return answer


@pytest.mark.parametrize("tcp", [False, True])
def test_the_second_resolver_answers_where_the_first_is_silent_and_goes_first_from_then_on(tcp: bool) -> None:
    with (
        resolver(silent) as first,
        resolver(GOOD) as second,
        running(NAMES, servers=(first.server, second.server), retry=0.5, timeout=60.0) as server,
    ):
        assert addresses(server.ask("www.example.org", tcp=tcp)) == ["192.0.2.80"]
        asked = len(first.asked)
        assert asked >= 1
        assert addresses(server.ask("www.example.org", tcp=tcp)) == ["192.0.2.80"]
        assert len(first.asked) == asked


@pytest.mark.parametrize("tcp", [False, True])
def test_a_resolver_that_is_not_there_costs_no_time(tcp: bool) -> None:
    with (
        resolver(GOOD) as second,
        running(NAMES, servers=(f"{HOST}:{free_port()}", second.server), retry=60.0, timeout=60.0) as server,
    ):
        assert addresses(server.ask("www.example.org", tcp=tcp)) == ["192.0.2.80"]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
def test_a_resolver_that_fails_is_heard_only_if_no_other_does_better(rcode: dns.rcode.Rcode) -> None:
    with (
        resolver(saying(rcode)) as first,
        resolver(GOOD) as second,
        running(NAMES, servers=(first.server, second.server), retry=60.0, timeout=60.0) as server,
    ):
        assert addresses(server.ask("www.example.org")) == ["192.0.2.80"]
        second.answer = saying(dns.rcode.SERVFAIL)
        assert server.ask("www.example.org").rcode() == rcode
        assert len(first.asked) == 2


def test_a_denial_is_an_answer_and_nobody_else_is_asked() -> None:
    with (
        resolver(zone({})) as first,
        resolver(GOOD) as second,
        running(NAMES, servers=(first.server, second.server)) as server,
    ):
        assert server.ask("www.example.org").rcode() == dns.rcode.NXDOMAIN
        assert second.asked == []


def test_a_question_that_gets_lost_is_asked_again() -> None:
    seen: list[int] = []

    def from_the_second_on(asked: dns.message.Message, stream: bool) -> bytes | None:
        seen.append(asked.id)
        return GOOD(asked, stream) if len(seen) > 1 else None

    with (
        resolver(from_the_second_on) as outside,
        running(NAMES, servers=(outside.server,), retry=0.1, timeout=60.0) as server,
    ):
        assert addresses(server.ask("www.example.org")) == ["192.0.2.80"]
        assert len(seen) >= 2


@pytest.mark.parametrize("tcp", [False, True])
def test_when_nobody_answers_the_client_is_told_in_time(tcp: bool) -> None:
    with (
        resolver(silent) as outside,
        running(NAMES, servers=(outside.server,), timeout=0.3, retry=0.1) as server,
    ):
        began = time.monotonic()
        assert server.ask("www.example.org", tcp=tcp).rcode() == dns.rcode.SERVFAIL
        assert time.monotonic() - began > 0.25
        assert server.dns.counters.failed == 1


def test_a_host_without_resolvers_answers_what_the_mesh_knows() -> None:
    port = free_port()
    with running(NAMES, port=port, servers=(f"{HOST}:{port}",)) as server:
        assert server.addresses("api.example.com") == ["240.0.0.1"]
        assert server.ask("www.example.org").rcode() == dns.rcode.SERVFAIL


def lies(asked: dns.message.Message, number: int) -> bytes:
    """Answers that do not fit: another id, question, type, no answer at all, cut off, no DNS."""
    other = dns.message.make_query("other.example.org" if number == 1 else "www.example.org", "A")
    other.id = asked.id ^ (1 if number == 0 else 0)
    if number == 2:
        other.question[0].rdtype = dns.rdatatype.AAAA
    reply = dns.message.make_response(other)
    reply.answer.append(dns.rrset.from_text("www.example.org.", 60, "IN", "A", "192.0.2.66"))
    wire = reply.to_wire()
    return (wire, wire, wire, asked.to_wire(), wire[:-3], b"\xff" * 40)[number]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("tcp", [False, True])
def test_an_answer_that_does_not_fit_its_question_reaches_nobody(number: int, tcp: bool) -> None:
    with (
        resolver(lambda asked, stream: lies(asked, number)) as liar,
        resolver(GOOD) as second,
        running(NAMES, servers=(liar.server, second.server), retry=0.1, timeout=60.0) as server,
    ):
        assert addresses(server.ask("www.example.org", tcp=tcp)) == ["192.0.2.80"]
        assert liar.asked


def test_a_true_answer_behind_false_ones_is_taken() -> None:
    def both(asked: dns.message.Message, stream: bool) -> bytes:
        for number in range(6):
            outside._datagrams.sendto(lies(asked, number), clients[-1])
        return GOOD(asked, stream)

    clients: list[tuple[str, int]] = []
    with (
        resolver(both) as outside,
        running(NAMES, servers=(outside.server,), retry=60.0, timeout=60.0) as server,
    ):
        reply = outside._reply
        outside._reply = lambda data, client: (clients.append(client), reply(data, client))[1]  # type: ignore[method-assign]
        assert addresses(server.ask("www.example.org")) == ["192.0.2.80"]


def test_all_resolvers_are_asked_at_once_where_that_is_set() -> None:
    with (
        resolver(silent) as first,
        resolver(GOOD) as second,
        running(
            NAMES, servers=(first.server, second.server), retry=60.0, timeout=60.0, parallel=True
        ) as server,
    ):
        assert addresses(server.ask("www.example.org")) == ["192.0.2.80"]
        until(lambda: len(first.asked) == 1)


def test_questions_that_are_alike_are_asked_once_while_they_are_under_way() -> None:
    def slow(asked: dns.message.Message, stream: bool) -> bytes:
        until(lambda: server.dns.counters.udp >= 8)
        return GOOD(asked, stream)

    with (
        resolver(slow) as outside,
        running(NAMES, servers=(outside.server,), retry=60.0, timeout=60.0) as server,
        ThreadPoolExecutor(8) as clients,
    ):
        asked = [clients.submit(server.ask, "www.example.org") for _ in range(8)]
        assert {tuple(addresses(each.result())) for each in asked} == {("192.0.2.80",)}
        assert len(outside.asked) == 1
        assert addresses(server.ask("www.example.org")) == ["192.0.2.80"]
        assert len(outside.asked) == 2  # nothing is kept


def test_a_resolver_that_asks_us_in_turn_makes_no_storm() -> None:
    def back(asked: dns.message.Message, stream: bool) -> bytes | None:
        return server.raw(asked.to_wire(), 2.0)

    with (
        resolver(back) as outside,
        running(NAMES, servers=(outside.server,), timeout=0.5, retry=0.1) as server,
    ):
        assert server.ask("www.example.org").rcode() == dns.rcode.SERVFAIL
        assert len(outside.asked) < 10
