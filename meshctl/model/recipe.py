"""Recipes for Secrets that are made at their moment: what they hold is neither planned nor recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshctl.model.objects import Ref


@dataclass(frozen=True, slots=True)
class Intermediate:
    """A certificate authority for one cluster, under a root of the mesh: the Secret `cacerts`.

    Attributes:
        mesh: name of the mesh it belongs to.
        cluster: whose istiod signs with it.
        namespace: of that istiod.
        folder: where the mesh's roots are kept, as `Trust.root` says.
        signer: SHA-256 of the root that signs it, in hex: whole certificate, DER.
        trusted: SHA-256 of every root that its proxies are to trust, the signer among them, sorted.
        days: length of its validity, cut to the root's own end.
        permitted: trust domains to which names in what it signs are constrained; empty: any.
    """

    mesh: str
    cluster: str
    namespace: str
    folder: str
    signer: str
    trusted: tuple[str, ...]
    days: int
    permitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluggedIn:
    """A certificate authority from files of the user's: the Secret `cacerts`.

    Attributes:
        mesh: name of the mesh it belongs to.
        cluster: whose istiod signs with it.
        namespace: of that istiod.
        folder: where `ca-cert.pem`, `ca-key.pem`, `root-cert.pem` and `cert-chain.pem` are.
    """

    mesh: str
    cluster: str
    namespace: str
    folder: str


@dataclass(frozen=True, slots=True)
class Copied:
    """The authority in one Secret as another, or as the same one, with other roots to trust.

    Attributes:
        mesh: name of the mesh it belongs to.
        cluster: where both Secrets are.
        source: the Secret whose authority it is.
        target: the Secret that this becomes.
        roots: the file of roots that proxies are to trust, PEM: public, and compared letter by letter.
        is_ours: whether it goes with the mesh; one that the user brought does not.
    """

    mesh: str
    cluster: str
    source: Ref
    target: Ref
    roots: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Access:
    """A kubeconfig by which an istiod elsewhere reads a cluster: a remote secret.

    Attributes:
        mesh: the mesh of that istiod.
        cluster: name of the cluster that is read.
        account: the ServiceAccount there in whose name it is read.
        server: address of its API server, as that istiod reaches it.
        bound: the Secret there with which the token ends.
        seconds: length of the token's life; 0: it does not end by itself, and is what `bound` holds.
        secret: the Secret that this becomes, beside the istiod.
        key: under which the kubeconfig stands; the cluster's name, or `config` for an external istiod.
        tls_name: the name that the API server's certificate is for; empty: that of its address.
    """

    mesh: str
    cluster: str
    account: Ref
    server: str
    bound: Ref
    seconds: int
    secret: Ref
    key: str
    tls_name: str = ""


Recipe: TypeAlias = Intermediate | PluggedIn | Copied | Access
