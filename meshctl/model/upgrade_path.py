"""From which Istio to which, and what that means for one mesh."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from meshctl.model.values import Version


def numbers(version: str) -> tuple[int, int]:
    """Major and minor of a version or of an image's tag: `1.30.3`, `v1.30`, `1.30.3-distroless`.

    Raises:
        ValueError: it begins with no such numbers, as `latest` or a digest.
    """
    found = re.match(r"v?(\d+)\.(\d+)(?![\w:])", version)
    if found is None:
        raise ValueError(f"{version!r} is no version")
    return int(found[1]), int(found[2])


@dataclass(frozen=True, slots=True)
class NewBehaviour:
    """Something that this mesh will notice.

    Attributes:
        minor: that brought it.
        setting: dotted path of the setting it is about.
        what: what is otherwise than before.
        hint: what to do about it.
        matters: whether somebody should look at it first; otherwise it is good to know.
    """

    minor: str
    setting: str
    what: str
    hint: str
    matters: bool = False


@dataclass(frozen=True)
class UpgradePath:
    """From which Istio to which.

    Attributes:
        source: version that is left, `1.30.3`.
        target: version to reach.
        is_beside: the new control plane stands beside the old one, so that each serves its own proxies.
        behaviours: what this mesh will notice, oldest first.
        supported_until: the last day of upstream's support, by minor, where it is known.
        today: the day.
    """

    source: str
    target: Version
    today: date
    is_beside: bool = False
    behaviours: tuple[NewBehaviour, ...] = ()
    supported_until: Mapping[str, date] = field(default_factory=dict)
