"""What is done about proxies that are not where a rotation wants them.

it listens to its istiod           it is told of its roots again, and so renews
it does not, or told in vain       its workload is made anew
only its owner can do that,        the rotation stops, and goes on when it is run again
  or nobody is to
only old roots are too many        nothing: it renews in time, and they harm nobody until then
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from meshctl.model.rotation import Renewal, Scope, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meshctl.model.objects import Ref
    from meshctl.model.rotation import Rotation, Witness

HEARING: Final = 45.0
"""Seconds that a proxy may take to renew once its istiod has told it."""
TELLS: Final = 3
"""Times that proxies are told, before the workloads of those that do not renew are made anew."""

Workload: TypeAlias = "tuple[str, Ref]"
"""Name of a cluster, and what is there."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Have the istiods of these clusters' proxies tell them again."""

    clusters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Anew:
    """Make these workloads anew."""

    workloads: tuple[Workload, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Go on without these proxies."""

    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop for now, as these proxies have to come by themselves or by somebody else's hand."""

    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again in a moment."""


Help: TypeAlias = Tell | Anew | Leave | Halt | Wait


@dataclass(frozen=True, slots=True)
class Tried:
    """What was done so far.

    Attributes:
        told: how many times proxies were told.
        anew: workloads that were made anew.
        fixed: workloads that cannot be, and why.
    """

    told: int = 0
    anew: frozenset[Workload] = frozenset()
    fixed: Mapping[Workload, str] = field(default_factory=dict)


def help_for(rotation: Rotation, late: Sequence[Witness], tried: Tried, waited: float) -> Help:
    """What to do now about proxies that are behind; never empty.

    Args:
        rotation: as it stands.
        late: those that are behind.
        tried: what was done about them in this stage.
        waited: seconds since anything was done.
    """
    restarts = rotation.renewal is Renewal.RESTART
    hearing = [each for each in late if each.hears and not restarts]
    deaf = [each for each in late if each not in hearing]
    if rotation.stage is Stage.DROP and not restarts:
        deaf_left, deaf = deaf, []
    else:
        deaf_left = []
    in_vain = tried.told >= TELLS and waited >= HEARING
    if rotation.renewal is not Renewal.WAIT:
        todo = _workloads([*deaf, *hearing] if in_vain else deaf)
        new = tuple(each for each in todo if each not in tried.anew and each not in tried.fixed)
        if new:
            return Anew(new)
    if hearing and not in_vain and (waited >= HEARING or _is_untold(rotation, tried)):
        return Tell(frozenset(each.cluster for each in hearing))
    if hearing and not (in_vain and rotation.renewal is Renewal.WAIT):
        return Wait()
    stuck = [each for each in (*deaf, *hearing) if _is_for_others(rotation, each, tried)]
    if stuck and len(stuck) == len(deaf) + len(hearing):
        return Halt(tuple(stuck))
    return Leave(tuple(deaf_left)) if len(deaf_left) == len(late) else Wait()


def _is_untold(rotation: Rotation, tried: Tried) -> bool:
    """Whether nothing has told proxies yet: a new intermediate under the same roots does not."""
    return (rotation.scope, rotation.stage, tried.told) == (Scope.INTERMEDIATE, Stage.RENEW, 0)


def _is_for_others(rotation: Rotation, witness: Witness, tried: Tried) -> bool:
    return rotation.renewal is Renewal.WAIT or (witness.cluster, witness.workload) in tried.fixed


def _workloads(witnesses: Iterable[Witness]) -> tuple[Workload, ...]:
    return tuple(sorted({(each.cluster, each.workload) for each in witnesses}))
