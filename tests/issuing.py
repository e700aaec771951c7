"""A certificate authority for tests of the agent, and what stands in for istiod's.

It needs `cryptography` and the agent alone, so that these tests run wherever the agent does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshctl.agent.identity import keys
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.identity.identity import Clock
from meshctl.errors import UnreachableError

NOON = 1_800_000_000.0
"""When tests begin, in epoch seconds."""
IDENTITY = "spiffe://cluster.local/ns/vms/sa/shop"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)  # noqa: UP017 - Python 3.10


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Ca:
    """A root, and an intermediate that signs."""

    def __init__(self, name: str, begins: float = NOON - 86400, years: float = 10) -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._span = begins, begins + years * 365 * 86400
        self._root_name = self._name(f"{name} root")
        self._root = self._authority(self._root_name, self._root_key, self._root_name, self._root_key)
        self._between = self._authority(self._name(name), self._key, self._root_name, self._root_key)
        self.root = pem(self._root)
        self.between = pem(self._between)

    def cross_signed_by(self, other: Ca) -> bytes:
        """This root's certificate, as another root vouches for it."""
        return pem(self._authority(self._root_name, self._root_key, other._root_name, other._root_key))

    def sign(self, request: bytes, begins: float, ends: float, identity: str = IDENTITY) -> bytes:
        """A certificate for the key of a request, and the intermediate's."""
        public = x509.load_pem_x509_csr(request).public_key()
        return self.leaf(public, begins, ends, identity) + self.between

    def leaf(
        self,
        public: Any,
        begins: float,
        ends: float,
        identity: str = IDENTITY,
        *,
        host: str = "",
    ) -> bytes:
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity)] if identity else []
        names += [x509.DNSName(host)] if host else []
        builder = self._builder(x509.Name([]), public, self._between.subject, begins, ends)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return pem(builder.sign(self._key, hashes.SHA256()))

    def server(self, host: str, begins: float, ends: float) -> tuple[bytes, bytes]:
        """Key and chain of a server."""
        key = keys.new_key("ecdsa-p256")
        public = serialization.load_pem_private_key(key, None).public_key()
        return key, self.leaf(public, begins, ends, "", host=host) + self.between

    @staticmethod
    def _name(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    @staticmethod
    def _builder(
        name: x509.Name, public: Any, issuer: x509.Name, begins: float, ends: float
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(at(begins)).not_valid_after(at(ends))

    def _authority(self, name: x509.Name, key: Any, issuer: x509.Name, signer: Any) -> x509.Certificate:
        builder = self._builder(name, key.public_key(), issuer, *self._span)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        return builder.add_extension(basic, critical=True).sign(signer, hashes.SHA256())


class Here:
    """What `apart.Apart` does, in this process."""

    async def new_key(self, kind: str) -> bytes:
        return keys.new_key(kind)

    async def signing_request(self, key: bytes, identity: str) -> bytes:
        return keys.signing_request(key, identity)

    async def checked(self, key: bytes, answer: bytes, roots: bytes) -> Credentials:
        return keys.checked(key, answer, roots)

    async def readable(self, certificates: bytes) -> bytes:
        return keys.readable(certificates)

    async def paired(self, key: bytes, chain: bytes) -> None:
        keys.paired(key, chain)

    def end(self) -> None:
        pass


@dataclass
class HandClock:
    """Both ways of telling time; tests move them."""

    now: float = NOON
    passed: float = 1000.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, passed=lambda: self.passed)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds


@dataclass
class FakeIstiod:
    """Signs as tests want it.

    Attributes:
        ca: signs.
        time: tells when.
        life: seconds of a certificate.
        backdated: seconds by which its validity begins earlier.
        roots: bundle that it names; its own root by default.
        refusal: by kind of proof, `token` and `certificate`, what it is answered with instead.
        asked: proofs that it was shown, and requests, in their order.
    """

    ca: Ca
    time: HandClock
    life: float = 3600.0
    backdated: float = 120.0
    identity: str = IDENTITY
    roots: bytes = b""
    refusal: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    trusted: bytes = b""
    patience: float = 0.0

    async def sign(
        self, request: bytes, roots: bytes, proof: str | Credentials, patience: float
    ) -> tuple[bytes, ...]:
        kind = "token" if isinstance(proof, str) else "certificate"
        self.asked.append((kind, request))
        self.trusted, self.patience = roots, patience
        if kind in self.refusal:
            raise self.refusal[kind]
        begins = self.time.now - self.backdated
        leaf = self.ca.sign(request, begins, self.time.now + self.life, self.identity)
        return leaf, self.roots or self.ca.root

    def go_away(self) -> None:
        away = UnreachableError("authority-away", "the authority cannot be reached")
        self.refusal = {"token": away, "certificate": away}

    @property
    def proofs(self) -> list[str]:
        return [kind for kind, _ in self.asked]


async def until(wanted: Callable[[], bool], seconds: float = 10.0) -> None:
    """Until something is so; a test that waits in vain fails here."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not wanted():
        assert loop.time() < deadline, "it did not come to that"
        await asyncio.sleep(0.002)


def run(test: Awaitable[None]) -> None:
    """Run a test's coroutine."""

    async def bounded() -> None:
        await asyncio.wait_for(test, 30.0)

    asyncio.run(bounded())
