"""What an Envoy says of itself on its admin port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as Envoy tells of it.

    Attributes:
        serial: its serial number.
        begins: start of its validity; aware, UTC.
        expires: end of its validity; aware, UTC.
        uris: URIs it is for, such as a SPIFFE identity.
    """

    serial: int
    begins: datetime
    expires: datetime
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsContext:
    """Certificates that are used together: what is shown to the other side, and who is trusted."""

    shown: tuple[Certificate, ...] = ()
    trusted: tuple[Certificate, ...] = ()

    @property
    def is_of_the_mesh(self) -> bool:
        """Whether it shows a workload's identity, as against a certificate that a user gave a gateway."""
        return any(uri.startswith("spiffe://") for each in self.shown for uri in each.uris)


@dataclass(frozen=True)
class EnvoyReport:
    """One look at an Envoy.

    Attributes:
        rejected: counters of configuration that it refused since it began, by name; zeros are left out.
        contexts: certificates in use; empty where nothing of it speaks TLS.
    """

    rejected: Mapping[str, int] = field(default_factory=dict)
    contexts: tuple[TlsContext, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """By what an Envoy is known in the mesh, and whom it believes; PEM, one certificate each.

    Attributes:
        chain: its own certificate, who signed it, and so on; sometimes with the root at its end.
        roots: those that it trusts.
        text: these roots as they were given, where they came as one file; empty: unknown.
    """

    chain: tuple[bytes, ...]
    roots: tuple[bytes, ...]
    text: bytes = b""
