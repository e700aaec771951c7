"""Steps that turn what is seen into what is desired, in the order they are taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from meshctl.model.objects import Object, Ref
    from meshctl.model.release import Release


class Condition(StrEnum):
    """A state that can be awaited."""

    READY = "ready"
    ESTABLISHED = "established"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that differs: dotted path, value seen (None when absent), value wanted (None: removed).

    `owner` is the field manager that holds it now, where it is not ours.
    """

    path: str
    seen: Any
    wanted: Any
    owner: str = ""


@dataclass(frozen=True)
class Apply:
    """Send `object` by server-side apply. No `changes` and `live` is None: it is new."""

    part: str
    object: Object
    live: Object | None = None
    changes: tuple[Change, ...] = ()
    take_over: bool = False

    @property
    def ref(self) -> Ref:
        """What is applied."""
        return self.object.ref


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `ref`; `why` is read beside it. Something already gone is no error.

    `grace` is how many seconds a pod may take to end; None leaves it the time it says itself.
    """

    part: str
    ref: Ref
    why: str = ""
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class Relabel:
    """Set labels of `ref`: each name with the value it gets, or None to take it away."""

    part: str
    ref: Ref
    labels: tuple[tuple[str, str | None], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Have a workload replace its pods as its own strategy says, as `kubectl rollout restart` does.

    `moment` is written into its pod template, RFC 3339: the same one again changes nothing.
    """

    part: str
    ref: Ref
    moment: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Evict:
    """Have a pod end, and its controller put another in its place, as its disruption budgets allow.

    `seconds` is how long a budget may say no.
    """

    part: str
    ref: Ref
    seconds: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Take the finalizers of `ref` away, so that it can go though nobody does what they stand for."""

    part: str
    ref: Ref
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Save:
    """Write all objects named by `refs` to a file of the user's before they go."""

    part: str
    refs: tuple[Ref, ...]
    file: str


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until `ref` meets `condition`; `seconds` is the budget."""

    part: str
    ref: Ref
    condition: Condition
    seconds: float


@dataclass(frozen=True)
class Record:
    """Write `release` into the cluster, or take the record away when `forget` is set."""

    release: Release
    forget: bool = False

    @property
    def part(self) -> str:
        """Records belong to no component, but to the release."""
        return "release"


Step: TypeAlias = Apply | Delete | Relabel | Restart | Evict | Strip | Save | Await | Record


@dataclass(frozen=True)
class Phase:
    """Steps that do not depend on each other, taken together; the next phase waits for all."""

    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """Phases for one cluster, in order."""

    cluster: str
    phases: tuple[Phase, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in order."""
        return tuple(step for phase in self.phases for step in phase.steps)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.phases
