"""Which resolvers the host has, whatever its files hold."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.agent.dns import packets
from meshctl.agent.dns.resolvers import Resolver, Resolvers, read_resolv_conf, resolver
from meshctl.agent.dns.settings import DnsSettings
from meshctl.errors import ConfigError

FUZZ = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Host:
    """A host's files, and a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "resolv.conf"
        self.behind = folder / "behind.conf"
        self.now = 100.0

    def resolvers(self, **said: object) -> Resolvers:
        given_ = {"resolv_conf": str(self.file), **said}
        settings = DnsSettings(True, "ns1", "svc.cluster.local", **given_)  # type: ignore[arg-type]
        return Resolvers(settings, behind_stub=self.behind, clock=lambda: self.now)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def hosts(found: Resolvers) -> list[str]:
    return [str(each.address[0]) for each in found.in_order()]


def test_resolvers_are_asked_in_the_files_order_and_those_that_are_none_are_not(host: Host) -> None:
    host.file.write_text(
        "# nameserver 9.9.9.9\nnameserver 10.0.0.2\nnameserver dns.example\nnameserver 2001:db8::1 x\n"
    )
    assert hosts(host.resolvers()) == ["10.0.0.2", "2001:db8::1"]


def test_a_file_that_names_none_or_is_missing_means_the_host_itself(host: Host) -> None:
    assert host.resolvers().in_order() == [Resolver(socket.AF_INET, ("127.0.0.1", 53))]
    host.file.write_text("search corp.example\n")
    assert hosts(host.resolvers()) == ["127.0.0.1"]
    host.file.unlink()
    host.file.mkdir()
    assert hosts(host.resolvers()) == ["127.0.0.1"]


