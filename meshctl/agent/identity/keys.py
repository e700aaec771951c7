"""Keys, signing requests, and what certificates say: all of the agent that needs `cryptography`.

Importing that library takes 10 MiB, a quarter of what the whole agent may have, and it is needed for a moment
in half a day. So the agent has this module work in a process of its own (`apart`), and must not import it.
Keys and certificates come and go as PEM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshctl.agent.identity.credentials import Credentials, blocks
from meshctl.errors import ConfigError, UnsupportedError, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Key: TypeAlias = "ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey"
"""What istiod and Envoy can work with."""

_MAKERS: Final[Mapping[str, Callable[[], Key]]] = {
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
}


def new_key(kind: str) -> bytes:
    """A new private key of a kind that `settings.KEYS` names, PKCS #8, not encrypted.

    Raises:
        UnsupportedError: there is no such kind.
    """
    if kind not in _MAKERS:
        raise UnsupportedError(
            "unknown-key", f"there is no kind of key {kind!r}", hint=f"use one of {listed(_MAKERS)}"
        )
    return _MAKERS[kind]().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key: bytes, identity: str) -> bytes:
    """A request that asks for a certificate of the SPIFFE `identity`, signed by its key.

    The name is critical, as nothing but it says whom the certificate is about. Source: RFC 5280, 4.2.1.6.

    Raises:
        ConfigError: the key cannot be read, or the identity is not ASCII.
    """
    try:
        name = x509.UniformResourceIdentifier(identity)
    except ValueError as cause:
        raise ConfigError("bad-identity", f"the identity {identity!r} is not ASCII") from cause
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
    return builder.sign(_read_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def checked(key: bytes, answer: bytes, roots: bytes) -> Credentials:
    """The credentials that an authority's answer makes of a key.

    Args:
        key: private key.
        answer: certificates; the workload's first, the others in any order, roots among them or not.
        roots: those that are trusted; one that cannot be read is left out.

    Returns:
        Credentials whose chain ends below the root; their roots are those given that can be read.

    Raises:
        ConfigError: a certificate cannot be read, is not about the key, or leads to none of the roots.
    """
    given = [_read_certificate(block) for block in blocks(answer)]
    if not given:
        raise ConfigError("no-certificate", "there is no certificate in what was given")
    leaf = given[0]
    if _public(leaf) != _bytes_of(_read_key(key).public_key()):
        raise ConfigError(
            "key-differs",
            f"the certificate ({_said(leaf)}) is not about the key on this host",
            hint="ask for a certificate with what `meshctl-agent csr` prints now",
        )
    trusted = [root for block in blocks(roots) if (root := _readable(block)) is not None]
    chain = _path(leaf, given[1:], trusted)
    if not chain:
        raise ConfigError(
            "root-not-trusted",
            f"the certificate ({_said(leaf)}) leads to no trusted root, but to {_name(_top(given).issuer)}",
            hint="put the root that the mesh uses into root-cert.pem",
            details=[f"trusted: {_said(root)}" for root in trusted] or ["no root is trusted"],
        )
    return Credentials(
        key=key,
        chain=b"".join(_pem(each) for each in chain),
        roots=b"".join(dict.fromkeys(_pem(root) for root in trusted)),
        begins=leaf.not_valid_before_utc.timestamp(),
        ends=leaf.not_valid_after_utc.timestamp(),
        names=_identities(leaf),
    )


def readable(certificates: bytes) -> bytes:
    """Those of the certificates that can be read, each once; Envoy refuses a bundle for one that cannot."""
    found = (_readable(block) for block in blocks(certificates))
    return b"".join(dict.fromkeys(_pem(each) for each in found if each is not None))


def paired(key: bytes, chain: bytes) -> None:
    """Make sure that a chain's first certificate is about a key.

    Raises:
        ConfigError: it is not, or one of them cannot be read.
    """
    given = [_read_certificate(block) for block in blocks(chain)]
    if not given:
        raise ConfigError("no-certificate", "there is no certificate in what was given")
    if _public(given[0]) != _bytes_of(_read_key(key).public_key()):
        raise ConfigError("key-differs", f"the certificate ({_said(given[0])}) is not about the key")


def _path(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """From the leaf to the one below a root, the shortest way; empty where no root vouches for it."""
    ways, seen = [[leaf]], {leaf}
    while ways:
        way = ways.pop(0)
        if any(_issued(way[-1], root) for root in roots):
            return way
        further = [each for each in between if each not in seen and _issued(way[-1], each)]
        seen.update(further)
        ways += [[*way, each] for each in further]
    return []


def _top(given: Sequence[x509.Certificate]) -> x509.Certificate:
    """The last to which the first leads, among those given."""
    top = given[0]
    for _ in given:
        top = next((each for each in given if each != top and _issued(top, each)), top)
    return top


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _read_key(key: bytes) -> Key:
    try:
        read = serialization.load_pem_private_key(key, password=None)
    except TypeError as cause:  # what `cryptography` raises for a passphrase that is missing
        raise ConfigError("key-locked", "the private key is encrypted") from cause
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise ConfigError("bad-key", "the private key cannot be read") from cause
    if not isinstance(read, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ConfigError("bad-key", "the private key is neither an RSA nor an ECDSA key")
    return read


def _read_certificate(block: bytes) -> x509.Certificate:
    read = _readable(block)
    if read is None:
        raise ConfigError("bad-certificate", "there is a certificate that cannot be read")
    return read


def _readable(block: bytes) -> x509.Certificate | None:
    """The certificate; None where it, its names, its times or its key cannot be read."""
    try:
        read = x509.load_pem_x509_certificate(block)
        _ = read.public_key(), read.subject, read.issuer, read.not_valid_before_utc, read.not_valid_after_utc
        _ = read.extensions
    except Exception:  # noqa: BLE001 - the library has many, and whatever it is, others cannot read it either
        return None
    return read


def _identities(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return tuple(uri for uri in uris if uri.startswith("spiffe://"))


def _public(certificate: x509.Certificate) -> bytes:
    return _bytes_of(certificate.public_key())


def _bytes_of(public: object) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(encoding, form)  # type: ignore[attr-defined, no-any-return]


def _said(certificate: x509.Certificate) -> str:
    """A certificate as an error names it: its identity, or else its subject, and a bit of its fingerprint."""
    known = ", ".join(_identities(certificate)) or _name(certificate.subject)
    return f"{known}, {certificate.fingerprint(hashes.SHA256()).hex()[:16]}"


def _name(name: x509.Name) -> str:
    return repr(name.rfc4514_string()) if list(name) else "one without a name"


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
