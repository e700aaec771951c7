"""DNS messages on the wire: a question is read, an answer is written, a resolver's answer is looked over.

Names are kept as they are on the wire, in lower case: `\\x07reviews\\x07default\\x00`. The lengths in them
are below 64 and so no letters, which lets `bytes.lower` do.

Source: RFC 1035 section 4, RFC 6891 (EDNS), RFC 2181 section 9 (truncation), RFC 3225 (DO).
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28
OPT: Final = 41
IXFR: Final = 251
AXFR: Final = 252
IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16

LEAST: Final = 512
"""Bytes of a datagram that every client takes."""
MOST: Final = 65535
"""Bytes of a message over TCP."""
PAYLOAD: Final = 1232
"""Bytes of a datagram that we say we take: what no network splits. Source: DNS flag day 2020."""

_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_AD, _CD = 0x0020, 0x0010
_OPCODE: Final = 0x7800
_DO: Final = 0x8000
_HEADER: Final = struct.Struct("!HHHHHH")
_KIND: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_OPTION: Final = struct.Struct("!BHHBBHH")
_AT_QUESTION: Final = b"\xc0\x0c"
"""A pointer to the name of the question, which stands behind the header."""
_OPTION_SIZE: Final = _OPTION.size
_NAME_SIZE: Final = 255
_LABEL_SIZE: Final = 63
_LENGTHS: Final = tuple(bytes((length,)) for length in range(_LABEL_SIZE + 1))
_NAME: Final = re.compile(r"[!-\-/-~]{1,63}(?:\.[!-\-/-~]{1,63})*\.?")  # visible ASCII, and dots between
_EXTRA: Final = 2
"""Additional records that a question may have: EDNS, and a signature."""


class PacketError(Exception):
    """A message that is not read further.

    Attributes:
        rcode: what to answer; None for what must not be answered.
    """

    def __init__(self, rcode: int | None) -> None:
        """Say what to answer."""
        super().__init__(rcode)
        self.rcode = rcode


class Query(NamedTuple):
    """A question, and how its answer is to be.

    Attributes:
        id: that the answer must bear.
        flags: second word of the header, as it came.
        question: name, type and class as they came, which the answer repeats to the letter.
        name: the name, in lower case.
        type: of the records asked for.
        cls: class of these.
        size: bytes of a datagram that the client takes by EDNS; None without EDNS.
        version: of its EDNS.
        dnssec: whether it wants signatures (DO).
    """

    id: int
    flags: int
    question: bytes
    name: bytes
    type: int
    cls: int
    size: int | None
    version: int
    dnssec: bool

    @property
    def limit(self) -> int:
        """Bytes that an answer by datagram may have."""
        return max(LEAST, self.size or 0)


class Record(NamedTuple):
    """Where a record of a message stands.

    Attributes:
        section: 0 answer, 1 authority, 2 additional.
        start: of its name.
        body: of its type, class, TTL and length, which follow the name.
        end: behind its data.
        type: of the record.
    """

    section: int
    start: int
    body: int
    end: int
    type: int


def read_query(data: bytes) -> Query:
    """The question that a message asks.

    Raises:
        PacketError: it asks nothing, or not one whole question.
    """
    if len(data) < _HEADER.size:
        raise PacketError(None)
    ident, flags, questions, answers, authorities, extra = _HEADER.unpack_from(data)
    if flags & _QR:
        raise PacketError(None)  # an answer to an answer is how loops begin
    if flags & _OPCODE:
        raise PacketError(NOTIMP)
    if questions != 1 or answers or authorities > 1 or extra > _EXTRA:
        raise PacketError(FORMERR)  # one authority is an IXFR's
    try:
        end = _plain_end(data, _HEADER.size)
        kind, cls = _KIND.unpack_from(data, end)
        size, version, dnssec = None, 0, False
        if authorities or extra:
            size, version, dnssec = _edns(data, end + _KIND.size, authorities + extra)
    except (IndexError, struct.error):
        raise PacketError(FORMERR) from None
    name = data[_HEADER.size : end].lower()
    question = data[_HEADER.size : end + _KIND.size]
    return Query(ident, flags, question, name, kind, cls, size, version, dnssec)


def rejection(data: bytes, rcode: int) -> bytes:
    """The answer to a message that `read_query` refused: a header alone."""
    ident, flags = _KIND.unpack_from(data)
    return _HEADER.pack(ident, _QR | flags & (_OPCODE | _RD) | _RA | rcode, 0, 0, 0, 0)


def reply(
    query: Query, rcode: int, limit: int, records: bytes = b"", size: int = 1, first: bytes = b""
) -> bytes:
    """An answer of our own; it is cut at a record, and says so, if it would be longer than `limit`.

    Args:
        query: what was asked.
        rcode: how it went; `NOERROR` is said with authority.
        limit: bytes that it may have.
        records: of the answer, each `size` bytes long.
        size: of one of `records`.
        first: a record that stands before these, if any.
    """
    option = b"" if query.size is None else _option(rcode, dnssec=query.dnssec)
    room = limit - _HEADER.size - len(query.question) - len(first) - len(option)
    flags = _QR | query.flags & (_RD | _CD) | _RA | rcode & 15
    if rcode == NOERROR:
        flags |= _AA
    if len(records) > room:
        flags |= _TC
        records = records[: room // size * size]
    count = len(records) // size + (1 if first else 0)
    head = _HEADER.pack(query.id, flags, 1, count, 0, 1 if option else 0)
    return b"".join((head, query.question, first, records, option))


def address_records(addresses: tuple[bytes, ...], ttl: int) -> bytes:
    """Records for the name of a question: A for addresses of 4 bytes, AAAA for those of 16."""
    return b"".join(
        _AT_QUESTION + _RECORD.pack(A if len(each) == 4 else AAAA, IN, ttl, len(each)) + each
        for each in addresses
    )


def record_size(kind: int) -> int:
    """Bytes of a record that `address_records` makes for A or AAAA."""
    return len(_AT_QUESTION) + _RECORD.size + (4 if kind == A else 16)


def aliased(query: Query, target: bytes, records: bytes, kind: int, ttl: int) -> tuple[bytes, bytes]:
    """A CNAME from the question's name to `target`, and `records` of the question's name as the target's."""
    alias = _AT_QUESTION + _RECORD.pack(CNAME, IN, ttl, len(target)) + target
    start = _HEADER.size + len(query.question) + len(_AT_QUESTION) + _RECORD.size
    pointer, size = (0xC000 | start).to_bytes(2, "big"), record_size(kind)
    moved = (pointer + records[at + 2 : at + size] for at in range(0, len(records), size))
    return alias, b"".join(moved)


