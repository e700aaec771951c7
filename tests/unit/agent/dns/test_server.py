"""What clients of the agent's DNS server get, over UDP and TCP."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from meshctl.agent.dns.resolvers import Resolver, Resolvers
from meshctl.agent.dns.server import Dns
from meshctl.agent.dns.settings import DnsSettings
from meshctl.agent.latest import Latest
from meshctl.errors import FailedError
from tests.dns_messages import ANYTHING
from tests.dns_servers import HOST, addresses, free_port, name_table, resolver, running, service, until, zone

NAMES = name_table(
    {
        **service("reviews", "ns1", "10.0.0.1"),
        **service("ratings", "ns2", "10.0.0.2", "fd00::2"),
        **service("db", "ns1", *(f"10.1.0.{number}" for number in range(1, 4))),
        **service("giant", "ns1", *(f"10.2.{number >> 8}.{number & 255}" for number in range(1, 2001))),
        "db-0.db.ns1.svc.cluster.local": {
            "ips": ["10.1.0.1"], "registry": "Kubernetes", "shortname": "db-0.db", "namespace": "ns1",
        },
        "api.example.com": {"ips": ["240.240.0.1"]},
        "*.wild.example.com": {"ips": ["240.240.0.2"]},
        "only6.example.com": {"ips": ["2001:db8::6"]},
    }
)  # fmt: skip
OUTSIDE = {
    "www.example.org.": {"A": ["192.0.2.80"], "TXT": ['"hello"']},
    "big.example.org.": {"A": [f"192.0.2.{number}" for number in range(1, 200)]},
    "api.example.com.": {"MX": ["10 mail.example.com."]},
}


@pytest.mark.parametrize("tcp", [False, True])
def test_a_service_is_known_by_each_of_its_names(tcp: bool) -> None:
    with running(NAMES) as server:
        for name in ("reviews", "reviews.ns1", "reviews.ns1.svc", "reviews.ns1.svc.cluster.local"):
            answer = server.ask(name, tcp=tcp)
            assert addresses(answer) == ["10.0.0.1"]
            assert answer.rcode() == dns.rcode.NOERROR
            assert answer.flags & dns.flags.AA
            assert answer.flags & dns.flags.RA
            assert answer.answer[0].ttl == 30


def test_a_service_of_another_namespace_needs_its_namespace() -> None:
    with resolver(zone({})) as outside, running(NAMES, servers=(outside.server,)) as server:
        assert server.addresses("ratings.ns2") == ["10.0.0.2"]
        assert server.addresses("ratings.ns2", "AAAA") == ["fd00::2"]
        assert server.ask("ratings").rcode() == dns.rcode.NXDOMAIN


def test_a_headless_service_has_all_its_addresses_and_each_comes_first_at_times() -> None:
    with running(NAMES) as server:
        firsts = set()
        for _ in range(60):
            answer = server.ask("db")
            assert addresses(answer) == ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
            firsts.add(answer.answer[0][0].address)
        assert len(firsts) == 3
        assert server.addresses("db-0.db.ns1.svc.cluster.local") == ["10.1.0.1"]
        assert server.addresses("db-0.db") == ["10.1.0.1"]


def test_hosts_of_service_entries_have_their_addresses_and_wildcards_all_below() -> None:
    with resolver(zone({})) as outside, running(NAMES, servers=(outside.server,)) as server:
        assert server.addresses("api.example.com") == ["240.240.0.1"]
        assert server.addresses("a.wild.example.com") == ["240.240.0.2"]
        assert server.addresses("a.b.wild.example.com") == ["240.240.0.2"]
        assert server.ask("wild.example.com").rcode() == dns.rcode.NXDOMAIN


def test_a_name_without_addresses_of_a_kind_has_none_and_yet_exists() -> None:
    with running(NAMES) as server:
        for name, kind in (("reviews", "AAAA"), ("only6.example.com", "A")):
            answer = server.ask(name, kind)
            assert answer.rcode() == dns.rcode.NOERROR
            assert answer.answer == []
            assert answer.flags & dns.flags.AA


def test_a_name_with_the_search_domain_behind_it_is_an_alias_of_the_name() -> None:
    with running(NAMES, search=("ns1.svc.cluster.local",)) as server:
        answer = server.ask("api.example.com.ns1.svc.cluster.local")
        assert [each.to_text() for each in answer.answer] == [
            "api.example.com.ns1.svc.cluster.local. 30 IN CNAME api.example.com.",
            "api.example.com. 30 IN A 240.240.0.1",
        ]
        wild = server.ask("x.wild.example.com.ns1.svc.cluster.local")
        assert [each.to_text() for each in wild.answer] == [
            "x.wild.example.com.ns1.svc.cluster.local. 30 IN CNAME x.wild.example.com.",
            "x.wild.example.com. 30 IN A 240.240.0.2",
        ]
        assert server.ask("api.example.com.ns1.svc.cluster.local", "AAAA").answer == []


def test_the_answer_repeats_the_question_to_the_letter() -> None:
    with running(NAMES) as server:
        answer = server.ask("ReViEwS.Ns1.SVC.cluster.LOCAL")
        assert answer.question[0].name.to_text() == "ReViEwS.Ns1.SVC.cluster.LOCAL."
        assert addresses(answer) == ["10.0.0.1"]


@pytest.mark.parametrize("tcp", [False, True])
def test_what_the_mesh_does_not_know_the_hosts_resolver_answers(tcp: bool) -> None:
    with resolver(zone(OUTSIDE)) as outside, running(NAMES, servers=(outside.server,)) as server:
        assert addresses(server.ask("www.example.org", tcp=tcp)) == ["192.0.2.80"]
        assert server.ask("www.example.org", "TXT", tcp=tcp).answer[0][0].to_text() == '"hello"'
        missing = server.ask("nowhere.example.org", tcp=tcp)
        assert missing.rcode() == dns.rcode.NXDOMAIN
        assert missing.authority[0].rdtype == dns.rdatatype.SOA
        assert {each.rpartition(" ")[2] for each in outside.asked} == {"tcp" if tcp else "udp"}
        assert server.dns.counters.forwarded == 3


def test_other_records_of_a_mesh_host_come_from_the_resolver_but_its_absence_does_not() -> None:
    with resolver(zone(OUTSIDE)) as outside, running(NAMES, servers=(outside.server,)) as server:
        assert server.ask("api.example.com", "MX").answer[0][0].to_text() == "10 mail.example.com."
        answer = server.ask("reviews.ns1.svc.cluster.local", "TXT")
        assert answer.rcode() == dns.rcode.NOERROR
        assert answer.answer == answer.authority == []


def test_a_long_answer_is_cut_for_udp_and_whole_for_tcp() -> None:
    with running(NAMES) as server:
        cut = server.ask("giant")
        assert cut.flags & dns.flags.TC
        assert len(addresses(cut)) == (512 - 12 - 11) // 16
        assert len(cut.to_wire()) <= 512
        whole = server.ask("giant", tcp=True)
        assert len(addresses(whole)) == 2000
        assert not whole.flags & dns.flags.TC
        assert server.dns.counters.truncated == 1


def test_a_client_with_edns_gets_as_much_as_it_takes_and_edns_back() -> None:
    with running(NAMES) as server:
        answer = server.ask("giant", use_edns=0, payload=4096, want_dnssec=True)
        assert answer.edns == 0
        assert answer.ednsflags & dns.flags.DO
        assert answer.flags & dns.flags.TC
        assert len(addresses(answer)) == (4096 - 12 - 11 - 11) // 16
        assert len(addresses(server.ask("giant", use_edns=0, payload=65535))) == 2000
        assert server.ask("reviews").edns == -1
        tiny = server.ask("db", use_edns=0, payload=100)
        assert len(addresses(tiny)) == 3


def test_an_unknown_version_of_edns_is_refused_by_its_name() -> None:
    with running(NAMES) as server:
        answer = server.ask("reviews", use_edns=1)
        assert answer.rcode() == dns.rcode.BADVERS
        assert answer.answer == []


def test_a_long_answer_of_the_resolver_goes_on_as_far_as_the_client_takes_it() -> None:
    def whole(asked: dns.message.Message, stream: bool) -> bytes:
        return zone(OUTSIDE)(asked, True)  # more than was asked for

    with resolver(whole) as outside, running(NAMES, servers=(outside.server,)) as server:
        cut = server.ask("big.example.org")
        assert cut.flags & dns.flags.TC
        assert 0 < len(addresses(cut)) < 199
        assert len(cut.to_wire()) <= 512
        assert len(addresses(server.ask("big.example.org", use_edns=0, payload=4096))) == 199
        assert len(addresses(server.ask("big.example.org", tcp=True))) == 199


def test_before_the_first_names_answers_are_good_but_short_lived_and_denials_are_failures() -> None:
    with resolver(zone(OUTSIDE)) as outside, running(None, servers=(outside.server,)) as server:
        assert not server.dns.synced
        answer = server.ask("www.example.org")
        assert addresses(answer) == ["192.0.2.80"]
        assert answer.answer[0].ttl == 30
        nothing = server.ask("www.example.org", "AAAA")
        assert nothing.rcode() == dns.rcode.NOERROR
        assert nothing.authority == []  # nobody keeps it
        assert server.ask("reviews").rcode() == dns.rcode.SERVFAIL
        assert server.ask("1.0.0.10.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN
        server.tell(NAMES)
        assert server.dns.synced
        assert server.addresses("reviews") == ["10.0.0.1"]
        assert server.ask("nowhere.example.org").rcode() == dns.rcode.NXDOMAIN
        assert server.ask("www.example.org").answer[0].ttl == 300


def test_before_the_first_names_nobody_else_is_asked_about_the_clusters_own() -> None:
    liar = zone(
        {name: {"A": ["192.0.2.66"]} for name in ("reviews.ns1.svc.cluster.local.", "reviews.ns1.svc.")}
    )
    with resolver(liar) as outside, running(None, servers=(outside.server,)) as server:
        for name in ("reviews.ns1.svc.cluster.local", "reviews.ns1.svc"):
            assert server.ask(name).rcode() == dns.rcode.SERVFAIL
        assert outside.asked == []
        assert server.dns.counters.unsynced == 2


def test_a_question_that_only_the_mesh_can_answer_waits_for_its_names() -> None:
    with (
        resolver(zone(OUTSIDE)) as outside,
        running(None, servers=(outside.server,), patience=30.0) as server,
        ThreadPoolExecutor(3) as clients,
    ):
        mesh = clients.submit(server.ask, "reviews.ns1.svc.cluster.local")
        short = clients.submit(server.ask, "reviews", tcp=True)
        unknown = clients.submit(server.ask, "nowhere.example.org")
        until(lambda: server.dns.counters.udp + server.dns.counters.tcp == 3)
        server.tell(NAMES)
        assert addresses(mesh.result()) == addresses(short.result()) == ["10.0.0.1"]
        assert unknown.result().rcode() == dns.rcode.NXDOMAIN


def test_names_that_cannot_be_read_leave_those_before() -> None:
    with running(NAMES) as server:
        server.tell(b"\xff\xff\xff")
        assert server.dns.counters.bad_tables == 1
        assert server.addresses("reviews") == ["10.0.0.1"]
        server.tell(name_table({}))
        assert server.dns.names == 0


def test_a_change_of_resolv_conf_counts_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshctl.agent.dns.resolvers._LOOK", 0.0)
    file = tmp_path / "resolv.conf"
    file.write_text("search corp.example\n")
    with running(NAMES, resolv_conf=str(file)) as server:
        assert server.ask("api.example.com.corp.example").answer[0].rdtype == dns.rdatatype.CNAME
        file.write_text("search other.example.net\n")
        assert server.ask("api.example.com.corp.example").rcode() == dns.rcode.SERVFAIL
        assert server.ask("api.example.com.other.example.net").answer[0].rdtype == dns.rdatatype.CNAME


def test_many_questions_on_one_connection_are_answered_as_their_answers_come() -> None:
    def slow_for_some(asked: dns.message.Message, stream: bool) -> bytes | None:
        return None if "slow" in asked.question[0].name.to_text() else zone(OUTSIDE)(asked, stream)

    with (
        resolver(slow_for_some) as outside,
        running(NAMES, servers=(outside.server,), timeout=0.5) as server,
        socket.create_connection((HOST, server.port)) as opened,
    ):
        names = ["slow.example.org", "reviews", "www.example.org", "db"]
        queries = [dns.message.make_query(name, "A") for name in names]
        for query in queries:
            dns.query.send_tcp(opened, query)
        opened.shutdown(socket.SHUT_WR)
        got = [dns.query.receive_tcp(opened, 10.0)[0] for _ in queries]
        by_id = {answer.id: answer for answer in got}
        assert [by_id[query.id].rcode() for query in queries] == [dns.rcode.SERVFAIL, 0, 0, 0]
        assert got[-1].id == queries[0].id
        assert opened.recv(1) == b""


def test_more_clients_over_tcp_than_are_served_are_closed() -> None:
    with running(NAMES, connections=2) as server:
        held = [socket.create_connection((HOST, server.port)) for _ in range(2)]
        for each in held:
            dns.query.send_tcp(each, dns.message.make_query("reviews", "A"))
            dns.query.receive_tcp(each, 10.0)
        with socket.create_connection((HOST, server.port)) as further:
            further.settimeout(10.0)
            assert further.recv(1) == b""
        for each in held:
            each.close()
        until(lambda: not server.dns._connections.tasks)
        assert addresses(server.ask("reviews", tcp=True)) == ["10.0.0.1"]


def test_a_client_over_tcp_that_asks_nothing_is_closed() -> None:
    with running(NAMES, idle=0.1) as server, socket.create_connection((HOST, server.port)) as opened:
        opened.settimeout(10.0)
        opened.sendall(b"\x00")
        assert opened.recv(1) == b""


@pytest.mark.parametrize(
    "sent", [b"\x00\x00", b"\xff\xff" + b"x" * 100, b"\x00\x04abcd", b"\x00\x0c" + b"\xff" * 12]
)
def test_a_client_over_tcp_that_sends_no_question_is_closed(sent: bytes) -> None:
    with running(NAMES) as server, socket.create_connection((HOST, server.port)) as opened:
        opened.settimeout(10.0)
        opened.sendall(sent)
        assert opened.recv(1) == b""


def test_more_questions_than_wait_at_once_fail_at_once() -> None:
    with (
        resolver(lambda *_: None) as silent,
        running(NAMES, servers=(silent.server,), forwarded=4) as server,
        ThreadPoolExecutor(12) as clients,
    ):
        asked = [clients.submit(server.ask, f"n{number}.example.org") for number in range(12)]
        until(lambda: server.dns.counters.refused >= 8)
        assert server.addresses("reviews") == ["10.0.0.1"]  # the mesh's own go on
        assert {each.result().rcode() for each in asked} == {dns.rcode.SERVFAIL}


def test_answers_are_not_answered_and_what_is_no_question_is_refused() -> None:
    with running(NAMES) as server:
        query = dns.message.make_query("reviews", "A")
        answer = dns.message.make_response(query)
        assert server.raw(answer.to_wire()) is None
        assert server.raw(b"") is None
        assert server.raw(b"\x00" * 11) is None
        update = bytearray(query.to_wire())
        update[2] |= 5 << 3
        assert dns.message.from_wire(server.raw(bytes(update)) or b"").rcode() == dns.rcode.NOTIMP
        twice = bytearray(query.to_wire())
        twice[5] = 2
        assert dns.message.from_wire(server.raw(bytes(twice)) or b"").rcode() == dns.rcode.FORMERR
        assert server.ask("reviews", "AXFR", tcp=True).rcode() == dns.rcode.REFUSED
        assert server.dns.counters.ignored == 3


def test_another_class_than_the_internets_is_not_the_meshs() -> None:
    with resolver(zone({})) as outside, running(NAMES, servers=(outside.server,)) as server:
        answer = server.ask("reviews", "A", rdclass="CH")
        assert answer.answer == []
        assert len(outside.asked) == 1


def test_ipv6_clients_are_answered_where_the_host_has_ipv6() -> None:
    with running(NAMES) as server:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 on its loopback interface")
        query = dns.message.make_query("reviews", "A")
        for way in (dns.query.udp, dns.query.tcp):
            assert addresses(way(query, "::1", port=server.port, timeout=10)) == ["10.0.0.1"]


def settings(port: int, *, enabled: bool = True) -> DnsSettings:
    return DnsSettings(enabled, "ns1", "svc.cluster.local", port)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_that_is_in_use_is_named_and_no_other_stays_open(kind: int) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((HOST, port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(FailedError, match=f"port {port} of 127.0.0.1 cannot be opened") as told:
            asyncio.run(Dns(settings(port), Latest(None)).run())
        assert f"sport = :{port}" in told.value.hint


def test_a_server_that_is_off_opens_no_port_and_is_ready() -> None:
    async def some_time() -> Dns:
        server = Dns(settings(port, enabled=False), Latest(None))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(server.run(), 0.05)
        return server

    port = free_port()
    assert asyncio.run(some_time()).synced


def test_the_table_can_be_looked_at() -> None:
    with running(NAMES) as server:
        table = server.dns.table()
        assert table["reviews.ns1"] == ["10.0.0.1"]
        assert table["ratings.ns2.svc.cluster.local"] == ["10.0.0.2", "fd00::2"]
        assert table["*.wild.example.com"] == ["240.240.0.2"]
        assert len(table) == server.dns.names


def test_a_fault_of_ours_costs_one_answer_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> list[Resolver]:
        raise RuntimeError("a fault")

    with running(NAMES) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Resolvers, "in_order", faulty)
            assert server.ask("www.example.org").rcode() == dns.rcode.SERVFAIL
            assert server.ask("www.example.org", tcp=True).rcode() == dns.rcode.SERVFAIL
        assert server.addresses("reviews") == ["10.0.0.1"]


def test_a_server_that_was_stopped_starts_again_with_the_names_it_had() -> None:
    async def twice() -> list[int]:
        server = Dns(settings(port), Latest(NAMES))
        known = []
        for _ in range(2):
            running_ = asyncio.ensure_future(server.run())
            while not (server.listening and server.synced):
                await asyncio.sleep(0.001)
            known.append(server.names)
            running_.cancel()
            await asyncio.wait([running_])
            assert running_.cancelled()
        return known

    port = free_port()
    first, second = asyncio.run(twice())
    assert first == second > 0


@hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_comes_the_server_goes_on_and_says_nothing_that_was_not_asked(data: st.DataObject) -> None:
    sent = data.draw(st.lists(ANYTHING, min_size=20, max_size=60))
    last = dns.message.make_query("reviews", "A", id=4242)
    with running(NAMES) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(10.0)
        for each in [*sent, last.to_wire()]:
            opened.sendto(each, (HOST, server.port))
        got = opened.recv(65535)
        while got[:2] != last.to_wire()[:2] or not last.is_response(dns.message.from_wire(got)):
            answer = dns.message.from_wire(got)
            asked = [each for each in sent if each[:2] == got[:2]]
            assert asked
            assert answer.flags & dns.flags.QR
            if answer.question:
                question = got[12 : 12 + len(answer.question[0].name.to_wire()) + 4]
                assert any(each[12:].startswith(question) for each in asked)
            got = opened.recv(65535)
        assert addresses(dns.message.from_wire(got)) == ["10.0.0.1"]
