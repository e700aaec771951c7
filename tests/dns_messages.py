"""DNS messages for property tests: as clients and resolvers write them, and out of shape."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rrset
from hypothesis import strategies as st

LABELS = st.text("abcXYZ019-_", min_size=1, max_size=63)
NAMES = st.lists(LABELS, max_size=5).map(lambda labels: ".".join([*labels, ""]) or ".").filter(
    lambda name: len(name) < 250
)  # fmt: skip
KINDS = st.sampled_from(["A", "AAAA", "TXT", "PTR", "HTTPS", "ANY", "SRV", "TYPE97"])


@st.composite
def queries(draw: st.DrawFn) -> dns.message.Message:
    """Questions as a well-meaning client asks them."""
    message = dns.message.make_query(draw(NAMES), draw(KINDS), rdclass=draw(st.sampled_from(["IN", "CH"])))
    message.id = draw(st.integers(0, 65535))
    for flag in (dns.flags.RD, dns.flags.AD, dns.flags.CD):
        message.flags ^= flag if draw(st.booleans()) else 0
    if draw(st.booleans()):
        message.use_edns(0, draw(st.sampled_from([0, dns.flags.DO])), draw(st.integers(0, 65535)))
    return message


@st.composite
def spoilt(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Messages with bytes changed, cut off, put in or put behind."""
    data = bytearray(draw(messages))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "cut", "insert"])):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(max_size=6))
    return bytes(data)


@st.composite
def responses(draw: st.DrawFn) -> tuple[dns.message.Message, bytes]:
    """A question, and what a resolver says to it."""
    asked = draw(queries())
    said = dns.message.make_response(asked, recursion_available=True)
    said.set_rcode(draw(st.sampled_from([0, 2, 3, 5])))
    owner = asked.question[0].name
    for section in (said.answer, said.authority, said.additional):
        for number in range(draw(st.integers(0, 3))):
            kind, data = draw(
                st.sampled_from(
                    [("A", "192.0.2.1"), ("CNAME", "www.example.org."), ("TXT", '"' + "x" * 90 + '"')]
                )
            )
            name = owner if draw(st.booleans()) else dns.name.from_text(f"n{number}.example.org.")
            section.append(dns.rrset.from_text(name, draw(st.integers(0, 9999)), "IN", kind, data))
    return asked, said.to_wire(max_size=65535)


ANYTHING = st.one_of(
    st.binary(max_size=80),
    spoilt(queries().map(lambda message: message.to_wire())),
    spoilt(responses().map(lambda pair: pair[1])),
)
