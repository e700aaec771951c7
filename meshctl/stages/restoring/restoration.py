"""From a backup and what is there to the steps that put the backup back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Change, Phase, Plan, Relabel, Restore
from meshctl.stages.applying.saving import clean
from meshctl.stages.comparing.fields import differences
from meshctl.stages.restoring.backup import kept_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Kind
    from meshctl.stages.restoring.reading import Saved

_PART = "restore"
_LABELS = "metadata.labels."
_CHOICES = frozenset({"istio-injection", "istio.io/dataplane-mode", "istio.io/rev"})
"""Labels of which one more than was saved would bring the namespace into another mesh, or out of it."""
_ORDER: tuple[tuple[str, frozenset[str]], ...] = (
    ("namespaces and their labels", frozenset({"Namespace"})),
    ("Secrets and classes", frozenset({"Secret", "GatewayClass"})),
    ("Gateways", frozenset({"Gateway"})),
    ("groups of machines", frozenset({"WorkloadGroup"})),
    ("all other resources", frozenset()),
)


@dataclass(frozen=True)
class Restoration:
    """What putting a backup back comes to.

    Attributes:
        missing: objects that are not there.
        differing: objects that are there and differ, each with its leaves, `wanted` as saved.
        same: objects that are there as saved.
        undefined: objects whose kinds the cluster does not know.
        homeless: namespaces that objects are in and that are not there.

    A label that a namespace lacks is no difference: setting it takes nothing away.
    """

    missing: tuple[Saved, ...]
    differing: tuple[tuple[Saved, Object, tuple[Change, ...]], ...]
    same: tuple[Ref, ...]
    undefined: tuple[Saved, ...]
    homeless: tuple[str, ...]

    @property
    def conflicting(self) -> tuple[tuple[Saved, Object, tuple[Change, ...]], ...]:
        """Of what differs, that which would be lost by putting the saved one back."""
        return tuple(
            each
            for each in self.differing
            if each[1].ref.kind != "Namespace" or any(change.seen is not None for change in each[2])
        )

    def plan(self, cluster: str) -> Plan:
        """The steps, in the order of need; what differs is overwritten."""
        steps: list[Restore | Relabel] = [_missing(each) for each in self.missing]
        steps += [_differing(*each) for each in self.differing]
        named = {each.object.ref.name for each in self.missing if each.object.ref.kind == "Namespace"}
        for name in self.homeless:
            if name not in named:
                steps.append(Restore(_PART, _namespace(name)))
        return Plan(cluster, tuple(_phases(steps)))


def restoration(
    saved: Sequence[Saved], live: Mapping[Ref, Object], kinds: Iterable[Kind], namespaces: Collection[str]
) -> Restoration:
    """Compare a backup with a cluster.

    Args:
        saved: the objects of the backup.
        live: those of them that are there.
        kinds: what the cluster serves.
        namespaces: names of those that are there.
    """
    served = {(kind.group, kind.kind) for kind in kinds}
    missing, differing, same, undefined = [], [], [], []
    for each in saved:
        ref, there = each.object.ref, live.get(each.object.ref)
        if (ref.group, ref.kind) not in served:
            undefined.append(each)
        elif there is None or there.is_leaving:
            missing.append(each)
        elif changes := tuple(_changes(each.object, there)):
            differing.append((each, there, changes))
        else:
            same.append(ref)
    homes = {each.object.ref.namespace for each in saved} - {""}
    homes |= {each.object.ref.name for each in missing if each.object.ref.kind == "Namespace"}
    return Restoration(
        tuple(missing), tuple(differing), tuple(same), tuple(undefined), tuple(sorted(homes - {*namespaces}))
    )


def _changes(saved: Object, live: Object) -> Iterator[Change]:
    if saved.ref.kind == "Namespace":  # only its labels were saved, and it may have got others since
        wanted = kept_labels(saved)
        for key in sorted({*wanted, *(_CHOICES & live.labels.keys())}):
            if live.labels.get(key) != wanted.get(key):
                yield Change(f"{_LABELS}{key}", live.labels.get(key), wanted.get(key))
        return
    for leaf in differences(Object(clean(live)), saved):
        yield Change(leaf.path, leaf.left, leaf.right)


def _missing(saved: Saved) -> Restore:
    return Restore(_PART, saved.object)


def _differing(saved: Saved, live: Object, changes: tuple[Change, ...]) -> Restore | Relabel:
    if saved.object.ref.kind == "Namespace":
        labels = tuple((each.path.removeprefix(_LABELS), each.wanted) for each in changes)
        return Relabel(_PART, saved.object.ref, labels, "as it was saved")
    return Restore(_PART, saved.object, live, changes)


def _namespace(name: str) -> Object:
    return Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _phases(steps: Sequence[Restore | Relabel]) -> Iterator[Phase]:
    for place, (what, _) in enumerate(_ORDER):
        turn = tuple(sorted((each for each in steps if _rank(each.ref) == place), key=lambda each: each.ref))
        if turn:
            yield Phase(f"Put back {what}", turn)


def _rank(ref: Ref) -> int:
    return next((place for place, (_, kinds) in enumerate(_ORDER) if ref.kind in kinds), len(_ORDER) - 1)
