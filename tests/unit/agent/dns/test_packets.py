"""Messages on the wire: whatever comes, an answer fits its question or there is none.

The judge is dnspython.
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from meshctl.agent.dns import packets
from meshctl.agent.dns.packets import PacketError
from tests.dns_messages import ANYTHING, NAMES, queries, responses

FOUR = st.lists(st.binary(min_size=4, max_size=4), max_size=80).map(tuple)
SIX = st.lists(st.binary(min_size=16, max_size=16), max_size=80).map(tuple)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(queries())
def test_a_question_is_read_as_it_was_asked(message: dns.message.Message) -> None:
    query = packets.read_query(message.to_wire())
    question = message.question[0]
    assert query.id == message.id
    assert query.name == question.name.to_wire().lower()
    assert (query.type, query.cls) == (question.rdtype, question.rdclass)
    assert query.size == (message.payload if message.edns >= 0 else None)
    assert query.dnssec == bool(message.ednsflags & dns.flags.DO)
    assert query.limit == max(512, query.size or 0)


@FUZZ
@given(ANYTHING)
@example(b"\x00" * 12)
@example(
    b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"
)  # a name that points to itself
def test_whatever_comes_is_a_question_or_refused(data: bytes) -> None:
    try:
        query = packets.read_query(data)
    except PacketError as error:
        if error.rcode is not None:
            said = dns.message.from_wire(packets.rejection(data, error.rcode))
            assert said.id == int.from_bytes(data[:2], "big")
            assert said.rcode() == error.rcode
            assert said.flags & dns.flags.QR
        else:
            assert len(data) < 12 or data[2] & 0x80
    else:
        assert data[12 : 12 + len(query.question)] == query.question
        dns.message.from_wire(packets.reply(query, packets.SERVFAIL, query.limit))


@FUZZ
@given(queries(), FOUR | SIX, st.sampled_from([512, 600, 4096, 65535]))
def test_an_answer_fits_its_question_and_its_limit(
    message: dns.message.Message, addresses: tuple[bytes, ...], limit: int
) -> None:
    query = packets.read_query(message.to_wire())
    records = packets.address_records(addresses, 30)
    kind = packets.A if addresses and len(addresses[0]) == 4 else packets.AAAA
    wire = packets.reply(query, packets.NOERROR, limit, records, packets.record_size(kind))
    assert len(wire) <= limit
    said = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert message.is_response(said)
    assert (
        bool(said.flags & dns.flags.TC) == (len(said.answer) < len(addresses)) == packets.is_truncated(wire)
    )
    assert said.flags & dns.flags.AA
    assert said.flags & dns.flags.RA
    assert bool(said.flags & dns.flags.RD) == bool(message.flags & dns.flags.RD)
    assert (said.edns >= 0) == (message.edns >= 0)
    got = [
        dns.inet.inet_pton(dns.inet.af_for_address(each[0].address), each[0].address) for each in said.answer
    ]
    assert tuple(got) == addresses[: len(got)]
    assert all(each.name == message.question[0].name for each in said.answer)


@FUZZ
@given(queries(), NAMES, FOUR.filter(bool), st.sampled_from([512, 65535]))
def test_an_alias_leads_to_its_target(
    message: dns.message.Message, target: str, addresses: tuple[bytes, ...], limit: int
) -> None:
    query = packets.read_query(message.to_wire())
    wire = dns.name.from_text(target).to_wire()
    first, records = packets.aliased(query, wire, packets.address_records(addresses, 30), packets.A, 7)
    reply = packets.reply(query, packets.NOERROR, limit, records, packets.record_size(packets.A), first)
    said = dns.message.from_wire(reply, one_rr_per_rrset=True)
    assert len(reply) <= max(limit, 512 + 20)
    assert said.answer[0][0].target.to_text() == target
    assert said.answer[0].name == message.question[0].name
    assert all(each.name.to_text() == target for each in said.answer[1:])


@FUZZ
@given(queries(), st.integers(0, 65535))
def test_a_resolver_is_asked_what_the_client_asked(message: dns.message.Message, ident: int) -> None:
    query = packets.read_query(message.to_wire())
    asked = dns.message.from_wire(packets.question_for(query, ident))
    assert asked.id == ident
    assert asked.question == message.question
    kept = dns.flags.RD | dns.flags.AD | dns.flags.CD
    assert asked.flags == message.flags & kept
    assert (asked.edns, asked.ednsflags) == (message.edns, message.ednsflags)


@FUZZ
@given(responses())
def test_a_resolvers_answer_is_known_by_its_id_and_its_question(
    pair: tuple[dns.message.Message, bytes],
) -> None:
    asked, wire = pair
    query = packets.read_query(asked.to_wire())
    assert packets.answers(wire, query, asked.id)
    assert not packets.answers(wire, query, asked.id ^ 1)
    assert not packets.answers(asked.to_wire(), query, asked.id)
    assert not packets.answers(wire, query._replace(name=b"\x05other\x00"), asked.id)
    other = query._replace(question=query.question[:-1] + bytes((query.question[-1] ^ 1,)))
    assert not packets.answers(wire, other, asked.id)
    assert not packets.answers(wire[:-1], query, asked.id)


@FUZZ
@given(queries(), ANYTHING)
def test_no_message_is_taken_for_an_answer_that_is_not_whole(
    message: dns.message.Message, data: bytes
) -> None:
    query = packets.read_query(message.to_wire())
    data = query.id.to_bytes(2, "big") + data[2:]
    if packets.answers(data, query, query.id):
        packets.read_records(data)
        assert data[2] & 0x80
        packets.shortened(data, 512)
        packets.fleeting(data, 30)


@FUZZ
@given(responses(), st.integers(512, 700))
def test_an_answer_that_is_cut_keeps_whole_records_in_their_order(
    pair: tuple[dns.message.Message, bytes], limit: int
) -> None:
    asked, wire = pair
    short = packets.shortened(wire, limit)
    assert len(short) <= limit
    before = dns.message.from_wire(wire, one_rr_per_rrset=True)
    after = dns.message.from_wire(short, one_rr_per_rrset=True)
    assert asked.is_response(after)
    assert after.edns == before.edns
    assert after.rcode() == before.rcode()
    whole = [*before.answer, *before.authority, *before.additional]
    kept = [*after.answer, *after.authority, *after.additional]
    assert kept == whole[: len(kept)]
    assert bool(after.flags & dns.flags.TC) == (len(wire) > limit)


@FUZZ
@given(responses(), st.integers(0, 100))
def test_a_fleeting_answer_is_not_kept_and_denies_nothing_for_long(
    pair: tuple[dns.message.Message, bytes], ttl: int
) -> None:
    asked, wire = pair
    before = dns.message.from_wire(wire, one_rr_per_rrset=True)
    after = dns.message.from_wire(packets.fleeting(wire, ttl), one_rr_per_rrset=True)
    assert asked.is_response(after)
    assert (after.rcode(), after.flags, after.edns) == (before.rcode(), before.flags, before.edns)
    assert after.answer == before.answer
    assert after.authority == after.additional == []
    assert [each.ttl for each in after.answer] == [min(each.ttl, ttl) for each in before.answer]


@FUZZ
@given(st.text(max_size=300) | NAMES)
def test_a_name_is_put_on_the_wire_as_it_is_or_not_at_all(name: str) -> None:
    wire = packets.to_wire(name)
    assume(wire is not None)
    assert wire is not None
    assert len(wire) <= 255
    got, end = dns.name.from_wire(wire, 0)
    assert end == len(wire)
    assert b".".join(got.labels) == name.lower().removesuffix(".").encode() + b"."


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", ".a", "a" * 64, "ä.example", "a b", "a\0b", ".".join(["abc"] * 64)]
)
def test_what_is_no_name_is_not_put_on_the_wire(name: str) -> None:
    assert packets.to_wire(name) is None


@pytest.mark.parametrize(
    "name",
    [
        b"\x40" + b"a" * 64 + b"\0",
        b"\xbf" + b"a" * 191 + b"\0",
        b"\xc0\x0c" + b"a" * 192 + b"\0",
        (b"\x3f" + b"a" * 63) * 4 + b"\0",
        b"\x01a" * 128 + b"\0",
    ],
)
def test_a_question_whose_name_is_too_long_or_points_elsewhere_is_refused(name: bytes) -> None:
    with pytest.raises(PacketError) as refused:
        packets.read_query(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1" + b"\0" * 300)
    assert refused.value.rcode == packets.FORMERR


def test_the_longest_name_there_is_can_be_asked_for() -> None:
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == 255
    query = packets.read_query(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")
    assert query.name == name


def test_a_resolver_that_only_says_what_went_wrong_is_heard() -> None:
    query = packets.read_query(dns.message.make_query("example.org", "A").to_wire())
    assert packets.answers(b"\x00\x07\x80\x01" + b"\0" * 8, query, 7)
    assert not packets.answers(b"\x00\x07\x80\x00" + b"\0" * 8, query, 7)
    assert not packets.answers(b"\x00\x07\x80\x03" + b"\0" * 8, query, 7)
