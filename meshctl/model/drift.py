"""What has become of objects since they were sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.objects import Ref
    from meshctl.model.plan import Change


class Fate(StrEnum):
    """What has become of an object."""

    CHANGED = "changed"
    REMOVED = "removed"
    LEAVING = "leaving"


@dataclass(frozen=True)
class Drift:
    """An object that is not as the release that sent it last left it.

    Attributes:
        mesh: of that release.
        revision: of that release; empty for the unnamed one.
        part: of its manifest.
        ref: the object.
        fate: what has become of it.
        changes: for one that was changed, each leaf: what is seen, what was sent, and who holds it.
    """

    mesh: str
    revision: str
    part: str
    ref: Ref
    fate: Fate
    changes: tuple[Change, ...] = ()
