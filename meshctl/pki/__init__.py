"""Keys and certificates: the only room of the tool that imports `cryptography`.

New keys are ECDSA on P-256; those that come from elsewhere may be RSA, too. Certificates and keys travel as
PEM bytes, keys as PKCS #8. Times are given by the caller, so nothing here reads a clock.
"""

from meshctl.model.certificate import Facts
from meshctl.pki.authority import Authority, Pair, authority, new_authority
from meshctl.pki.keys import (
    KeyLockedError,
    encrypted,
    fits,
    is_encrypted,
    new_key,
    public_key,
    signing_request,
    unlocked,
)
from meshctl.pki.names import Subject
from meshctl.pki.reading import facts, fingerprint, issued_by, path, root_of, serial, split, validity

__all__ = [
    "Authority",
    "Facts",
    "KeyLockedError",
    "Pair",
    "Subject",
    "authority",
    "encrypted",
    "facts",
    "fingerprint",
    "fits",
    "is_encrypted",
    "issued_by",
    "new_authority",
    "new_key",
    "path",
    "public_key",
    "root_of",
    "serial",
    "signing_request",
    "split",
    "unlocked",
    "validity",
]
