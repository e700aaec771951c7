"""The authority that a cluster is to have, and the steps to it from what it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshctl import pki
from meshctl.errors import ConflictError
from meshctl.model.mesh import TRUST_DOMAIN
from meshctl.model.plan import Provide
from meshctl.model.recipe import Intermediate, PluggedIn
from meshctl.stages.removing.belongings import CA_SECRET
from meshctl.stages.trusting.cacerts import (
    CACERTS,
    CERTIFICATE,
    CHAIN,
    ROOTS,
    Held,
    fingerprints,
    ref,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from meshctl.model.mesh import Cluster, Mesh

PART: Final = "trust"


@dataclass(frozen=True, slots=True)
class There:
    """What a cluster has.

    Attributes:
        plugged_in: the Secret `cacerts`; None where there is none.
        self_signed: the Secret in which istiod keeps an authority that it made itself; None: none.
    """

    plugged_in: Held | None = None
    self_signed: Held | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The roots of a managed mesh.

    Attributes:
        signer: the one that signs a new cluster's authority, PEM.
        trusted: those that a new cluster's proxies trust, PEM, the signer among them.
        known: all of the folder's, PEM.
    """

    signer: bytes
    trusted: tuple[bytes, ...]
    known: tuple[bytes, ...]


def chosen(known: Sequence[bytes], elsewhere: Sequence[Held] = ()) -> Choice:
    """Which roots of a folder count: those that clusters of the mesh work with, as long as there are any.

    A root that was only made yet is not used before it was rotated to, as nobody trusts it.

    Args:
        known: the folder's roots, PEM, the newest first; never empty.
        elsewhere: authorities of other clusters of the mesh.
    """
    marks = [pki.fingerprint(each) for each in known]
    used = {pki.fingerprint(root) for each in elsewhere if (root := each.root) is not None}
    index = next((i for i, mark in enumerate(marks) if mark in used), 0)
    trusted = {pki.fingerprint(root) for each in elsewhere for root in each.roots}
    others = tuple(one for one, mark in zip(known, marks, strict=True) if mark in trusted)
    return Choice(known[index], tuple(dict.fromkeys((known[index], *others))), tuple(known))


def permitted(mesh: Mesh) -> tuple[str, ...]:
    """Trust domains to which names in what a cluster's authority signs are constrained; empty: any."""
    return (mesh.trust_domain or TRUST_DOMAIN,) if mesh.trust.constrained else ()


def managed(
    mesh: Mesh, cluster: Cluster, namespace: str, there: There, roots: Choice, now: datetime
) -> tuple[Provide, ...]:
    """The step that gives a cluster its intermediate, or another in the last third of its life.

    Args:
        mesh: the mesh, whose trust is managed.
        cluster: one that has an istiod.
        namespace: of that istiod.
        there: what it has.
        roots: those of the mesh.
        now: this moment.

    Raises:
        ConflictError: it has an authority under another root, or one that somebody else looks after.
    """
    live = there.plugged_in
    refuse_another_root(mesh, cluster, there, roots.known)
    signer, trusted, why = roots.signer, roots.trusted, ""
    if live is not None:
        why = _outdated(live, permitted(mesh), now)
        if not why:
            return ()
        by_marks = {pki.fingerprint(each): each for each in roots.known}
        root = live.root
        if root is not None:  # renewed under the root that it has: going to another is a rotation
            signer, trusted = by_marks[pki.fingerprint(root)], live.roots
    made = recipe(mesh, cluster, namespace, signer, trusted)
    return (Provide(PART, ref(namespace), made, why, live=live is not None),)


def recipe(
    mesh: Mesh, cluster: Cluster, namespace: str, signer: bytes, trusted: Sequence[bytes]
) -> Intermediate:
    """How a cluster's authority is made, as the mesh says.

    Args:
        mesh: the mesh, whose trust is managed.
        cluster: one that has an istiod.
        namespace: of that istiod.
        signer: the root that signs, PEM.
        trusted: roots that proxies are to trust besides, PEM.
    """
    return Intermediate(
        mesh=mesh.name,
        cluster=cluster.name,
        namespace=namespace,
        folder=mesh.trust.root,
        signer=pki.fingerprint(signer),
        trusted=fingerprints((signer, *trusted)),
        days=mesh.trust.days,
        permitted=permitted(mesh),
    )


