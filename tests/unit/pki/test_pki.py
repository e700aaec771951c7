"""What certificates made here promise to those who check them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from meshctl import pki
from meshctl.errors import ConfigError
from meshctl.pki import Subject

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_leaf_is_issued_by_its_authority_and_by_no_other() -> None:
    ours = pki.new_authority(Subject("ours"), NOON)
    theirs = pki.new_authority(Subject("theirs"), NOON)
    leaf = ours.issue(Subject("leaf"), NOON)
    assert pki.issued_by(leaf.certificate, ours.pair.certificate)
    assert not pki.issued_by(leaf.certificate, theirs.pair.certificate)


def test_a_leaf_carries_user_groups_and_names() -> None:
    subject = Subject(
        "admin", ("system:masters",), dns=("a.example",), addresses=("10.0.0.1",), uris=("spiffe://td/x",)
    )
    leaf = pki.new_authority(Subject("root"), NOON).issue(subject, NOON)
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    assert certificate.subject.rfc4514_string() == "CN=admin,O=system:masters"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td/x"]


def test_alternative_names_are_critical_where_there_is_no_subject() -> None:
    leaf = pki.new_authority(Subject("root"), NOON).issue(Subject(uris=("spiffe://td/x",)), NOON)
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_a_leaf_never_outlives_its_authority() -> None:
    root = pki.new_authority(Subject("root"), NOON, days=10)
    _, end = pki.validity(root.issue(Subject("leaf"), NOON, days=365).certificate)
    assert end == NOON + timedelta(days=10)


def test_an_intermediate_issues_leaves_under_the_root() -> None:
    root = pki.new_authority(Subject("root"), NOON)
    middle = root.intermediate(Subject("middle"), NOON)
    leaf = middle.issue(Subject("leaf"), NOON)
    assert middle.root == root.pair.certificate
    assert pki.split(middle.chain) == (middle.pair.certificate, root.pair.certificate)
    assert pki.issued_by(leaf.certificate, middle.pair.certificate)
    assert pki.issued_by(middle.pair.certificate, root.pair.certificate)


def test_a_signing_request_is_signed_with_its_own_key_and_names() -> None:
    root = pki.new_authority(Subject("root"), NOON)
    key = pki.new_key()
    signed = root.sign(pki.signing_request(key, Subject(uris=("spiffe://td/ns/a/sa/b",))), NOON)
    certificate = x509.load_pem_x509_certificate(signed)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td/ns/a/sa/b"]
    assert pki.issued_by(signed, root.pair.certificate)


def test_what_is_no_signing_request_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        pki.new_authority(Subject("root"), NOON).sign(b"nonsense", NOON)
    assert refused.value.code == "bad-signing-request"


def test_a_key_that_is_not_the_certificates_is_refused() -> None:
    one, other = pki.new_authority(Subject("one"), NOON), pki.new_authority(Subject("other"), NOON)
    with pytest.raises(ConfigError) as refused:
        pki.authority(one.pair.certificate, other.pair.key)
    assert refused.value.code == "bad-authority"
    assert pki.authority(one.pair.certificate, one.pair.key) == one


def test_no_key_shows_in_a_repr() -> None:
    root = pki.new_authority(Subject("root"), NOON)
    assert "PRIVATE KEY" not in repr(root)
    assert "CN=root" in repr(root)