def test_a_change_of_the_file_counts_after_a_second_and_not_before(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\nsearch a.example\n")
    found = host.resolvers()
    assert (hosts(found), found.search) == (["10.0.0.2"], packets.to_wire("a.example"))
    host.file.write_text("nameserver 10.0.0.30\n")
    assert hosts(found) == ["10.0.0.2"]
    host.now += 1.0
    assert (hosts(found), found.search) == (["10.0.0.30"], b"")
    new = host.file.with_name("new")
    new.write_text("nameserver 10.0.0.40\n")
    new.rename(host.file)
    host.now += 1.0
    assert hosts(found) == ["10.0.0.40"]


@pytest.mark.parametrize("stub", ["127.0.0.53", "127.0.0.54"])
def test_where_resolved_is_captured_too_those_are_asked_that_it_asks(host: Host, stub: str) -> None:
    host.file.write_text(f"nameserver {stub}\noptions edns0 trust-ad\nsearch corp.example\n")
    host.behind.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch other.example\n")
    assert hosts(host.resolvers()) == [stub]
    found = host.resolvers(all_captured=True)
    assert hosts(found) == ["10.0.0.2", "10.0.0.3"]
    assert found.search == packets.to_wire("corp.example")
    host.behind.write_text("nameserver 10.0.0.44\n")
    host.now += 1.0
    assert hosts(found) == ["10.0.0.44"]


def test_resolved_itself_is_asked_where_it_names_nobody(host: Host) -> None:
    host.file.write_text("nameserver 127.0.0.53\n")
    assert hosts(host.resolvers(all_captured=True)) == ["127.0.0.53"]


def test_this_server_does_not_ask_itself(host: Host) -> None:
    assert host.resolvers(servers=("127.0.0.1:15053", "[::1]:15053")).in_order() == []
    assert hosts(host.resolvers(servers=("127.0.0.1:15053", "127.0.0.1:53"))) == ["127.0.0.1"]
    host.file.write_text("nameserver 127.0.0.1\nnameserver 10.0.0.2\n")
    assert hosts(host.resolvers(port=53)) == ["10.0.0.2"]


def test_an_operators_resolvers_and_search_domains_go_before_the_files(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\nsearch a.example\n")
    found = host.resolvers(
        servers=("192.0.2.1", "192.0.2.2:5353", "[2001:db8::2]:54"), search=("B.example.",)
    )
    assert [each.address[:2] for each in found.in_order()] == [
        ("192.0.2.1", 53), ("192.0.2.2", 5353), ("2001:db8::2", 54),
    ]  # fmt: skip
    assert found.search == packets.to_wire("b.example")


BAD = (
    "",
    "dns.example",
    "10.0.0.2:0",
    "10.0.0.2:65536",
    "10.0.0.2:x",
    "10.0.0.2:\u0967",
    "10.0.0.2\n",
    "1.2.3",
)
BAD_TOO = ("[::1]x", "[]:53", "::1%nowhere", "10.0.0.2:+53")


@pytest.mark.parametrize("text", [*BAD, *BAD_TOO])
def test_a_resolver_that_is_no_address_is_named(host: Host, text: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        host.resolvers(servers=(text,))


def test_a_search_domain_that_is_no_name_is_named(host: Host) -> None:
    with pytest.raises(ConfigError, match=r"search domain 'a\.\.b'"):
        host.resolvers(search=("a..b",))


def test_who_did_not_answer_is_asked_last_for_a_while(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\n")
    found = host.resolvers()
    first = found.in_order()[0]
    found.failed(first)
    assert hosts(found) == ["10.0.0.3", "10.0.0.2"]
    host.now += 31.0
    assert hosts(found) == ["10.0.0.2", "10.0.0.3"]
    found.failed(first)
    found.answered(first)
    assert hosts(found) == ["10.0.0.2", "10.0.0.3"]


def test_who_did_not_answer_stays_last_when_the_file_changes(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\n")
    found = host.resolvers()
    found.failed(found.in_order()[0])
    host.file.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch corp.example\n")
    host.now += 1.0
    assert hosts(found) == ["10.0.0.3", "10.0.0.2"]


def test_resolvers_take_turns_where_the_file_says_so(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\noptions rotate\n")
    found = host.resolvers()
    assert {hosts(found)[0] for _ in range(2)} == {"10.0.0.2", "10.0.0.3"}


def test_the_next_is_asked_before_the_hosts_programs_lose_their_patience(host: Host) -> None:
    host.file.write_text("nameserver 10.0.0.2\noptions timeout:1 attempts:1\n")
    found = host.resolvers()
    assert found.pause == 0.5
    for said, seconds in (("30", 1.0), ("x", 1.0), ("", 1.0), ("0", 0.5)):
        host.file.write_text(f"options timeout:{said}\n")
        host.now += 1.0
        assert found.pause == seconds


@pytest.mark.parametrize(
    "said",
    [{"timeout": 0.0}, {"retry": -1.0}, {"forwarded": 0}, {"connections": 0}, {"ttl": -1}, {"ttl": 2**31}],
)
def test_a_number_that_cannot_work_is_named(host: Host, said: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"'{next(iter(said))}' of dns has to be"):
        host.resolvers(**said)


def test_an_address_of_a_link_names_its_interface(host: Host) -> None:
    index = socket.if_nametoindex("lo")
    assert resolver("fe80::1%lo") == Resolver(socket.AF_INET6, ("fe80::1", 53, 0, index))
    assert resolver("[fe80::1%7]:5353") == Resolver(socket.AF_INET6, ("fe80::1", 5353, 0, 7))


def test_the_last_of_several_search_lines_counts() -> None:
    conf = read_resolv_conf("search a.example b.example\ndomain c.example d.example\n")
    assert conf.search == ("c.example",)
    assert read_resolv_conf("search a.example\nsearch\n").search == ()
    assert read_resolv_conf("domain\r\nnameserver\t10.0.0.2\r\n").servers == ("10.0.0.2",)


WORDS = st.sampled_from(
    ["nameserver", "search", "domain", "options", "rotate", "127.0.0.53", "::1%lo", "#", ";", "a.b"]
)
LINES = st.lists(st.lists(WORDS | st.text(max_size=6), max_size=4).map(" ".join), max_size=6).map("\n".join)


@FUZZ
@given(LINES | st.text(max_size=60), st.binary(max_size=60))
def test_any_file_names_resolvers_that_can_be_asked(text: str, behind: bytes) -> None:
    conf = read_resolv_conf(text)
    for each in conf.servers:
        found = resolver(each)
        assert found is None or found.family in (socket.AF_INET, socket.AF_INET6)
    read_resolv_conf(behind.decode(errors="replace"))


@FUZZ
@given(st.binary(max_size=80))
def test_any_bytes_of_a_file_leave_a_list_of_resolvers(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "resolvers"
    folder.mkdir(exist_ok=True)
    host = Host(folder)
    host.file.write_bytes(b"nameserver 127.0.0.53\n" + data)
    host.behind.write_bytes(data)
    found = host.resolvers(all_captured=True)
    assert all(isinstance(each, Resolver) for each in found.in_order())
    assert isinstance(found.search, bytes)
