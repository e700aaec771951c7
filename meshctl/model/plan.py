"""Steps that turn what is seen into what is desired, in the order they are taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from meshctl.model.objects import Object, Ref
    from meshctl.model.recipe import Recipe
    from meshctl.model.release import Release


class Condition(StrEnum):
    """A state that can be awaited."""

    READY = "ready"
    ESTABLISHED = "established"
    GONE = "gone"


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """A field manager that holds a place in a live object, as `managedFields` tells.

    Attributes:
        manager: its name, `kubectl-edit`.
        operation: `Apply` for one that declares what it wants, `Update` for one that just changed it.
        subresource: what it was changed through, such as `scale`; empty for the object itself.
        time: when it last changed what it holds of the object, RFC 3339; empty where nothing tells.
    """

    manager: str
    operation: str = "Update"
    subresource: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that differs: dotted path, value seen (None when absent), value wanted (None: removed).

    Attributes:
        path: where in the object.
        seen: what is there.
        wanted: what is to be there.
        holders: the field managers that hold it now, where it is not ours.
        drifted: whether we had sent it, and somebody has changed it since by an update: not an owner
            to agree with, but a change behind our back, which an install takes back.
    """

    path: str
    seen: Any
    wanted: Any
    holders: tuple[Holder, ...] = ()
    drifted: bool = False

    @property
    def owner(self) -> str:
        """Names of its holders, `a, b`; empty when there is none."""
        return ", ".join(sorted({each.manager for each in self.holders}))


@dataclass(frozen=True)
class Apply:
    """Send `object` by server-side apply. No `changes` and `live` is None: it is new.

    `yields` are fields left to controllers that take them meanwhile, as a part has them.
    """

    part: str
    object: Object
    live: Object | None = None
    changes: tuple[Change, ...] = ()
    take_over: bool = False
    yields: tuple[tuple[str, str], ...] = ()

    @property
    def ref(self) -> Ref:
        """What is applied."""
        return self.object.ref


@dataclass(frozen=True, slots=True)
class Provide:
    """Make an object by a recipe when its turn comes, and send it: it holds a key or a token.

    `live` is whether there is one that it takes the place of.
    """

    part: str
    ref: Ref
    recipe: Recipe
    why: str = ""
    live: bool = False


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
class Inherit:
    """Make ours what `managers` hold of `ref`, so that the next apply takes away what it does not ask for.

    It changes nothing of the object but who holds what of it.
    """

    part: str
    ref: Ref
    managers: tuple[str, ...]
    why: str = ""


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

    `seconds` is how long a budget may say no. Where `uid` is told, another pod of the name is left alone:
    it is the one that was put in place.
    """

    part: str
    ref: Ref
    seconds: float
    why: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Take the finalizers of `ref` away, so that it can go though nobody does what they stand for."""

    part: str
    ref: Ref
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Save:
    """Write all objects named by `refs` to a file of the user's before they go.

    `head` is YAML that stands before them: what is worth keeping though it does not go.
    """

    part: str
    refs: tuple[Ref, ...]
    file: str
    head: str = field(default="", repr=False)  # settings may hold tokens


@dataclass(frozen=True)
class Restore:
    """Put `object` of the user's back as it was saved: as a new one, or in place of `live`."""

    part: str
    object: Object
    live: Object | None = None
    changes: tuple[Change, ...] = ()

    @property
    def ref(self) -> Ref:
        """What is put back."""
        return self.object.ref


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until `ref` meets `condition`.

    Attributes:
        part: what it belongs to.
        ref: what is waited for.
        condition: the state that it must come to.
        seconds: the budget; it begins anew with each new pod of a workload that replaces its pods.
        or_gone: whether it is well, too, when it is not there any more.
        uid: the object that must be gone; another of its name does not count. Empty: any.
        revision: the control-plane revision that its pod template must name; empty: any.
        pods: whether its pods are counted one by one, as its own count is a moment behind: above 0. As many
            must be ready as it wants itself, or this many where it does not say.
    """

    part: str
    ref: Ref
    condition: Condition
    seconds: float
    or_gone: bool = False
    uid: str = ""
    revision: str = ""
    pods: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the webhooks of a control plane, by dry runs, until they answer as they should.

    Attributes:
        part: what they belong to.
        ref: the injector.
        revision: of the control plane; empty for the unnamed one.
        namespace: where it runs.
        seconds: the budget.
    """

    part: str
    ref: Ref
    revision: str
    namespace: str
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


Step: TypeAlias = (
    Apply
    | Provide
    | Delete
    | Inherit
    | Relabel
    | Restart
    | Evict
    | Strip
    | Save
    | Restore
    | Await
    | Probe
    | Record
)


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
