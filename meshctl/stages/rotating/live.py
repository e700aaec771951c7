"""What a Secret `cacerts` holds, as far as a rotation compares it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl import pki
from meshctl.stages.trusting.cacerts import ROOTS, bundle, fingerprints, held

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.envoy import Identity
    from meshctl.model.objects import Object


@dataclass(frozen=True, slots=True)
class Live:
    """An authority that is there.

    Attributes:
        mark: SHA-256 of its certificate; empty where that cannot be read.
        root: SHA-256 of the root that vouches for it; empty where none that it brings does.
        roots: certificates of the roots that proxies trust, PEM, one each.
        text: those roots as they stand in the file, which istiod compares letter by letter.
        by: who keeps it, as far as that can be told; see `trusting.cacerts.Held`.
    """

    mark: str
    root: str
    roots: tuple[bytes, ...]
    text: bytes
    by: str = ""

    @property
    def trusted(self) -> tuple[str, ...]:
        """SHA-256 of the roots that proxies trust, sorted."""
        return fingerprints(self.roots)

    def rewritten(self, roots: Iterable[bytes], first: str = "") -> str:
        """A file of these roots that differs from the present one, whatever is in that.

        Args:
            roots: certificates, PEM, one each.
            first: SHA-256 of the one at its head; empty: of the one that vouches for the authority.
        """
        text = bundle(roots, first or self.root)
        return (text + b"\n" if text == self.text else text).decode()


def live(secret: Object) -> Live:
    """The authority in a Secret; what cannot be read of it is left out."""
    found = held(secret)
    voucher = found.root
    try:
        text = base64.b64decode(secret.at("data", {}).get(ROOTS, ""), validate=True)
    except (binascii.Error, ValueError):
        text = b""
    return Live(
        pki.fingerprint(found.certificate) if found.certificate else "",
        pki.fingerprint(voucher) if voucher is not None else "",
        found.roots,
        text,
        found.by,
    )


def issuer(identity: Identity) -> str:
    """SHA-256 of the certificate that signed an identity's own; empty where that is not beside it."""
    own, *above = (*identity.chain, *identity.roots)
    return next((pki.fingerprint(each) for each in above if pki.issued_by(own, each)), "")


def root(identity: Identity) -> str:
    """SHA-256 of the root, among those it trusts, that vouches for an identity; empty where none does."""
    own, *above = identity.chain
    found = pki.root_of(own, above, identity.roots)
    return pki.fingerprint(found) if found is not None else ""


def marks(certificates: bytes) -> tuple[str, ...]:
    """SHA-256 of the certificates in a file, sorted; none where it cannot be read."""
    try:
        return fingerprints(pki.split(certificates))
    except ValueError:
        return ()
