"""The Secrets of a link: what its tokens hang on, and the kubeconfig that holds the newest of them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.labels import COMPONENT, EXPIRES, MESH
from meshctl.model.link import CONFIG_SECRET, MULTICLUSTER, READS, LinkKind
from meshctl.model.objects import Object, Ref
from meshctl.stages.rendering import emit

if TYPE_CHECKING:
    from datetime import datetime

    from meshctl.model.link import Life, Link
    from meshctl.model.recipe import Access

PART: Final = "links"
"""Name of the part that these Secrets belong to."""
READER: Final = "meshctl.dev/reader"
"""Label of a Secret on which tokens hang: the cluster whose istiod reads by them."""
TOKENS_OF: Final = "meshctl.dev/tokens-of"
"""Annotation of a Secret on which tokens hang: the account whose tokens they are."""
ISSUED: Final = "meshctl.dev/issued"
"""Annotation of a remote secret: when its token began, RFC 3339."""
SERVER: Final = "meshctl.dev/server"
"""Annotation of a remote secret: the address by which it is read."""
AUTHORITY: Final = "meshctl.dev/authority"
"""Annotation of a remote secret: SHA-256 of the API server's authorities, PEM, in hex."""
HANGS_ON: Final = "meshctl.dev/hangs-on"
"""Annotation of a remote secret: UIDs of the account and of the Secret with which its token ends."""
ACCOUNT: Final = "kubernetes.io/service-account.name"
LONG_LIVED: Final = "kubernetes.io/service-account-token"
"""Type of a Secret that a controller fills with a token that does not end by itself."""

_NUMBER = re.compile(r"\.(\d{1,9})$")


@dataclass(frozen=True)
class Token:
    """A token just made, and whom its API server is verified by.

    Attributes:
        text: never shown.
        life: from when to when it is valid.
        authority: certificates that the API server's is verified by, PEM; empty: those of the system.
        hangs_on: as the annotation `HANGS_ON` says it.
    """

    text: str
    life: Life
    authority: bytes
    hangs_on: str

    def __repr__(self) -> str:
        return f"Token({self.life})"


def holder_ref(mesh: str, link: Link, namespace: str, number: int) -> Ref:
    """The Secret, in the cluster that is read, with which the tokens of a link end; counted from 1."""
    return Ref("v1", "Secret", namespace, f"{_stem(mesh, link)}{number}")


def number_of(mesh: str, link: Link, name: str) -> int:
    """The number in the name of such a Secret; 0 where it is not one of this link."""
    found = _NUMBER.search(name)
    return int(found[1]) if found and name == f"{_stem(mesh, link)}{found[1]}" else 0


def _stem(mesh: str, link: Link) -> str:
    config = ".config" if link.kind is LinkKind.CONFIG else ""
    return f"meshctl-reader.{mesh}.{link.server}{config}."


def holder(ref: Ref, link: Link, account: Ref, owner: str, *, long_lived: bool) -> Object:
    """A Secret on which tokens hang; a controller puts a long-lived one into it.

    Args:
        ref: its name.
        link: whose tokens.
        account: whose tokens they are.
        owner: the mesh of the cluster that is read.
        long_lived: whether it is to hold one.
    """
    labels = {MESH: owner, COMPONENT: PART, READER: link.server}
    notes = {ACCOUNT if long_lived else TOKENS_OF: account.name}
    meta = {"name": ref.name, "namespace": ref.namespace, "labels": labels, "annotations": notes}
    kind = LONG_LIVED if long_lived else "Opaque"
    return Object({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind})


def remote_secret(recipe: Access, token: Token) -> Object:
    """The Secret by which an istiod reads a cluster.

    Source: istio.io/istio istioctl/pkg/multicluster and pkg/kube/multicluster: names, label and key.
    """
    notes = {
        READS: recipe.cluster,
        ISSUED: _written(token.life.begins),
        SERVER: recipe.server,
        AUTHORITY: fingerprint(token.authority),
        HANGS_ON: token.hangs_on,
    }
    if token.life.ends is not None:
        notes[EXPIRES] = _written(token.life.ends)
    text = emit.block(kubeconfig(recipe, token))
    return Object(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": recipe.secret.name,
                "namespace": recipe.secret.namespace,
                "labels": {**_found_by(recipe.secret), MESH: recipe.mesh, COMPONENT: PART},
                "annotations": notes,
            },
            "type": "Opaque",
            "data": {recipe.key: base64.b64encode(text.encode()).decode()},
        }
    )


def _found_by(secret: Ref) -> dict[str, str]:
    """The label by which istiod finds a remote secret. Its configuration's is mounted by name.

    With the label, istiod would read that cluster a second time, and call it as the key is called.
    """
    return {} if secret.name == CONFIG_SECRET else {MULTICLUSTER: "true"}


def kubeconfig(recipe: Access, token: Token) -> dict[str, Any]:
    """A kubeconfig with one context, which istiod takes: no program is run, no file is named."""
    name, cluster = recipe.cluster, {"server": recipe.server}
    if recipe.tls_name:
        cluster["tls-server-name"] = recipe.tls_name
    if token.authority:
        cluster = {"certificate-authority-data": base64.b64encode(token.authority).decode(), **cluster}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"cluster": cluster, "name": name}],
        "contexts": [{"context": {"cluster": name, "user": name}, "name": name}],
        "current-context": name,
        "users": [{"name": name, "user": {"token": token.text}}],
    }


def fingerprint(authority: bytes) -> str:
    """What tells certificates apart without showing them."""
    return hashlib.sha256(authority.strip()).hexdigest()


def hangs_on(account: Object, holder: Object) -> str:
    """What a token ends with."""
    return f"{account.uid}/{holder.uid}"


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
