"""What is captured, and what never is: the same by iptables and by nftables."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from meshctl.agent.capture.iptables import Iptables
from meshctl.agent.capture.nftables import Nftables
from meshctl.agent.capture.options import options
from meshctl.agent.capture.rules import Host, Table, tables
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.capture.tools import Tools
from tests import netfilter
from tests.netfilter import Packet, Rules, Verdict

AGENT = 990
HOST = Host(
    uids=(AGENT,),
    gids=(AGENT,),
    resolvers=(ip_address("127.0.0.53"), ip_address("fd00::53")),
    ssh_ports=(22, 2222),
    peers=(ip_network("198.51.100.9"), ip_network("2001:db8::9")),
    ipv6=True,
)
DNS = CaptureSettings(dns=True)

INBOUND = Packet("PREROUTING", "tcp", "10.0.0.9", "10.0.0.2", 40000, 8080, "eth0")
OUTBOUND = Packet(
    "OUTPUT", "tcp", "10.0.0.2", "10.96.3.4", 40000, 80, "eth0", uid=1000, gid=1000, local=False
)
QUESTION = replace(OUTBOUND, protocol="udp", destination="127.0.0.53", dport=53, interface="lo", local=True)


def by_iptables(made: tuple[Table, ...]) -> Rules:
    texts: dict[int, list[str]] = {4: [], 6: []}
    for table in made:
        texts[table.family] += [f"*{table.name}", *Iptables(Tools(), "nft").render(table), "COMMIT"]
    return netfilter.iptables({family: "\n".join(lines) for family, lines in texts.items()})


def by_nftables(made: tuple[Table, ...]) -> Rules:
    text = "\n".join(line for table in made for line in Nftables(Tools()).render(table))
    return netfilter.nftables(text, {f"meshctl_{name}": name for name in ("nat", "raw", "mangle")})


def verdict(settings: CaptureSettings, packet: Packet, host: Host = HOST) -> Verdict:
    """What becomes of a packet, by both."""
    made = tables(options(settings), host)
    found = by_iptables(made).verdict(packet)
    assert found == by_nftables(made).verdict(packet)
    return found


@pytest.mark.parametrize(
    ("what", "settings", "packet", "expected"),
    [
        ("inbound goes to Envoy", DNS, INBOUND, 15006),
        ("inbound of IPv6, too", DNS, replace(INBOUND, source="fd00::9", destination="fd00::2"), 15006),
        ("outbound goes to Envoy", DNS, OUTBOUND, 15001),
        ("outbound of IPv6, too", DNS, replace(OUTBOUND, source="fd00::2", destination="fd00::7"), 15001),
        ("UDP does not", DNS, replace(OUTBOUND, protocol="udp"), 0),
        ("what the proxy sends goes out", DNS, replace(OUTBOUND, uid=AGENT, gid=AGENT), 0),
        ("SSH is reached", DNS, replace(INBOUND, dport=22), 0),
        ("SSH at another port, too", DNS, replace(INBOUND, dport=2222), 0),
        (
            "SSH is reached where its port is named",
            replace(DNS, inbound_ports=("22",)),
            replace(INBOUND, dport=22),
            0,
        ),
        ("the controller is not captured", DNS, replace(INBOUND, source="198.51.100.9"), 0),
        ("nor is what goes to it", DNS, replace(OUTBOUND, destination="198.51.100.9"), 0),
        ("nor over IPv6", DNS, replace(INBOUND, source="2001:db8::9", destination="fd00::2"), 0),
        ("sessions from before go on", DNS, replace(INBOUND, opening=False), 0),
        ("and those of this host", DNS, replace(OUTBOUND, sport=2022, opening=False), 0),
        ("the agent's own ports are reached", DNS, replace(INBOUND, dport=15020), 0),
        ("tunnels are reached", DNS, replace(INBOUND, dport=15008), 0),
        ("what passes through is not ours", DNS, replace(INBOUND, local=False), 0),
        ("an excluded interface", replace(DNS, interfaces_exclude=("eth+",)), INBOUND, 0),
        (
            "an application may call itself",
            DNS,
            replace(OUTBOUND, destination="127.0.0.1", interface="lo"),
            0,
        ),
        ("also by its address", DNS, replace(OUTBOUND, destination="10.0.0.2", interface="lo"), 0),
        (
            "Envoy that comes back comes in",
            DNS,
            replace(OUTBOUND, destination="10.0.0.2", interface="lo", uid=AGENT),
            15006,
        ),
        (
            "from its own address it has come in",
            DNS,
            replace(OUTBOUND, source="127.0.0.6", destination="10.0.0.2", interface="lo", uid=AGENT),
            0,
        ),
        ("questions go to the agent", DNS, QUESTION, 15053),
        ("over TCP, too", DNS, replace(QUESTION, protocol="tcp"), 15053),
        ("those of the agent go out", DNS, replace(QUESTION, uid=AGENT), 0),
        ("those to other resolvers, too", DNS, replace(QUESTION, destination="8.8.8.8", interface="eth0"), 0),
        (
            "but not where all are captured",
            replace(DNS, dns_all=True),
            replace(QUESTION, destination="8.8.8.8", interface="eth0"),
            15053,
        ),
        ("root that is left alone", DNS, replace(OUTBOUND, uid=0), 0),
        ("a user that is left alone", DNS, replace(OUTBOUND, uid=5), 0),
        (
            "a packet that fits nothing",
            replace(DNS, drop_invalid=True),
            replace(INBOUND, invalid=True),
            15006,
        ),
    ],
)
def test_traffic(what: str, settings: CaptureSettings, packet: Packet, expected: int) -> None:
    assert verdict(settings, packet, replace(HOST, users_exclude=(0, 5))).port == expected, what


def test_questions_that_are_redirected_and_their_answers_are_tracked_apart() -> None:
    assert verdict(DNS, QUESTION) == Verdict(15053, 2)
    answer = replace(
        QUESTION, source="127.0.0.1", destination="10.0.0.2", sport=15053, dport=40000, uid=AGENT
    )
    assert verdict(DNS, answer).zone == 2
    assert verdict(DNS, replace(QUESTION, uid=AGENT, destination="10.0.0.53")).zone == 0


def test_a_packet_that_fits_no_connection_is_dropped_but_not_of_ssh() -> None:
    settings = replace(DNS, drop_invalid=True)
    assert verdict(settings, replace(INBOUND, invalid=True)).dropped
    assert not verdict(settings, replace(INBOUND, invalid=True, dport=22)).dropped
    assert not verdict(DNS, replace(INBOUND, invalid=True)).dropped


def test_exactly_what_is_redirected_is_tracked_apart() -> None:
    host = replace(HOST, users=(1000,), groups_exclude=(7,))
    for uid in (0, 1000, AGENT):
        for gid in (7, 1000, AGENT):
            found = verdict(DNS, replace(QUESTION, uid=uid, gid=gid), host)
            assert (found.port == 15053) == (found.zone == 2), (uid, gid)


def test_without_capture_there_are_no_rules() -> None:
    assert tables(options(replace(DNS, mode="none")), HOST) == ()


def test_without_ipv6_there_are_no_rules_for_it() -> None:
    assert {table.family for table in tables(options(DNS), replace(HOST, ipv6=False))} == {4}


def test_what_redirects_is_made_last() -> None:
    made = tables(options(replace(DNS, drop_invalid=True)), HOST)
    assert [table.name for table in made] == ["raw", "raw", "mangle", "mangle", "nat", "nat"]


def test_without_inbound_nothing_is_asked_of_what_comes_in() -> None:
    made = tables(options(replace(DNS, inbound_ports=())), HOST)
    assert {chain.hook for table in made for chain in table.chains} == {"OUTPUT"}


LISTS = st.lists(st.sampled_from(["80", "443", "22", "53", "8080", "15008"]), max_size=3, unique=True).map(
    tuple
)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "10.96.0.0/12", "fd00::/8", "127.0.0.0/8", "::1/128"]),
    max_size=3,
    unique=True,
).map(tuple)
INTERFACES = st.lists(st.sampled_from(["eth0", "lo", "docker+", "virbr0"]), max_size=2, unique=True).map(
    tuple
)
OWNERS = st.lists(st.sampled_from([0, 1000, AGENT]), max_size=2, unique=True).map(tuple)


@effort(deadline=None)
@given(
    st.builds(
        CaptureSettings,
        inbound_ports=LISTS | st.just(("*",)),
        inbound_ports_exclude=LISTS,
        outbound_ports=LISTS,
        outbound_ports_exclude=LISTS,
        outbound_networks=NETWORKS | st.just(("*",)),
        outbound_networks_exclude=NETWORKS,
        interfaces_exclude=INTERFACES,
        interfaces_reroute=INTERFACES,
        dns=st.booleans(),
        dns_all=st.booleans(),
        drop_invalid=st.booleans(),
    ),
    st.none() | OWNERS,
    OWNERS,
    st.integers(),
)
def test_both_languages_say_the_same_and_ssh_is_never_touched(
    settings: CaptureSettings, owners: tuple[int, ...] | None, exclude: tuple[int, ...], seed: int
) -> None:
    host = replace(HOST, users=owners, groups=owners, users_exclude=exclude, groups_exclude=exclude)
    made = tables(options(settings), host)
    first, second, draw = by_iptables(made), by_nftables(made), random.Random(seed)
    for _ in range(40):
        packet = Packet(
            draw.choice(("PREROUTING", "OUTPUT")),
            draw.choice(("tcp", "udp")),
            draw.choice(("10.0.0.2", "127.0.0.6", "198.51.100.9")),
            draw.choice(("10.0.0.2", "10.96.0.1", "127.0.0.1", "127.0.0.53", "198.51.100.9", "8.8.8.8")),
            draw.choice((22, 53, 15053, 40000)),
            draw.choice((22, 53, 80, 443, 2222, 8080, 15008, 40000)),
            draw.choice(("eth0", "lo", "docker0", "virbr0")),
            uid=draw.choice((0, 1000, AGENT)),
            gid=draw.choice((0, 1000, AGENT)),
            local=draw.random() < 0.8,
            opening=draw.random() < 0.8,
            invalid=draw.random() < 0.2,
        )
        if packet.hook == "PREROUTING":
            packet = replace(packet, uid=-1, gid=-1)
        found = first.verdict(packet)
        assert found == second.verdict(packet), packet
        managed = packet.dport in HOST.ssh_ports or packet.source == "198.51.100.9"
        if packet.hook == "PREROUTING" and packet.protocol == "tcp" and managed:
            assert found == Verdict(), packet
        if packet.hook == "OUTPUT" and packet.protocol == "tcp" and packet.destination == "198.51.100.9":
            assert found.port == 0, packet
