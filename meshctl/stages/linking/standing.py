"""How a link stands: whether what is there is right, and what is to be replaced."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from meshctl.model.labels import EXPIRES, MESH
from meshctl.model.link import Life, life_of, tokens_in
from meshctl.stages.linking.secrets import (
    AUTHORITY,
    HANGS_ON,
    ISSUED,
    LONG_LIVED,
    SERVER,
    hangs_on,
    holder_ref,
    number_of,
)

if TYPE_CHECKING:
    from meshctl.model.link import Link
    from meshctl.model.mesh import Tokens
    from meshctl.model.objects import Object, Ref

_SLACK = timedelta(minutes=1)  # an API server may round, and a token begins a moment before it is asked for


@dataclass(frozen=True)
class Wanted:
    """What a link is to be.

    Attributes:
        mesh: the mesh of the istiod that reads.
        link: which one.
        secret: the remote secret, beside that istiod.
        account: in whose name the cluster is read.
        server: address of its API server, as that istiod reaches it.
        authority: fingerprint of whom that is verified by.
        tokens: how long tokens live.
    """

    mesh: str
    link: Link
    secret: Ref
    account: Ref
    server: str
    authority: str
    tokens: Tokens


@dataclass(frozen=True)
class Seen:
    """What there is of a link.

    Attributes:
        secret: the remote secret, beside the istiod.
        account: the ServiceAccount in the cluster that is read.
        holders: Secrets there on which tokens of this link hang.
    """

    secret: Object | None = None
    account: Object | None = None
    holders: tuple[Object, ...] = ()

    @property
    def life(self) -> Life | None:
        """The life of the token that is in use; None where nothing tells."""
        return None if self.secret is None else life_told(self.secret)

    @property
    def current(self) -> Object | None:
        """The Secret on which the token in use hangs; None where it hangs on nothing that is there."""
        if self.secret is None or self.account is None:
            return None
        told = self.secret.annotations.get(HANGS_ON)
        return next(
            (each for each in self.holders if not each.is_leaving and hangs_on(self.account, each) == told),
            None,
        )


def life_told(secret: Object) -> Life | None:
    """The life of the token in a remote secret of ours, as its annotations tell."""
    begins = _moment(secret.annotations.get(ISSUED, ""))
    if begins is None:
        return None
    return Life(begins, _moment(secret.annotations.get(EXPIRES, "")))


def life_in(secret: Object, key: str) -> Life | None:
    """The life of the token in a remote secret, whoever made it; None where it holds none that tells."""
    try:
        text = base64.b64decode(secret.at("data", {}).get(key, ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return next((life for token in tokens_in(text) if (life := life_of(token))), None)


def fault(wanted: Wanted, seen: Seen, now: datetime) -> str:
    """Why a link needs another token; empty where it is as wanted."""
    secret = seen.secret
    if secret is None:
        return "there is none"
    if MESH not in secret.labels or wanted.link.key not in secret.at("data", {}):
        return "another tool made the one that is there"
    if secret.annotations.get(SERVER) != wanted.server:
        return f"its API server is reached at {wanted.server}"
    if secret.annotations.get(AUTHORITY) != wanted.authority:
        return "its API server has another authority"
    if seen.current is None:
        return "its token was revoked"
    return _ageing(wanted.tokens, seen.life, now)


def _ageing(tokens: Tokens, life: Life | None, now: datetime) -> str:
    if life is None:
        return "nothing tells how old its token is"
    if tokens.long_lived != (life.ends is None):
        return "its token is to end" if life.ends is None else "its token is not to end"
    if life.ends and life.ends - life.begins > timedelta(days=tokens.days) + _SLACK:
        return f"its token is to live for {tokens.days} days"
    return ending(life, now)


def ending(life: Life, now: datetime) -> str:
    """Why a token's life calls for another one; empty while it does not."""
    if life.ends is None or not life.is_due(now):
        return ""
    return f"its token {'ended' if life.ends <= now else 'ends'} at {life.ends:%Y-%m-%d %H:%M} UTC"


def next_holder(wanted: Wanted, seen: Seen) -> tuple[Ref, bool]:
    """The Secret on which the next token is to hang, and whether it is there already.

    One that an earlier run made and did not come to use is taken.
    """
    link, current = wanted.link, seen.current
    used = number_of(wanted.mesh, link, current.ref.name) if current else 0
    numbers = {number_of(wanted.mesh, link, each.ref.name): each for each in seen.holders}
    for number in sorted(numbers, reverse=True):
        each = numbers[number]
        fits = (each.at("type") == LONG_LIVED) == wanted.tokens.long_lived
        if number > used and fits and not each.is_leaving:
            return each.ref, True
    namespace = wanted.account.namespace
    return holder_ref(wanted.mesh, link, namespace, 1 + max(numbers, default=0)), False


def stale(seen: Seen) -> tuple[Ref, ...]:
    """Secrets on which only tokens hang that are not in use any more."""
    current = seen.current
    if current is None:
        return ()
    return tuple(sorted(each.ref for each in seen.holders if each.ref != current.ref))


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
