"""Which proxies are not where a rotation wants them, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from meshctl.errors import listed
from meshctl.model.rotation import Scope, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.model.rotation import Rotation, Witness

_SHOWN = 5  # names in one line; the others are counted


def behind(rotation: Rotation, witness: Witness) -> str:
    """Why a proxy is not where the present stage wants it; empty where it is.

    One that could not be asked is for others to judge.
    """
    if witness.unseen:
        return ""
    match rotation.stage:
        case Stage.TRUST:
            return _distrusts(rotation, witness)
        case Stage.ISSUE:
            return ""
        case Stage.RENEW:
            return _distrusts(rotation, witness) or is_old(rotation, witness)
        case Stage.DROP:
            if why := is_old(rotation, witness):
                return why
            clings = witness.trusts.intersection(rotation.goes)
            return "it still trusts the root that goes" if clings else ""
        case _:
            assert_never(rotation.stage)


def _distrusts(rotation: Rotation, witness: Witness) -> str:
    if rotation.scope is Scope.INTERMEDIATE:
        return ""
    wanted = {*rotation.leaving, rotation.signer}
    return "" if wanted <= witness.trusts else "it does not trust old and new root alike"


def is_old(rotation: Rotation, witness: Witness) -> str:
    """Why the certificate of a proxy is not of the authority that it ends with; empty where it is.

    Where the root is replaced it is the root that counts, as an intermediate may be renewed meanwhile.
    """
    before = next((seat.before for seat in rotation.seats if witness.cluster in seat.serves), "")
    if not before or witness.unseen:
        return ""
    if rotation.scope is Scope.ROOT:
        is_new, noun = witness.root == rotation.signer, "root"
    else:
        is_new, noun = witness.issuer not in ("", before), "intermediate"
    if is_new is not rotation.is_back:
        return ""
    return f"its certificate is of the {'new' if rotation.is_back else 'old'} {noun} still"


def named(witnesses: Sequence[Witness]) -> str:
    """Some of these proxies by name, and how many more there are."""
    names = listed(each.name for each in witnesses[:_SHOWN])
    more = len(witnesses) - _SHOWN
    return f"{names} and {more} more" if more > 0 else names


def last_end(witnesses: Iterable[Witness]) -> str:
    """When the last of these certificates ends, RFC 3339; empty where none was seen.

    A proxy renews long before; at that moment it certainly has, or speaks to nobody any more.
    """
    ends = [each.expires for each in witnesses if each.expires is not None]
    return max(ends).isoformat(timespec="seconds") if ends else ""
