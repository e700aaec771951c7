"""Which workloads move together."""

from __future__ import annotations

import math
import re
from itertools import groupby
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError
from meshctl.model.labels import REVISION
from meshctl.model.upgrade import Batch, Method, Mover
from meshctl.stages.moving.injectors import INJECTION, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.stages.moving.workloads import Riders

_SIZE = re.compile(r"(\d+)(%?)")


def batches(riders: Riders, size: str = "") -> tuple[Batch, ...]:
    """Workloads in the order they move, those of a namespace after each other, then each gateway alone.

    Namespaces that name the revision and have nothing that moves are led elsewhere with the last batch of
    workloads, so that what starts there later finds its control plane.

    Args:
        riders: whoever rides with the control plane that is left.
        size: how many workloads a batch has, `5`, or which share of all of them, `10%`; empty: all of a
            namespace.

    Raises:
        ConfigError: `size` is neither.
    """
    groups = _groups(riders.movers, size)
    touched = {mover.ref.namespace for mover in riders.moving}
    waiting = [name for name in sorted(riders.namespaces) if name not in touched and _names(riders, name)]
    if waiting and not groups:
        groups = [[]]
    found = []
    for number, group in enumerate(groups, 1):
        rest = waiting if number == len(groups) else ()
        found.append(
            Batch(f"batch {number} of {len(groups)}", _namespaces(riders, group, rest), tuple(group))
        )
    found += [
        Batch(f"gateway {mover.ref.place}", _namespaces(riders, [mover]), (mover,))
        for mover in riders.gateways
    ]
    return tuple(found)


def checked(size: str) -> tuple[int, bool]:
    """The number in a batch's size, and whether it is a share; 0 where it is empty.

    Raises:
        ConfigError: it is neither a number from 1 on nor a share up to 100%.
    """
    if not size:
        return 0, False
    match = _SIZE.fullmatch(size.strip())
    number = int(match[1]) if match else 0
    if match is None or number < 1 or (match[2] and number > 100):
        raise ConfigError(
            "batch-size",
            f"{size!r} is no size of a batch",
            hint="a number of workloads such as 5, or a share such as 10%",
        )
    return number, bool(match[2])


def _groups(movers: Sequence[Mover], size: str) -> list[list[Mover]]:
    number, is_share = checked(size)
    if not number:
        return [list(group) for _, group in groupby(movers, key=lambda each: each.ref.namespace)]
    count = math.ceil(len(movers) * number / 100) if is_share else number
    return [list(movers[start : start + count]) for start in range(0, len(movers), count or 1)]


def _namespaces(riders: Riders, movers: Iterable[Mover], more: Iterable[str] = ()) -> tuple[str, ...]:
    """Namespaces that have to be led elsewhere for these to move."""
    own = {
        mover.ref.namespace for mover in movers if mover in riders.movers or mover.method is not Method.FOLLOW
    }
    return tuple(sorted({*own & riders.namespaces.keys(), *more}))


def _names(riders: Riders, namespace: str) -> bool:
    """Whether a namespace asks for the revision by its own name, which no promotion changes."""
    labels = dict(riders.namespaces[namespace])
    return not labels.get(INJECTION) and labels.get(REVISION) == named(riders.revision or "")
