"""What certificates say, and who signed whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshctl.model.certificate import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

E = TypeVar("E", bound=x509.ExtensionType)


def facts(certificate: bytes) -> Facts:
    """What the first certificate, PEM, says.

    Raises:
        ValueError: it is no certificate.
    """
    loaded = _first(certificate)
    signs, length = _authority(loaded)
    return Facts(
        fingerprint=loaded.fingerprint(hashes.SHA256()).hex(),
        subject=loaded.subject.rfc4514_string(),
        issuer=loaded.issuer.rfc4514_string(),
        serial=loaded.serial_number,
        begins=loaded.not_valid_before_utc,
        ends=loaded.not_valid_after_utc,
        key=_key(loaded),
        uris=_uris(loaded),
        signs=signs,
        path_length=length,
        permitted=_permitted(loaded),
    )


def split(chain: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM chain, one by one, in their order.

    Raises:
        ValueError: there is none, or one cannot be read.
    """
    return tuple(pem(one) for one in x509.load_pem_x509_certificates(chain))


def fingerprint(certificate: bytes) -> str:
    """SHA-256, in hex, of the first certificate as a whole, DER.

    Raises:
        ValueError: it is no certificate.
    """
    return _first(certificate).fingerprint(hashes.SHA256()).hex()


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Begin and end of the first certificate's validity; aware, UTC."""
    loaded = _first(certificate)
    return loaded.not_valid_before_utc, loaded.not_valid_after_utc


def serial(certificate: bytes) -> int:
    """Serial number of the first certificate."""
    return _first(certificate).serial_number


def issued_by(certificate: bytes, issuer: bytes) -> bool:
    """Whether the first certificate of `certificate` is signed by the first of `issuer`."""
    try:
        _first(certificate).verify_directly_issued_by(_first(issuer))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def path(certificate: bytes, between: Sequence[bytes], roots: Sequence[bytes]) -> tuple[bytes, ...]:
    """From the first certificate of `certificate` up to a root that vouches for it; empty where none does.

    Signatures alone count: neither validity nor what an authority may sign.

    Args:
        certificate: PEM; a root vouches for itself.
        between: certificates, PEM, one each, that may stand between; in any order.
        roots: certificates, PEM, one each.
    """
    marks = {fingerprint(each): each for each in roots}
    seen: set[str] = set()
    reached: list[tuple[bytes, ...]] = [(certificate,)]
    while reached:
        way = reached.pop(0)
        mark = fingerprint(way[-1])
        if mark in marks:
            return way
        if mark in seen:
            continue
        seen.add(mark)
        reached += [(*way, each) for each in (*roots, *between) if issued_by(way[-1], each)]
    return ()


def root_of(certificate: bytes, between: Sequence[bytes], roots: Sequence[bytes]) -> bytes | None:
    """The root that vouches for a certificate; None where none does. See `path`."""
    found = path(certificate, between, roots)
    return found[-1] if found else None


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _first(chain: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain)[0]


def _extension(loaded: x509.Certificate, kind: type[E]) -> E | None:
    """An extension of a certificate; None where it has none, or one that cannot be read."""
    try:
        return loaded.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


def _authority(loaded: x509.Certificate) -> tuple[bool, int | None]:
    said = _extension(loaded, x509.BasicConstraints)
    usage = _extension(loaded, x509.KeyUsage)
    if said is None:
        return False, None
    return said.ca and (usage is None or usage.key_cert_sign), said.path_length


def _key(loaded: x509.Certificate) -> str:
    try:
        key = loaded.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "unknown"
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {key.key_size}"
        case _:
            return type(key).__name__.removeprefix("_").removesuffix("PublicKey")


def _uris(loaded: x509.Certificate) -> tuple[str, ...]:
    names = _extension(loaded, x509.SubjectAlternativeName)
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()


def _permitted(loaded: x509.Certificate) -> tuple[str, ...]:
    said = _extension(loaded, x509.NameConstraints)
    names = (said.permitted_subtrees if said else None) or ()
    return tuple(each.value for each in names if isinstance(each, x509.UniformResourceIdentifier))
