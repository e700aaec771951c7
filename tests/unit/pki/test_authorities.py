"""Authorities: what they sign, and the keys that come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from meshctl import pki
from meshctl.errors import ConfigError
from meshctl.pki import Subject

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TODAY = datetime.now(UTC)


def from_elsewhere(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> pki.Pair:
    """A root as OpenSSL makes one without further options: no key identifiers."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOON - timedelta(days=1))
        .not_valid_after(NOON + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return pki.Pair(built.public_bytes(serialization.Encoding.PEM), pem(key))


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_an_authority_from_elsewhere_signs_intermediates(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    pair = from_elsewhere(key)
    root = pki.authority(pair.certificate, pair.key)
    middle = root.intermediate(Subject("west"), NOON)
    leaf = middle.issue(Subject(uris=("spiffe://td/x",)), NOON)
    assert pki.path(leaf.certificate, [middle.pair.certificate], [pair.certificate]) == (
        leaf.certificate,
        middle.pair.certificate,
        pair.certificate,
    )


def test_an_authority_below_issues_leaves_only_and_never_outlives_the_one_above() -> None:
    root = pki.new_authority(Subject("root"), NOON, days=10)
    request = pki.signing_request(pki.new_key(), Subject("west"))
    facts = pki.facts(root.sign_authority(request, NOON, days=365))
    assert (facts.signs, facts.path_length, facts.ends) == (True, 0, NOON + timedelta(days=10))


def test_an_authority_that_has_ended_signs_no_other() -> None:
    root = pki.new_authority(Subject("root"), NOON, days=10)
    request = pki.signing_request(pki.new_key(), Subject("west"))
    with pytest.raises(ConfigError) as told:
        root.sign_authority(request, NOON + timedelta(days=11), days=365)
    assert told.value.code == "authority-expired"


def test_names_are_constrained_to_trust_domains_and_that_is_critical() -> None:
    root = pki.new_authority(Subject("root"), NOON)
    request = pki.signing_request(pki.new_key(), Subject("west"))
    signed = root.sign_authority(request, NOON, days=1, permitted=("td.example", "other"))
    assert pki.facts(signed).permitted == ("td.example", "other")
    extension = x509.load_pem_x509_certificate(signed).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert extension.critical
    assert extension.value.excluded_subtrees is None


@pytest.mark.parametrize(
    ("uri", "passes"),
    [("spiffe://td.example/ns/a/sa/b", True), ("spiffe://other/ns/a/sa/b", False), ("", True)],
    ids=["own", "another", "none"],
)
def test_a_peer_that_checks_as_envoy_does_refuses_names_beyond_the_constraint(uri: str, passes: bool) -> None:
    root = pki.new_authority(Subject("root"), TODAY)
    key = pki.new_key()
    middle = root.sign_authority(
        pki.signing_request(key, Subject("west")), TODAY, days=1, permitted=("td.example",)
    )
    subject = Subject(uris=(uri,)) if uri else Subject(dns=("istiod.istio-system.svc",))
    client = pki.authority(middle, key).issue(subject, TODAY)
    with told_by(root.issue(Subject(dns=("localhost",)), TODAY), root.pair.certificate) as port:
        credentials = grpc.ssl_channel_credentials(
            root.pair.certificate, client.key, client.certificate + middle
        )
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            call = channel.unary_unary("/a.Server/Call")
            if passes:
                assert call(b"", timeout=10) == b"heard"
            else:
                with pytest.raises(grpc.RpcError) as told:
                    call(b"", timeout=10)
                assert told.value.code() is grpc.StatusCode.UNAVAILABLE


@contextmanager
def told_by(server: pki.Pair, root: bytes) -> Iterator[int]:
    """The port of a server that asks for a client's certificate; gRPC brings BoringSSL, as Envoy does."""
    method = grpc.unary_unary_rpc_method_handler(lambda _, __: b"heard")
    serving = grpc.server(ThreadPoolExecutor(1))
    serving.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Server", {"Call": method}),))
    pairs = [(server.key, server.certificate)]
    credentials = grpc.ssl_server_credentials(pairs, root, require_client_auth=True)
    port = serving.add_secure_port("localhost:0", credentials)
    serving.start()
    try:
        yield port
    finally:
        serving.stop(None).wait()


def test_an_encrypted_key_opens_with_its_passphrase_alone() -> None:
    key = pki.new_key()
    locked = pki.encrypted(key, b"open sesame")
    assert b"ENCRYPTED" in locked
    assert pki.is_encrypted(locked)
    assert not pki.is_encrypted(key)
    assert pki.unlocked(locked, b"open sesame") == key
    for passphrase, code in ((b"", "key-locked"), (b"other", "wrong-passphrase")):
        with pytest.raises(pki.KeyLockedError) as told:
            pki.unlocked(locked, passphrase)
        assert told.value.code == code


@pytest.mark.parametrize("key", [b"", b"nonsense", pem(ed25519.Ed25519PrivateKey.generate())])
def test_a_key_that_nobody_can_sign_with_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigError) as told:
        pki.unlocked(key)
    assert told.value.code == "bad-key"


def test_a_passphrase_for_a_key_that_has_none_is_no_hindrance() -> None:
    key = pki.new_key()
    assert pki.unlocked(key, b"whatever") == key


def test_certificates_that_vouch_for_each_other_in_a_circle_lead_to_no_root() -> None:
    one = pki.new_authority(Subject("one"), NOON)
    other = pki.new_authority(Subject("other"), NOON)
    leaf = one.issue(Subject("leaf"), NOON)
    assert pki.path(leaf.certificate, [one.pair.certificate], [other.pair.certificate]) == ()
    assert pki.root_of(leaf.certificate, [], [one.pair.certificate]) == one.pair.certificate


def test_a_fingerprint_is_that_of_openssl() -> None:
    certificate = pki.new_authority(Subject("root"), NOON).pair.certificate
    der = x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    assert pki.fingerprint(certificate) == digest.finalize().hex() == pki.facts(certificate).fingerprint
