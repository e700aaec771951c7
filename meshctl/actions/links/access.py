"""Make the Secret by which an istiod reads a cluster, when its turn comes: it holds a token."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from meshctl.errors import FailedError
from meshctl.model.link import Life, life_of
from meshctl.model.objects import Ref
from meshctl.stages.linking.secrets import Token, hangs_on, remote_secret

if TYPE_CHECKING:
    from meshctl import ports
    from meshctl.model.objects import Object
    from meshctl.model.recipe import Access
    from meshctl.ports import World

_FILLED: Final = 15.0  # seconds in which a controller puts a long-lived token into its Secret
_PAUSE: Final = 0.25


def access_secret(world: World, recipe: Access) -> Object:
    """The Secret that a recipe asks for. Asks the cluster that is read for a token, and changes nothing.

    Raises:
        FailedError: what the token is to hang on is not there, or no controller fills it.
        AccessError: we may not ask for tokens of that account.
    """
    door = world.clusters[recipe.cluster]
    account, holder = _there(door, recipe.account), _there(door, recipe.bound)
    if recipe.seconds:
        text = door.token(recipe.account.namespace, recipe.account.name, seconds=recipe.seconds, bound=holder)
    else:
        text = _filled(world, door, holder)
    now = world.clock.now().replace(microsecond=0)
    ends = now + timedelta(seconds=recipe.seconds) if recipe.seconds else None
    life = (life_of(text) if recipe.seconds else None) or Life(now, ends)
    token = Token(text, life, authority_of(door, recipe.server), hangs_on(account, holder))
    return remote_secret(recipe, token)


def authority_of(door: ports.Cluster, server: str) -> bytes:
    """Certificates that an API server's own is verified by, PEM; empty: those of whoever asks.

    By the kubeconfig's address it is whom we trust ourselves; by another one, whom the cluster's own pods do.
    """
    if server == door.server.rstrip("/") and door.authority is not None:
        return door.authority
    published = door.get(Ref("v1", "ConfigMap", "default", "kube-root-ca.crt"))
    told = str(published.at("data.ca\\.crt", "") if published else "").encode()
    return told or door.authority or b""


def _there(door: ports.Cluster, ref: Ref) -> Object:
    found = door.get(ref)
    if found is None:
        raise FailedError(
            "access-missing",
            f"{ref} is not in {door.name!r}, so there can be no token for it",
            hint="somebody has removed it meanwhile; run the same command again",
        )
    return found


def _filled(world: World, door: ports.Cluster, holder: Object) -> str:
    """The long-lived token in a Secret, once a controller has put it there."""
    give_up = world.clock.monotonic() + _FILLED
    while True:
        try:
            text = base64.b64decode(holder.at("data.token", ""), validate=True).decode()
        except (binascii.Error, ValueError):
            text = ""
        if text:
            return text
        if world.clock.monotonic() >= give_up:
            raise FailedError(
                "token-not-made",
                f"no controller of {door.name!r} puts a token into {holder.ref}",
                hint="leave `longLived` out of the mesh.yaml: a token that ends is asked for directly",
            )
        world.clock.sleep(_PAUSE)
        holder = _there(door, holder.ref)
