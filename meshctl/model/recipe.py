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
        cluster: whose istiod signs with it.
        namespace: of that istiod.
        signer: SHA-256 of the root that signs it, in hex: whole certificate, DER.
        trusted: SHA-256 of every root that its proxies are to trust, the signer among them, sorted.
        days: length of its validity, cut to the root's own end.
        permitted: trust domains to which names in what it signs are constrained; empty: any.
    """

    cluster: str
    namespace: str
    signer: str
    trusted: tuple[str, ...]
    days: int
    permitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluggedIn:
    """A certificate authority from files of the user's: the Secret `cacerts`.

    Attributes:
        cluster: whose istiod signs with it.
        folder: where `ca-cert.pem`, `ca-key.pem`, `root-cert.pem` and `cert-chain.pem` are.
    """

    cluster: str
    folder: str


@dataclass(frozen=True, slots=True)
class Access:
    """A kubeconfig by which an istiod elsewhere reads a cluster: a remote secret.

    Attributes:
        cluster: name of the cluster that is read.
        account: the ServiceAccount there in whose name it is read.
        server: address of its API server, as that istiod reaches it.
        bound: the Secret there with which the token ends; None: a token that never does.
        seconds: length of the token's life.
        key: under which the kubeconfig stands; the cluster's name, or `config` for an external istiod.
    """

    cluster: str
    account: Ref
    server: str
    bound: Ref | None
    seconds: int
    key: str


Recipe: TypeAlias = Intermediate | PluggedIn | Access