def question_for(query: Query, ident: int) -> bytes:
    """The message that asks a resolver what a client asks us; only what is the client's own goes along."""
    flags = query.flags & (_RD | _AD | _CD)
    option = b""
    if query.size is not None:
        option = _OPTION.pack(0, OPT, max(LEAST, query.size), 0, 0, _DO if query.dnssec else 0, 0)
    return _HEADER.pack(ident, flags, 1, 0, 0, 1 if option else 0) + query.question + option


def answers(data: bytes, query: Query, ident: int) -> bool:
    """Whether a message answers `query` as it was asked under `ident`, and is whole."""
    try:
        got, flags, questions, *counts = _HEADER.unpack_from(data)
        if got != ident or not flags & _QR or flags & _OPCODE:
            return False
        if questions == 0:  # some say only what went wrong
            return not any(counts[:2]) and flags & 15 not in (NOERROR, NXDOMAIN)
        end = _HEADER.size + len(query.question)
        name, rest = data[_HEADER.size : end - _KIND.size], data[end - _KIND.size : end]
        if questions != 1 or name.lower() != query.name or rest != query.question[-_KIND.size :]:
            return False
        read_records(data)
    except (IndexError, struct.error, PacketError):
        return False
    return True


def read_records(data: bytes) -> list[Record]:
    """Where the records of a message stand.

    Raises:
        PacketError: it ends before they do, or has more than one question.
    """
    found = []
    try:
        _, _, questions, *counts = _HEADER.unpack_from(data)
        if questions > 1:
            raise PacketError(FORMERR)
        at = _plain_end(data, _HEADER.size) + _KIND.size if questions else _HEADER.size
        for section, count in enumerate(counts):
            for _ in range(count):
                record = _record(data, section, at)
                found.append(record)
                at = record.end
    except (IndexError, struct.error):
        raise PacketError(FORMERR) from None
    return found


