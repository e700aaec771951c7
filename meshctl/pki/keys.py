"""Private keys: made, locked by a passphrase, matched with certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from meshctl.pki.names import Subject

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""What istiod and Envoy can work with."""


class KeyLockedError(ConfigError):
    """A passphrase is missing, or is the wrong one."""


def new_private_key() -> ec.EllipticCurvePrivateKey:
    """A key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def new_key() -> bytes:
    """A new private key, PEM."""
    return pem_key(new_private_key())


def pem_key(key: Key) -> bytes:
    """PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted(key: bytes, passphrase: bytes) -> bytes:
    """The private key, PEM, encrypted with a passphrase, which may not be empty."""
    return serialization.load_pem_private_key(key, password=None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def is_encrypted(key: bytes) -> bool:
    """Whether a PEM private key asks for a passphrase; False, too, where it cannot be read at all."""
    try:
        serialization.load_pem_private_key(key, password=None)
    except TypeError:  # what `cryptography` raises for a passphrase that is missing
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def unlocked(key: bytes, passphrase: bytes = b"") -> bytes:
    """The private key, PEM, without encryption.

    Raises:
        KeyLockedError: the passphrase is missing or wrong.
        ConfigError: it is no private key, or neither an RSA nor an ECDSA one.
    """
    return pem_key(private_key(key, passphrase))


def private_key(key: bytes, passphrase: bytes = b"") -> Key:
    """The private key, read; raises as `unlocked`."""
    locked = is_encrypted(key)
    if locked and not passphrase:
        raise KeyLockedError("key-locked", "the key is encrypted, and no passphrase was given")
    try:
        read = serialization.load_pem_private_key(key, password=passphrase if locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        if locked:
            raise KeyLockedError("wrong-passphrase", "the passphrase does not open the key") from cause
        raise ConfigError("bad-key", "this is no PEM private key") from cause
    if not isinstance(read, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ConfigError("bad-key", "the key is neither an RSA nor an ECDSA key")
    return read


def fits(certificate: bytes, key: bytes) -> bool:
    """Whether the first certificate of `certificate` is about this key, which is not encrypted.

    Raises:
        ConfigError: it is no private key, or neither an RSA nor an ECDSA one.
        ValueError: it is no certificate.
    """
    loaded = x509.load_pem_x509_certificates(certificate)[0]
    return private_key(key).public_key() == loaded.public_key()


def public_key(key: bytes) -> bytes:
    """The public half, PEM, of a private key."""
    public = serialization.load_pem_private_key(key, password=None).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signing_request(key: bytes, subject: Subject) -> bytes:
    """A signing request, PEM, for the private `key`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject.name)
    if names := subject.alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(private_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
