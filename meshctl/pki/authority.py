"""Certificate authorities, and what they sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshctl.errors import ConfigError
from meshctl.pki.keys import Key, new_key, new_private_key, pem_key, private_key, signing_request
from meshctl.pki.reading import pem, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from meshctl.pki.names import Subject

_SKEW = timedelta(minutes=5)
"""Validity begins a little early: the clocks of two machines are never quite the same."""


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
        key = new_private_key()
        public = key.public_key()
        leaf = self._leaf(subject.name, subject.alternatives, public, now, server, client, days)
        return Pair(leaf, pem_key(key))

    def sign(
        self, request: bytes, now: datetime, *, server: bool = True, client: bool = True, days: int = 365
    ) -> bytes:
        """The certificate, PEM, that a signing request (PEM) asks for; its names are taken over.

        Raises:
            ConfigError: it is not a signing request, or is not signed by its own key.
        """
        asked = _request(request)
        try:
            names = list(asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            names = []
        public = asked.public_key()
        return self._leaf(asked.subject, names, public, now, server, client, days)

    def sign_authority(
        self, request: bytes, now: datetime, *, days: int, permitted: Sequence[str] = ()
    ) -> bytes:
        """The certificate, PEM, of an authority below this one, which may issue leaves only.

        Args:
            request: a signing request, PEM; its subject alone is taken over.
            now: aware time; validity begins five minutes before.
            days: length of validity, cut to this authority's own end.
            permitted: hosts (of SPIFFE, trust domains) to which URIs in what it signs are constrained.

        Raises:
            ConfigError: it is not a signing request, or is not signed by its own key; or this authority has
                come to its end.
        """
        asked = _request(request)
        end = self._end(now, days)
        if end <= now:
            raise ConfigError(
                "authority-expired",
                f"the authority {self._certificate().subject.rfc4514_string()!r} has ended on {end:%Y-%m-%d}",
                hint="make another, and rotate to it: `meshctl ca rotate`",
            )
        builder = _builder(asked.subject, self._certificate().subject, asked.public_key(), now, end)
        builder = _authority_extensions(builder, asked.public_key(), path_length=0)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        if permitted:
            hosts = [x509.UniformResourceIdentifier(each) for each in permitted]
            builder = builder.add_extension(x509.NameConstraints(hosts, None), critical=True)
        return pem(builder.sign(self._key(), hashes.SHA256()))

    def intermediate(self, subject: Subject, now: datetime, *, days: int = 730) -> Authority:
        """A new authority under this one, with a new key, which may issue leaves only."""
        key = new_key()
        certificate = self.sign_authority(signing_request(key, subject), now, days=days)
        return Authority(Pair(certificate, key), above=self.chain)

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
        builder = _builder(name, self._certificate().subject, public, now, self._end(now, days))
        uses = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        if names:
            # RFC 5280, 4.1.2.6: with an empty subject the alternative name must be critical.
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(name))
        return pem(builder.sign(self._key(), hashes.SHA256()))

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pair.certificate)

    def _end(self, now: datetime, days: int) -> datetime:
        return min(now + timedelta(days=days), self._certificate().not_valid_after_utc)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self._certificate()
        try:
            said = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:  # a root from elsewhere may leave it out
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key().public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(said)

    def _key(self) -> Key:
        return private_key(self.pair.key)


def new_authority(
    subject: Subject, now: datetime, *, days: int = 3650, path_length: int | None = None
) -> Authority:
    """A new root authority, its certificate signed by itself.

    Args:
        subject: whom it is about.
        now: aware time; validity begins five minutes before.
        days: length of validity.
        path_length: how many authorities may stand below it before a leaf; None: any number.
    """
    key = new_private_key()
    name = subject.name
    builder = _builder(name, name, key.public_key(), now, now + timedelta(days=days))
    builder = _authority_extensions(builder, key.public_key(), path_length)
    return Authority(Pair(pem(builder.sign(key, hashes.SHA256())), pem_key(key)))


def authority(certificate: bytes, key: bytes, above: bytes = b"", *, passphrase: bytes = b"") -> Authority:
    """An authority from PEM files that exist.

    Raises:
        KeyLockedError: the passphrase is missing or wrong.
        ConfigError: the certificate or the key cannot be read, the key is neither RSA nor ECDSA, or they do
            not belong together.
    """
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
    except ValueError as cause:
        raise ConfigError("bad-authority", "the certificate of the authority is not PEM") from cause
    private = private_key(key, passphrase)
    if private.public_key() != loaded.public_key():
        raise ConfigError("bad-authority", "certificate and key of the authority do not belong together")
    return Authority(Pair(certificate, pem_key(private)), above)


def _request(request: bytes) -> x509.CertificateSigningRequest:
    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError as cause:
        raise ConfigError("bad-signing-request", "this is not a PEM signing request") from cause
    if not asked.is_signature_valid:
        raise ConfigError("bad-signing-request", "the signing request is not signed by its own key")
    return asked


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
    builder: x509.CertificateBuilder, public: CertificatePublicKeyTypes, path_length: int | None
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