def rcode_of(message: bytes) -> int:
    """How a message says it went, without what EDNS adds."""
    return message[3] & 15


def is_truncated(message: bytes) -> bool:
    """Whether a message says that records are missing."""
    return bool(message[2] & _TC >> 8)


def with_id(message: bytes, ident: int) -> bytes:
    """The same message under another id."""
    return ident.to_bytes(2, "big") + message[2:]


def shortened(message: bytes, limit: int) -> bytes:
    """A whole message; records that would make it longer than `limit` left out, which it then says."""
    if len(message) <= limit:
        return message
    records = read_records(message)
    option = next((message[each.start : each.end] for each in records if each.type == OPT), b"")
    start = records[0].start if records else len(message)
    counts, end = [0, 0, 0], start
    for each in records:
        if each.type == OPT or each.end > limit - len(option):
            break
        counts[each.section] += 1
        end = each.end
    counts[2] += 1 if option else 0
    ident, flags, questions = struct.unpack_from("!HHH", message)
    return _HEADER.pack(ident, flags | _TC, questions, *counts) + message[_HEADER.size : end] + option


def fleeting(message: bytes, ttl: int) -> bytes:
    """A whole message that nobody keeps longer than `ttl`; what it does not have, it denies for no time.

    Authority goes, as it is by its SOA that a name's absence is kept. Source: RFC 2308 section 5.
    """
    records = read_records(message)
    counts = [0, 0, 0]
    parts = [message[_HEADER.size : records[0].start if records else len(message)]]
    for each in records:
        if each.section and each.type != OPT:
            continue
        counts[each.section] += 1
        at = each.body + 4  # of the TTL, which of EDNS is something else
        kept = message[at : at + 4]
        if each.type != OPT:
            kept = min(int.from_bytes(kept, "big"), ttl).to_bytes(4, "big")
        parts.append(message[each.start : at] + kept + message[at + 4 : each.end])
    return _HEADER.pack(*struct.unpack_from("!HHH", message), *counts) + b"".join(parts)


def to_wire(name: str) -> bytes | None:
    """A name on the wire, in lower case; None for what is no name. The dot at the end may be missing."""
    if len(name) > _NAME_SIZE or not _NAME.fullmatch(name):
        return None
    labels = name.lower().removesuffix(".").encode().split(b".")
    wire = b"".join([_LENGTHS[len(label)] + label for label in labels]) + b"\0"
    return wire if len(wire) <= _NAME_SIZE else None


def _edns(data: bytes, at: int, count: int) -> tuple[int | None, int, bool]:
    """Size, version and DO of the EDNS record among a question's records; others do not matter here."""
    size, version, dnssec = None, 0, False
    for _ in range(count):
        record = _record(data, 2, at)
        at = record.end
        if record.type != OPT:
            continue
        if size is not None or record.body != record.start + 1:
            raise PacketError(FORMERR)  # two of them, or one that is not the root's
        _, size, ttl, _ = _RECORD.unpack_from(data, record.body)
        version, dnssec = ttl >> 16 & 0xFF, bool(ttl & _DO)
    return size, version, dnssec


def _option(rcode: int, *, dnssec: bool) -> bytes:
    return _OPTION.pack(0, OPT, PAYLOAD, rcode >> 4, 0, _DO if dnssec else 0, 0)


def _record(data: bytes, section: int, start: int) -> Record:
    body = _end(data, start)
    kind, _, _, length = _RECORD.unpack_from(data, body)
    end = body + _RECORD.size + length
    if end > len(data):
        raise IndexError(end)
    return Record(section, start, body, end, kind)


def _plain_end(data: bytes, start: int) -> int:
    """Where a name that is written out ends."""
    at = start
    while length := data[at]:
        if length > _LABEL_SIZE:
            raise PacketError(FORMERR)
        at += length + 1
    if at - start >= _NAME_SIZE:
        raise PacketError(FORMERR)
    return at + 1


def _end(data: bytes, at: int) -> int:
    """Where a name ends that may end in a pointer."""
    while length := data[at]:
        if length >= 0xC0:
            if at + 2 > len(data):
                raise IndexError(at)
            return at + 2
        if length > _LABEL_SIZE:
            raise PacketError(FORMERR)
        at += length + 1
    return at + 1
