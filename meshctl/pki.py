"""Keys and certificates: the only file of the tool that imports `cryptography`.

Keys are ECDSA on P-256; certificates and keys travel as PEM bytes, keys as PKCS #8. Times are given
by the caller, so nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
    )

_SKEW = timedelta(minutes=5)
"""Validity begins a little early: the clocks of two machines are never quite the same."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is about.

    Attributes:
        common_name: for example a user of Kubernetes.
        organizations: for example the user's groups.
        dns: DNS names it answers to.
        addresses: IP addresses it answers to.
        uris: URIs such as a SPIFFE identity.
    """

    common_name: str = ""
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM; the key never shows in a `repr`."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """The subject only: a key must not end up in a log by way of a `repr`."""
        return f"Pair({x509.load_pem_x509_certificate(self.certificate).subject.rfc4514_string()})"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can issue.

    Attributes:
        pair: its certificate and key.
        above: PEM certificates from its issuer up to the root, the root last; empty for a root.
    """

    pair: Pair
    above: bytes = b""

    @property
    def chain(self) -> bytes:
        """Its certificate and those above it, PEM, the root last."""
        return self.pair.certificate + self.above

    @property
    def root(self) -> bytes:
        """The root's certificate, PEM."""
        return split(self.chain)[-1]

    def issue(
        self, subject: Subject, now: datetime, *, server: bool = True, client: bool = True, days: int = 365
    ) -> Pair:
        """A new key and a certificate for it.

        Args:
            subject: whom it is about.
            now: aware time; validity begins five minutes before.
            server: it may prove a server.
            client: it may prove a client.
            days: length of validity, cut to the authority's own end.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._leaf(_name(subject), _names(subject), key.public_key(), now, server, client, days)
        return Pair(certificate, _pem_key(key))

    def sign(
        self, request: bytes, now: datetime, *, server: bool = True, client: bool = True, days: int = 365
    ) -> bytes:
        """The certificate, PEM, that a signing request (PEM) asks for; its names are taken over.

        Raises:
            ConfigError: it is not a signing request, or is not signed by its own key.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
        except ValueError as cause:
            raise ConfigError("bad-signing-request", "this is not a PEM signing request") from cause
        if not asked.is_signature_valid:
            raise ConfigError("bad-signing-request", "the signing request is not signed by its own key")
        try:
            names = list(asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            names = []
        public = asked.public_key()
        return self._leaf(asked.subject, names, public, now, server, client, days)

    def intermediate(self, subject: Subject, now: datetime, *, days: int = 730) -> Authority:
        """A new authority under this one, which may issue leaves only."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(subject), self._name(), key.public_key(), now, self._end(now, days))
        builder = _authority_extensions(builder, key.public_key(), path_length=0)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        if names := _names(subject):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self._key(), hashes.SHA256())
        return Authority(Pair(_pem(signed), _pem_key(key)), above=self.chain)

    def _leaf(
        self,
        name: x509.Name,
        names: Sequence[x509.GeneralName],
        public: CertificatePublicKeyTypes,
        now: datetime,
        server: bool,
        client: bool,
        days: int,
    ) -> bytes:
        builder = _builder(name, self._name(), public, now, self._end(now, days))
        uses = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        if names:
            # RFC 5280, 4.1.2.6: with an empty subject the alternative name must be critical.
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(name))
        return _pem(builder.sign(self._key(), hashes.SHA256()))

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pair.certificate)

    def _name(self) -> x509.Name:
        return self._certificate().subject

    def _end(self, now: datetime, days: int) -> datetime:
        return min(now + timedelta(days=days), self._certificate().not_valid_after_utc)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self._certificate().extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _key(self) -> CertificateIssuerPrivateKeyTypes:
        key = serialization.load_pem_private_key(self.pair.key, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # made here, or checked by `authority`
        return key


def new_authority(subject: Subject, now: datetime, *, days: int = 3650) -> Authority:
    """A new root authority, its certificate signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(subject)
    builder = _builder(name, name, key.public_key(), now, now + timedelta(days=days))
    builder = _authority_extensions(builder, key.public_key(), path_length=None)
    signed = builder.sign(key, hashes.SHA256())
    return Authority(Pair(_pem(signed), _pem_key(key)))


def authority(certificate: bytes, key: bytes, above: bytes = b"") -> Authority:
    """An authority from PEM files that exist.

    Raises:
        ConfigError: the certificate or the key cannot be read, the key is not ECDSA, or they do not
            belong together.
    """
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as cause:
        raise ConfigError("bad-authority", "the certificate or key of the authority is not PEM") from cause
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ConfigError("bad-authority", "the key of the authority is not an ECDSA key")
    if private.public_key() != loaded.public_key():
        raise ConfigError("bad-authority", "certificate and key of the authority do not belong together")
    return Authority(Pair(certificate, key), above)


def new_key() -> bytes:
    """A new private key, PEM."""
    return _pem_key(ec.generate_private_key(ec.SECP256R1()))


def public_key(key: bytes) -> bytes:
    """The public half, PEM, of a private key."""
    public = serialization.load_pem_private_key(key, password=None).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signing_request(key: bytes, subject: Subject) -> bytes:
    """A signing request, PEM, for the ECDSA private `key`."""
    private = serialization.load_pem_private_key(key, password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject))
    if names := _names(subject):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def split(chain: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM chain, one by one, in their order."""
    return tuple(_pem(one) for one in x509.load_pem_x509_certificates(chain))


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Begin and end of the first certificate's validity; aware, UTC."""
    loaded = x509.load_pem_x509_certificates(certificate)[0]
    return loaded.not_valid_before_utc, loaded.not_valid_after_utc


def serial(certificate: bytes) -> int:
    """Serial number of the first certificate."""
    return x509.load_pem_x509_certificates(certificate)[0].serial_number


def issued_by(certificate: bytes, issuer: bytes) -> bool:
    """Whether the first certificate of `certificate` is signed by the first of `issuer`."""
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificates(issuer)[0])
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(end)
    )


def _authority_extensions(
    builder: x509.CertificateBuilder, public: ec.EllipticCurvePublicKey, path_length: int | None
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(subject: Subject) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in subject.organizations]
    if subject.common_name:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name))
    return x509.Name(parts)


def _names(subject: Subject) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in subject.dns),
        *(x509.IPAddress(ip_address(address)) for address in subject.addresses),
        *(x509.UniformResourceIdentifier(uri) for uri in subject.uris),
    ]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