def from_files(
    mesh: Mesh, cluster: Cluster, namespace: str, there: There, files: Mapping[str, bytes]
) -> tuple[Provide, ...]:
    """The step that gives a cluster the authority in files of the user's, where it has another.

    Args:
        mesh: the mesh.
        cluster: one that has an istiod.
        namespace: of that istiod.
        there: what it has.
        files: the user's, by name, sound as `files.problems` finds them.

    Raises:
        ConflictError: it has an authority under another root, or one that somebody else looks after.
    """
    live = there.plugged_in
    roots = pki.split(files[ROOTS])
    refuse_another_root(mesh, cluster, there, roots)
    wanted = (pki.split(files[CERTIFICATE])[:1], pki.split(files[CHAIN]), fingerprints(roots))
    if live is not None and wanted == ((live.certificate,), live.chain, fingerprints(live.roots)):
        return ()
    folder = mesh.trust.folder_of(cluster.name)
    why = "" if live is None else f"it is not what {folder} holds"
    plugged = PluggedIn(mesh.name, cluster.name, namespace, folder)
    return (Provide(PART, ref(namespace), plugged, why, live=live is not None),)


def refuse_another_root(mesh: Mesh, cluster: Cluster, there: There, roots: Sequence[bytes]) -> None:
    """Keep identities that are in use from losing their root in one step, which would cut every call.

    Raises:
        ConflictError: the cluster has an authority under none of `roots`, or one that somebody else looks
            after, or one that cannot be read and is not ours.
    """
    live = there.plugged_in
    if live is not None and live.by == "cert-manager":
        raise ConflictError(
            "authority-of-others",
            f"the Secret {CACERTS} of {cluster.name!r} is kept by cert-manager",
            hint="write `ca: there` in spec.trust, or take that Certificate away first",
        )
    held = live or there.self_signed
    if held is None:
        return
    root = held.root
    if root is None:
        if live is None or held.by == "meshctl":
            return
        raise ConflictError(
            "authority-unreadable",
            f"the Secret {CACERTS} of {cluster.name!r} is not ours, and holds no authority with its root",
            hint="look at it, remove it if nothing needs it, then run the same command again",
        )
    if pki.fingerprint(root) not in {pki.fingerprint(each) for each in roots}:
        name = CACERTS if live is not None else CA_SECRET
        facts = pki.facts(root)
        raise ConflictError(
            "another-root",
            f"the authority of {cluster.name!r} has another root than those of mesh {mesh.name!r}",
            hint="proxies would stop trusting each other; `meshctl ca rotate` goes there without a failed "
            f"request. Where no proxy runs yet, remove the Secret {name}",
            details=(f"{facts.name}, SHA-256 {facts.fingerprint}, in the Secret {name}",),
        )


def refuse_plugged_in(cluster: Cluster, there: There) -> None:
    """Keep a mesh that is to be self-signed from working with an authority that is plugged in.

    Raises:
        ConflictError: there is one.
    """
    live = there.plugged_in
    if live is not None and live.by != "istiod":
        raise ConflictError(
            "authority-there",
            f"the Secret {CACERTS} of {cluster.name!r} brings an authority, which istiod would take",
            hint="write `ca: there` in spec.trust to keep it, or remove it where no proxy runs yet",
        )


def renews(begins: datetime, ends: datetime, now: datetime) -> bool:
    """Whether an authority is in the last third of its life, in which it is replaced."""
    return now >= ends - (ends - begins) / 3


def _outdated(live: Held, allowed: tuple[str, ...], now: datetime) -> str:
    """Why an authority is to be replaced; empty where it is as it should be."""
    if live.root is None:
        return "its authority cannot be read, or does not come from its roots"
    facts = pki.facts(live.certificate)
    if renews(facts.begins, facts.ends, now):
        return f"its authority ends on {facts.ends:%Y-%m-%d}"
    if facts.permitted != allowed:
        return "its authority signs names of other trust domains" if allowed else "its names are constrained"
    return ""
