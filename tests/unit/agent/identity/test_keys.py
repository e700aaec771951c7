"""Keys, requests and answers."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.identity import keys
from meshctl.agent.identity.credentials import blocks, joined
from meshctl.agent.identity.settings import KEYS
from meshctl.errors import ConfigError, UnsupportedError
from tests.issuing import IDENTITY, NOON, Ca, at

OLD, NEW = Ca("old"), Ca("new")
KEY = keys.new_key("ecdsa-p256")
REQUEST = keys.signing_request(KEY, IDENTITY)
ANSWER = OLD.sign(REQUEST, NOON, NOON + 3600)
BROKEN = b"-----BEGIN CERTIFICATE-----\nMAAwADAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("kind", [kind for kind in KEYS if kind not in ("rsa-3072", "rsa-4096")])
def test_a_key_of_each_kind_signs_its_request(kind: str) -> None:
    request = x509.load_pem_x509_csr(keys.signing_request(keys.new_key(kind), IDENTITY))
    assert request.is_signature_valid


def test_an_unknown_kind_of_key_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnsupportedError, match="'dsa'") as raised:
        keys.new_key("dsa")
    assert all(kind in raised.value.hint for kind in KEYS)


def test_a_request_names_nobody_but_the_spiffe_identity_and_that_is_critical() -> None:
    request = x509.load_pem_x509_csr(REQUEST)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(request.subject) == []
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [IDENTITY]


def test_an_identity_that_is_no_ascii_is_refused() -> None:
    with pytest.raises(ConfigError, match="not ASCII"):
        keys.signing_request(KEY, "spiffe://größe/ns/a/sa/b")


def test_an_answer_makes_credentials_whose_chain_ends_below_the_root() -> None:
    found = keys.checked(KEY, ANSWER + OLD.root, OLD.root)
    assert found.key == KEY
    assert found.chain == ANSWER
    assert found.roots == OLD.root
    assert (found.begins, found.ends) == (NOON, NOON + 3600)
    assert found.names == (IDENTITY,)


def test_certificates_between_may_come_in_any_order_with_others_among_them() -> None:
    leaf, between = blocks(ANSWER)
    answer = leaf + NEW.root + NEW.between + OLD.root + between
    assert keys.checked(KEY, answer, NEW.root + OLD.root).chain == ANSWER


def test_a_root_that_another_trusted_one_vouches_for_is_as_good() -> None:
    crossed = OLD.cross_signed_by(NEW)
    found = keys.checked(KEY, ANSWER + crossed + OLD.root, NEW.root)
    assert found.chain == ANSWER + crossed


def test_an_answer_that_leads_to_no_trusted_root_is_refused_and_both_are_named() -> None:
    with pytest.raises(ConfigError, match="leads to no trusted root, but to 'CN=old root'") as raised:
        keys.checked(KEY, ANSWER, NEW.root)
    assert "CN=new root" in raised.value.details[0]
    assert "root-cert.pem" in raised.value.hint


def test_an_intermediate_that_is_missing_is_told_by_the_issuer_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="but to 'CN=old'"):
        keys.checked(KEY, blocks(ANSWER)[0], OLD.root)


def test_an_answer_about_another_key_is_refused() -> None:
    other = keys.new_key("rsa-2048")
    with pytest.raises(ConfigError, match="not about the key on this host"):
        keys.checked(other, ANSWER, OLD.root)


@pytest.mark.parametrize("answer", [b"", b"hello", BROKEN, ANSWER + BROKEN, b"\x00\xff" * 100])
def test_an_answer_that_is_no_certificate_is_refused(answer: bytes) -> None:
    with pytest.raises(ConfigError):
        keys.checked(KEY, answer, OLD.root)


@pytest.mark.parametrize("roots", [b"", b"hello", BROKEN])
def test_where_no_root_can_be_read_nothing_is_trusted(roots: bytes) -> None:
    with pytest.raises(ConfigError, match="no trusted root"):
        keys.checked(KEY, ANSWER, roots)


def test_a_root_that_cannot_be_read_is_left_out_and_the_others_count() -> None:
    found = keys.checked(KEY, ANSWER, BROKEN + NEW.root + OLD.root + NEW.root)
    assert found.roots == NEW.root + OLD.root
    assert keys.readable(BROKEN + NEW.root + b"junk" + OLD.root) == NEW.root + OLD.root


@pytest.mark.parametrize("key", [b"", b"junk", KEY.replace(b"M", b"N", 1)])
def test_a_key_that_cannot_be_read_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        keys.checked(key, ANSWER, OLD.root)


def test_a_key_that_is_locked_or_of_a_kind_that_envoy_lacks_is_refused() -> None:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    own = serialization.load_pem_private_key(KEY, None)
    locked = own.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"word"))
    with pytest.raises(ConfigError, match="encrypted"):
        keys.checked(locked, ANSWER, OLD.root)
    other = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(ConfigError, match="neither an RSA nor an ECDSA"):
        keys.paired(other.private_bytes(pem, pkcs8, serialization.NoEncryption()), ANSWER)


def test_certificates_are_taken_out_of_any_text_and_each_stands_once() -> None:
    windows = OLD.root.replace(b"\n", b"\r\n")
    text = b"# roots of the mesh\n" + OLD.root + b"junk" + windows + NEW.root.rstrip()
    assert blocks(text) == (OLD.root, OLD.root, NEW.root)
    assert joined(text, NEW.root) == OLD.root + NEW.root


def test_neither_credentials_nor_errors_show_a_key() -> None:
    found = keys.checked(KEY, ANSWER, OLD.root)
    assert "PRIVATE" not in repr(found)
    assert repr(found) == f"Credentials({IDENTITY})"


def test_credentials_are_valid_from_their_begin_until_before_their_end() -> None:
    found = keys.checked(KEY, ANSWER, OLD.root)
    assert [found.valid(NOON + seconds) for seconds in (-1, 0, 3599, 3600)] == [False, True, True, False]
    assert at(found.ends).hour == at(NOON + 3600).hour


def _spoilt(pem: bytes, changes: list[tuple[int, int]], length: int | None = None) -> bytes:
    """The certificates, each with bytes of its inside changed."""
    made = []
    for block in blocks(pem):
        inside = bytearray(base64.b64decode(b"".join(block.splitlines()[1:-1])))
        for place, value in changes:
            inside[place % len(inside)] = value
        text = base64.encodebytes(bytes(inside[:length]))
        made.append(b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n")
    return b"".join(made)


changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4)
lengths = st.one_of(st.none(), st.integers(0, 600))


@settings(max_examples=300, deadline=None)
@given(changes, lengths)
def test_certificates_that_are_spoilt_inside_are_refused_or_left_out_and_nothing_else_happens(
    spoilt: list[tuple[int, int]], length: int | None
) -> None:
    with contextlib.suppress(ConfigError):
        keys.checked(KEY, _spoilt(ANSWER, spoilt, length), OLD.root)
    with contextlib.suppress(ConfigError):
        keys.checked(KEY, ANSWER, _spoilt(OLD.root, spoilt, length))
    assert NEW.root in keys.readable(_spoilt(OLD.root, spoilt, length) + NEW.root)
    with contextlib.suppress(ConfigError):
        keys.paired(KEY, _spoilt(ANSWER, spoilt, length))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000), st.binary(max_size=2000), st.binary(max_size=2000))
def test_any_bytes_are_refused_as_keys_answers_and_roots(key: bytes, answer: bytes, roots: bytes) -> None:
    with pytest.raises(ConfigError):
        keys.checked(key, answer, roots)
    with pytest.raises(ConfigError):
        keys.checked(KEY, ANSWER, roots)
