"""A key, the certificates that speak for it, and the roots to trust."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this workload is, and how it knows others.

    Attributes:
        key: private key, PEM, PKCS #8; it never shows in a `repr`.
        chain: certificates, PEM: the workload's first, then those between it and a root.
        roots: certificates, PEM, that others' certificates must lead to.
        begins: epoch seconds when the workload's certificate begins to be valid.
        ends: epoch seconds when it ends.
        names: SPIFFE identities that it proves.
    """

    key: bytes
    chain: bytes
    roots: bytes
    begins: float
    ends: float
    names: tuple[str, ...]

    def __repr__(self) -> str:
        """The names only: a key must not end up in a log by way of a `repr`."""
        return f"Credentials({', '.join(self.names)})"

    def valid(self, now: float) -> bool:
        """Whether the certificate is valid at that moment, in epoch seconds."""
        return self.begins <= now < self.ends


def blocks(text: bytes) -> tuple[bytes, ...]:
    """The certificates in a text, each as canonical PEM, in their order; whatever else it holds is left out.

    They are not read: one whose base64 is sound may still be no certificate.
    """
    found = (b"".join(block.split()) for block in _BLOCK.findall(text))
    return tuple(_armoured(body) for body in found if _is_base64(body))


def joined(*texts: bytes) -> bytes:
    """The certificates of several texts as one bundle, each once, in the order of their first appearance."""
    return b"".join(dict.fromkeys(block for text in texts for block in blocks(text)))


def bundle(parts: Iterable[bytes]) -> bytes:
    """Texts as one; each begins on a line of its own, and is otherwise kept to the letter."""
    return b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts if part)


def _is_base64(body: bytes) -> bool:
    try:
        return bool(base64.b64decode(body, validate=True))
    except binascii.Error:
        return False


def _armoured(body: bytes) -> bytes:
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])
