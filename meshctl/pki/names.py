"""Whom a certificate is about."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID


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

    @property
    def name(self) -> x509.Name:
        """The distinguished name."""
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in self.organizations]
        if self.common_name:
            parts.append(x509.NameAttribute(NameOID.COMMON_NAME, self.common_name))
        return x509.Name(parts)

    @property
    def alternatives(self) -> list[x509.GeneralName]:
        """The alternative names, possibly none."""
        return [
            *(x509.DNSName(name) for name in self.dns),
            *(x509.IPAddress(ip_address(address)) for address in self.addresses),
            *(x509.UniformResourceIdentifier(uri) for uri in self.uris),
        ]
