"""What a person does with the identity: takes a signing request away, and brings a certificate back.

That is for a host which has no token, and whose certificate somebody signs who holds the mesh's authority.
These functions belong into a short command: they import what is too large for the agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.agent.identity import keys
from meshctl.agent.identity.credentials import joined
from meshctl.agent.identity.roots import Roots
from meshctl.agent.identity.store import Store
from meshctl.errors import ConfigError, ConflictError

if TYPE_CHECKING:
    from meshctl.agent.identity.settings import IdentitySettings
    from meshctl.agent.places import Places


def csr(settings: IdentitySettings, places: Places) -> str:
    """A signing request, PEM, for the key on this host, which is made where there is none.

    Raises:
        ConfigError: the key that is there cannot be read.
        AccessError, FailedError: the folder of the identity cannot be used.
    """
    store = Store(places.identity)
    key = store.load().key or store.save_key(keys.new_key(settings.key))
    return keys.signing_request(key, settings.spiffe).decode("ascii")


def install(places: Places, answer: bytes, now: float) -> str:
    """Put a certificate in place, which a running agent takes over by itself; says whose it is.

    Args:
        places: of the agent.
        answer: the certificate, PEM, and those between it and a root.
        now: epoch seconds.

    Raises:
        ConfigError: it cannot be read, has ended, is not about the key on this host, or leads to no root in
            root-cert.pem.
        ConflictError: the agent has just taken another key.
        AccessError, FailedError: the folder of the identity cannot be used.
    """
    store, roots = Store(places.identity), Roots(places.roots)
    roots.look()
    stored = store.load()
    if not stored.key:
        raise ConfigError("no-key", "there is no key on this host yet", hint="begin with `meshctl-agent csr`")
    trusted = joined(roots.operator, stored.mesh_roots, stored.roots)
    found = keys.checked(stored.key, answer, trusted)
    names = ", ".join(found.names) or "nobody"
    if found.ends <= now:
        raise ConfigError(
            "certificate-ended",
            f"the certificate of {names} has ended",
            hint="have another signed, and compare the clocks",
        )
    if not store.save_chain(stored.key, found.chain):
        raise ConflictError(
            "key-replaced",
            "the agent has just renewed its certificate, and has another key now",
            hint="begin again with `meshctl-agent csr`, if it is still needed",
        )
    return f"certificate of {names} installed, for another {(found.ends - now) / 3600:.1f} h"
