"""What was read of a cluster, as facts about certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import pki
from meshctl.model.trust import Published, SeenAuthority, Shown
from meshctl.stages.trusting.cacerts import fingerprints, held

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.certificate import Facts
    from meshctl.model.envoy import Identity
    from meshctl.model.objects import Object
    from meshctl.model.trust import Kind


def authority(secret: Object) -> SeenAuthority:
    """The authority in a Secret; what cannot be read of it is left out."""
    found = held(secret)
    root = found.root
    return SeenAuthority(
        str(secret.ref),
        found.by,
        pki.facts(found.certificate) if found.certificate else None,
        pki.fingerprint(root) if root is not None else "",
        fingerprints(found.roots),
    )


def published(config_maps: Iterable[Object]) -> tuple[Published, ...]:
    """The roots that namespaces are given, those of most namespaces first."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for each in config_maps:
        groups.setdefault(fingerprints(roots_in(each)), []).append(each.ref.namespace)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return tuple(Published(tuple(sorted(namespaces)), roots) for roots, namespaces in ranked)


def roots_in(config_map: Object) -> tuple[bytes, ...]:
    """The roots, PEM, one each, that a ConfigMap of istiod's publishes; none where it cannot be read."""
    try:
        return pki.split(config_map.at("data.root-cert\\.pem", "").encode())
    except ValueError:
        return ()


def shown(kind: Kind, namespace: str, pod: str, identity: Identity) -> Shown:
    """A certificate in use: who signed it, and which root vouches for it."""
    own, above = identity.chain[0], identity.chain[1:]
    issuer = next((each for each in (*above, *identity.roots) if pki.issued_by(own, each)), None)
    root = pki.root_of(own, above, identity.roots)
    return Shown(
        kind,
        namespace,
        pod,
        pki.facts(own),
        pki.fingerprint(issuer) if issuer is not None else "",
        pki.fingerprint(root) if root is not None else "",
        fingerprints(identity.roots),
    )


def distinct(certificates: Iterable[bytes]) -> tuple[Facts, ...]:
    """What these certificates say, each once, by their ends."""
    known = {each.fingerprint: each for each in map(pki.facts, certificates)}
    return tuple(sorted(known.values(), key=lambda each: (each.ends, each.fingerprint)))
