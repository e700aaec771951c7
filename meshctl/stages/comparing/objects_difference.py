"""How two sets of objects differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.comparison import Comparison, ObjectDifference
from meshctl.stages.comparing.fields import differences
from meshctl.stages.comparing.picking import Picked
from meshctl.stages.planning.kinds import same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.comparison import Leaf, Side
    from meshctl.model.objects import Object

_ALL = Picked()
_Key = tuple[str, str, str, str]


def compare(left: Side, right: Side, picked: Picked = _ALL) -> Comparison:
    """Compare objects of the same group, kind, namespace and name; see `fields.differences`.

    Args:
        left: what stands before the arrow.
        right: what stands behind it.
        picked: which objects and fields count.
    """
    notes: list[str] = []
    former = {each.ref: picked.under_new_name(each) for each in left.objects}
    back = {same(new.ref): old for old, new in former.items()}
    ours = _by_name(left.name, former.values(), picked, notes)
    theirs = _by_name(right.name, right.objects, picked, notes)
    changed = []
    both = ours.keys() & theirs.keys()
    for key in both:
        leaves = tuple(_counted(ours[key], theirs[key], picked))
        if leaves:
            changed.append(ObjectDifference(back[key], theirs[key].ref, leaves))
    return Comparison(
        tuple(sorted(changed, key=lambda each: each.right)),
        tuple(sorted(back[key] for key in ours.keys() - both)),
        tuple(sorted(theirs[key].ref for key in theirs.keys() - both)),
        len(both) - len(changed),
        tuple(notes),
    )


def _by_name(side: str, objects: Iterable[Object], picked: Picked, notes: list[str]) -> Mapping[_Key, Object]:
    found: dict[_Key, Object] = {}
    for each in objects:
        if not picked.has(each.ref):
            continue
        if same(each.ref) in found:
            notes.append(f"{each.ref} is there twice in {side}; the last one counts")
        found[same(each.ref)] = each
    return found


def _counted(left: Object, right: Object, picked: Picked) -> Iterable[Leaf]:
    return (leaf for leaf in differences(left, right) if not picked.ignores(right.ref, leaf.path))
