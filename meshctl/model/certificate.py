"""What a certificate says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What one certificate says.

    Attributes:
        fingerprint: SHA-256 of the whole certificate, DER, in hex.
        subject: whom it is about, as RFC 4514 writes it; empty for most workloads.
        issuer: whose key signed it.
        serial: its serial number.
        begins: start of its validity; aware, UTC.
        ends: end of its validity; aware, UTC.
        key: algorithm and size of its key: `ECDSA 256`, `RSA 4096`.
        uris: URIs it is for, such as a SPIFFE identity.
        signs: whether it may sign certificates.
        path_length: how many authorities may stand below it before a leaf; None: any number.
        permitted: hosts to which the URIs in what it signs are constrained; empty: any.
    """

    fingerprint: str
    subject: str
    issuer: str
    serial: int
    begins: datetime
    ends: datetime
    key: str
    uris: tuple[str, ...] = ()
    signs: bool = False
    path_length: int | None = None
    permitted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """By what a person knows it: its subject, else its first URI."""
        return self.subject or next(iter(self.uris), "")
