"""The Secret `cacerts`, in which istiod finds its certificate authority: written and read.

Source: istio.io/istio security/pkg/pki/ca (names of its files).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshctl import pki
from meshctl.model.labels import COMPONENT, EXPIRES, MESH
from meshctl.model.objects import Object, Ref
from meshctl.stages.removing.belongings import CA_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CACERTS: Final = "cacerts"
CERTIFICATE: Final = "ca-cert.pem"
KEY: Final = "ca-key.pem"
ROOTS: Final = "root-cert.pem"
CHAIN: Final = "cert-chain.pem"
FILES: Final = (CERTIFICATE, KEY, CHAIN, ROOTS)
"""Files that istiod needs all of."""

ROOT: Final = "meshctl.dev/root"
"""Annotation: SHA-256 of the root that vouches for the authority, in hex."""

_BY_ISTIOD: Final = "istio-generated"
_OF_TLS: Final = {CERTIFICATE: "tls.crt", KEY: "tls.key", ROOTS: "ca.crt"}
"""What cert-manager calls them; istiod takes these before its own."""


@dataclass(frozen=True, slots=True)
class Held:
    """The certificates in such a Secret; its key is not read.

    Attributes:
        certificate: of the authority, PEM; empty where it cannot be read.
        chain: what stands between it and its root, PEM, one each; it is often among them itself.
        roots: what proxies trust, PEM, one each.
        by: who keeps it, where that can be told: `meshctl`, `istiod`, `cert-manager`; else empty.
    """

    certificate: bytes = b""
    chain: tuple[bytes, ...] = ()
    roots: tuple[bytes, ...] = ()
    by: str = ""

    @property
    def root(self) -> bytes | None:
        """The root that vouches for the authority; None where none of those it brings does."""
        if not self.certificate:
            return None
        return pki.root_of(self.certificate, self.chain, self.roots)


def ref(namespace: str) -> Ref:
    """What names the Secret of the istiods in a namespace."""
    return Ref("v1", "Secret", namespace, CACERTS)


def held(secret: Object) -> Held:
    """The certificates of a Secret `cacerts` or `istio-ca-secret`; what cannot be read is left out."""
    keys: Mapping[str, str] = secret.at("data", {})
    of_tls = _OF_TLS[CERTIFICATE] in keys
    named = _OF_TLS if of_tls else {}
    certificate = _certificates(keys, named.get(CERTIFICATE, CERTIFICATE))
    roots = _certificates(keys, named.get(ROOTS, ROOTS))
    own = secret.ref.name == CA_SECRET
    if own and not roots:  # what istiod signed itself is its own root
        roots = certificate
    by = "cert-manager" if of_tls else ""
    if own or _BY_ISTIOD in keys:
        by = "istiod"
    elif MESH in secret.labels:
        by = "meshctl"
    chain = certificate if of_tls else _certificates(keys, CHAIN)
    return Held(certificate[0] if certificate else b"", chain, roots, by)


def secret(namespace: str, mesh: str, files: Mapping[str, bytes]) -> Object:
    """The Secret with these files; its annotations say what may be known of them.

    Raises:
        ValueError: a file that should hold certificates holds none.
    """
    certificate = files[CERTIFICATE]
    roots = pki.split(files[ROOTS])
    root = pki.root_of(certificate, pki.split(files[CHAIN]), roots)
    annotations = {EXPIRES: pki.facts(certificate).ends.isoformat(timespec="seconds")}
    if root is not None:
        annotations[ROOT] = pki.fingerprint(root)
    return Object(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": CACERTS,
                "namespace": namespace,
                "labels": {MESH: mesh, COMPONENT: "istiod"},
                "annotations": annotations,
            },
            "type": "Opaque",
            "data": {name: base64.b64encode(files[name]).decode() for name in sorted(files)},
        }
    )


def files_of(live: Object) -> dict[str, bytes]:
    """Every file in a Secret, its key among them.

    Raises:
        ValueError: one is not Base64.
    """
    return {name: base64.b64decode(text, validate=True) for name, text in live.at("data", {}).items()}


def bundle(roots: Iterable[bytes], first: str = "") -> bytes:
    """Roots as one file: that with the SHA-256 `first` at its head, then by their SHA-256, none twice."""
    known = {pki.fingerprint(each): each for each in roots}
    return b"".join(known[mark] for mark in sorted(known, key=lambda mark: (mark != first, mark)))


def fingerprints(certificates: Sequence[bytes]) -> tuple[str, ...]:
    """SHA-256 of each, sorted, none twice."""
    return tuple(sorted(set(map(pki.fingerprint, certificates))))


def _certificates(keys: Mapping[str, str], name: str) -> tuple[bytes, ...]:
    try:
        return pki.split(base64.b64decode(keys.get(name, ""), validate=True))
    except (binascii.Error, ValueError):
        return ()
