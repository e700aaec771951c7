"""The names of the mesh: which there are, and what a table that is out of shape does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.agent.dns import packets
from meshctl.agent.dns.settings import DnsSettings
from meshctl.agent.dns.table import Found, Table, read_table, services_domain
from tests.dns_servers import name_table, service

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SETTINGS = DnsSettings(True, "ns1", "ns1.svc.cluster.local")
SEARCH = "ns1.svc.cluster.local"


def table(names: dict[str, Any], settings: DnsSettings = SETTINGS) -> Table:
    return read_table(name_table(names), settings)


def found(within: Table, name: str, search: str = SEARCH) -> Found | None:
    return within.find(packets.to_wire(name) or b"\0", packets.to_wire(search) or b"")


def wire(name: str) -> bytes:
    return packets.to_wire(name) or b""


@pytest.mark.parametrize(
    ("domain", "namespace", "services"),
    [
        ("svc.cluster.local", "ns1", "svc.cluster.local"),
        ("ns1.svc.cluster.local", "ns1", "svc.cluster.local"),
        ("NS1.Svc.Example.", "ns1", "svc.example"),
        ("ns10.svc.cluster.local", "ns1", "ns10.svc.cluster.local"),
    ],
)
def test_a_namespace_before_the_domain_is_taken_off(domain: str, namespace: str, services: str) -> None:
    assert services_domain(DnsSettings(True, namespace, domain)) == services


def test_short_names_stop_at_the_domain_of_the_cluster() -> None:
    names = table({**service("far", "ns1", "10.0.0.9", domain="svc.cluster.remote")})
    assert found(names, "far.ns1.svc.cluster.remote")
    assert found(names, "far.ns1") is None
    assert found(names, "far") is None


def test_a_domain_that_only_ends_like_the_clusters_is_another() -> None:
    host = {"ips": ["10.0.0.1"], "registry": "Kubernetes", "shortname": "a", "namespace": "ns1"}
    assert found(table({"a.ns1.mysvc.cluster.local": host}), "a.ns1") is None


def test_a_host_that_bears_a_name_goes_before_a_service_that_may_have_it() -> None:
    names = table({"reviews.ns1": {"ips": ["240.0.0.1"]}, **service("reviews", "ns1", "10.0.0.1")})
    assert names.data()["reviews.ns1"] == ["240.0.0.1"]
    assert names.data()["reviews.ns1.svc.cluster.local"] == ["10.0.0.1"]


def test_a_host_of_the_mesh_goes_before_an_alias_of_its_name() -> None:
    names = table({"a.b": {"ips": ["240.0.0.1"]}, f"a.b.{SEARCH}": {"ips": ["240.0.0.2"]}})
    assert found(names, f"a.b.{SEARCH}") == Found(names.find(wire(f"a.b.{SEARCH}"), b"").addresses, b"")  # type: ignore[union-attr]


def test_the_nearest_wildcard_counts() -> None:
    names = table(
        {
            "*.com": {"ips": ["240.0.0.1"]},
            "*.a.com": {"ips": ["240.0.0.2"]},
            "x.a.com": {"ips": ["240.0.0.3"]},
        }
    )
    far, near, own = (found(names, name) for name in ("b.com", "b.c.a.com", "x.a.com"))
    assert [each.addresses.a[-1] for each in (far, near, own) if each] == [1, 2, 3]
    assert found(names, "com") is None
    alias = found(names, f"b.a.com.{SEARCH}")
    assert alias is not None
    assert alias.target == wire("b.a.com")
    assert found(names, f"b.a.com.{SEARCH}.{SEARCH}") is None


def test_a_name_that_ends_in_the_search_domain_has_no_alias_with_it_once_more() -> None:
    names = table({**service("reviews", "ns1", "10.0.0.1")})
    assert found(names, f"reviews.{SEARCH}") is not None
    assert found(names, f"reviews.{SEARCH}.{SEARCH}") is None


def test_a_star_alone_stands_for_nothing() -> None:
    assert found(table({"*": {"ips": ["240.0.0.1"]}}), "anything.example.com") is None


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "a" * 64 + ".com", "a\0b.com", "bücher.example", "x" * 300]
)
def test_a_host_that_is_no_name_leaves_the_others(host: str) -> None:
    names = table({host: {"ips": ["10.0.0.1"]}, "good.example.com": {"ips": ["10.0.0.2"]}})
    assert names.data() == {"good.example.com": ["10.0.0.2"]}


def test_addresses_that_are_none_are_left_out_and_a_host_without_any_with_them() -> None:
    names = table(
        {
            "mixed.example.com": {
                "ips": ["10.0.0.0/8", "10.0.0.1", "", "10.0.0.1", "::1%lo", "1.2.3", "a\0"]
            },
            "none.example.com": {"ips": ["pipe:///x"]},
        }
    )
    assert names.data() == {"mixed.example.com": ["10.0.0.1", "::1"]}


def test_former_alternate_names_still_count() -> None:
    given_ = service("reviews", "ns1", "10.0.0.1")
    given_["reviews.ns1.svc.cluster.local"]["altHosts"] = ["reviews.ns1.svc.clusterset.local", "not a name"]
    assert "reviews.ns1.svc.clusterset.local" in table(given_).data()


NAMES = st.text("ab.*\0ä-", max_size=12) | st.text(max_size=8)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "ips": st.lists(st.ip_addresses().map(str) | st.text(max_size=20), max_size=4),
        "registry": st.sampled_from(["Kubernetes", "External", ""]),
        "shortname": NAMES,
        "namespace": st.sampled_from(["ns1", "ns2", ""]) | NAMES,
        "altHosts": st.lists(NAMES, max_size=2),
    },
)
HOSTS = NAMES | NAMES.map("{}.svc.cluster.local".format)


@FUZZ
@given(st.dictionaries(HOSTS, ENTRIES, max_size=6), st.binary(max_size=60), NAMES)
def test_any_table_answers_any_name_with_whole_records(
    names: dict[str, Any], asked: bytes, search: str
) -> None:
    read = table(names)
    read.data()
    domain = packets.to_wire(search) or b""
    for name in [asked, *(packets.to_wire(f"x.{host}.{search}") or b"\0" for host in names)]:
        try:
            query = packets.read_query(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name.rstrip(b"\0") + b"\0\0\1\0\1")
        except packets.PacketError:
            continue
        answer = read.find(query.name, domain)
        if answer is not None:
            assert len(answer.addresses.a) % packets.record_size(packets.A) == 0
            assert len(answer.addresses.aaaa) % packets.record_size(packets.AAAA) == 0
            assert answer.addresses.a or answer.addresses.aaaa
            assert not answer.target or query.name == answer.target[:-1] + domain


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(message: bytes) -> None:
    try:
        read_table(message, SETTINGS)
    except ValueError as error:
        assert "cannot be read" in str(error)
