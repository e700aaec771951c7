"""What an apply would change, leaf by leaf, as the API server will judge it.

The server adds defaults, drops what is empty and writes figures its own way. None of that is a
difference: an object that was sent once and has not been touched compares equal for ever, which is
what lets a second install send nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.model.labels import MESH
from meshctl.model.objects import Object
from meshctl.model.plan import Change
from meshctl.stages.comparing.secrets import may_be
from meshctl.stages.planning.claims import Claims, items, members, names
from meshctl.stages.planning.mutators import MUTATORS, is_controller
from meshctl.stages.planning.shapes import (
    SECRET,
    SETS,
    Shape,
    is_servers,
    joined,
    key_values,
    matching,
    named_key,
    plain,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Ref
    from meshctl.model.plan import Holder

_SHOWN = 3
_LONGEST = 60
# Maps that are replaced as a whole, so that a key somebody added is a difference.
_ATOMIC_MAPS = frozenset(
    {
        "labelSelector",
        "namespaceSelector",
        "nodeSelector",
        "objectSelector",
        "podSelector",
        "scopeSelector",
        "selector",
    }
)


def changes(
    desired: Object,
    live: Object,
    yields: Sequence[tuple[str, str]] = (),
    former: Sequence[Object] = (),
) -> tuple[Change, ...]:
    """The leaves in which `live` is not as `desired`, in the order of `desired`.

    Args:
        desired: the object to be applied.
        live: the same object as the API server keeps it, with its `managedFields`.
        yields: fields left alone once another manager has changed them, as `(kind, path)`.
        former: the same object as earlier releases sent it. In a list that is replaced as a whole,
            `managedFields` does not tell a server's default from a field that we once set; this does.

    Returns:
        A change for every leaf to set (with the managers that hold it, in `holders`), then one for
        every field that an earlier apply of ours set and that is desired no longer. Values of
        Secrets read `(secret)`. The order of merged lists is not compared.
    """
    claims = Claims.of(live)
    seen = plain(live)
    walk = _Walk(
        desired.ref,
        shared=claims.ours is not None,
        ours=claims.ours is not None or MESH in live.labels,
    )
    wanted = plain(adjusted(desired, live, yields))
    place = _Place("", "", wanted, seen, tuple(plain(each) for each in former), claims)
    found = [*walk.differing(place), *_given_up("", claims.ours or {}, plain(desired), seen)]
    if desired.ref.kind == "Secret" and desired.ref.group == "":
        found = [_hidden(change) for change in found]
    return tuple(found)


def conflicts(
    desired: Object,
    live: Object,
    yields: Sequence[tuple[str, str]] = (),
    former: Sequence[Object] = (),
) -> tuple[Change, ...]:
    """The changes that an install would be refused, as their fields belong to other managers."""
    return held_by_others(changes(desired, live, yields, former))


def held_by_others(found: Sequence[Change]) -> tuple[Change, ...]:
    """Of some changes, those to fields of other managers, which somebody has to agree on."""
    return tuple(change for change in found if change.holders and not change.drifted)


def words(clashes: Sequence[Change]) -> str:
    """Changes of one object to fields of others, as a person reads them; the first few in full."""
    shown = [f"{each.path} is {_brief(each.seen)}, wanted {_brief(each.wanted)}" for each in clashes[:_SHOWN]]
    more = [f"and {len(clashes) - _SHOWN} more fields"] if len(clashes) > _SHOWN else []
    owners = sorted({owner for each in clashes for owner in each.owner.split(", ")})
    return f"{'; '.join([*shown, *more])}; owned by {', '.join(owners)}"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def adjusted(desired: Object, live: Object | None, yields: Sequence[tuple[str, str]] = ()) -> Object:
    """`desired` without the fields that another manager has taken over and that we yield.

    A field is left out only where it differs from what is live: as long as they agree, we keep
    asking for it, so that it comes back should the other manager give it up. A component yields to
    controllers, not to a person with kubectl; to a mutator that is known, every component yields.
    """
    if live is None:
        return desired
    kind = desired.ref.kind
    paths = [(path, is_controller) for wanted, path in yields if wanted == kind]
    paths += [(each.path, each.is_it) for each in MUTATORS if kind in each.kinds]
    content: Any = desired.content
    claims = Claims.of(live)
    for path, is_theirs in paths:
        steps = path.replace("[*]", ".[*]").split(".")
        content = _without(content, live.content, claims, steps, "", is_theirs)
    return desired if content == desired.content else Object(content)


def _without(
    wanted: Any,
    seen: Any,
    claims: Claims,
    path: Sequence[str],
    name: str,
    is_theirs: Callable[[Holder], bool],
) -> Any:
    step, *rest = path
    if step == "[*]":
        if not isinstance(wanted, list) or not isinstance(seen, list):
            return wanted
        return [_without_in_item(each, seen, claims, rest, name, is_theirs) for each in wanted]
    if not isinstance(wanted, dict) or not isinstance(seen, dict) or step not in wanted or step not in seen:
        return wanted
    here = claims.field(step)
    if rest:
        return {**wanted, step: _without(wanted[step], seen[step], here, rest, step, is_theirs)}
    if wanted[step] == seen[step] or not any(map(is_theirs, here.holders)):
        return wanted
    return {key: value for key, value in wanted.items() if key != step}


def _without_in_item(
    wanted: Any,
    seen: list[Any],
    claims: Claims,
    path: Sequence[str],
    name: str,
    is_theirs: Callable[[Holder], bool],
) -> Any:
    keys = {key: wanted.get(key) for key in named_key(name)}
    match = matching(seen, keys)
    return wanted if match is None else _without(wanted, match, claims.item(keys), path, "", is_theirs)


def _hidden(change: Change) -> Change:
    if not change.path.startswith(("data", "stringData")):
        return change
    seen, wanted = (None if value is None else SECRET for value in (change.seen, change.wanted))
    return replace(change, seen=seen, wanted=wanted)


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in an object: what is wanted there, what is seen, what was sent before, and who holds it.

    `whole` is set within a list that is replaced as a whole, `exact` within a map that is, to which
    the server adds no defaults.
    """

    path: str
    name: str
    wanted: Any
    seen: Any
    former: tuple[Any, ...]
    claims: Claims
    whole: bool = False
    exact: bool = False

    def field(self, key: str) -> _Place:
        return _Place(
            joined(self.path, key),
            key,
            self.wanted[key],
            self.seen.get(key) if isinstance(self.seen, dict) else None,
            tuple(each[key] for each in self.former if isinstance(each, dict) and key in each),
            self.claims.field(key),
            self.whole,
            self.exact or key in _ATOMIC_MAPS,
        )

    def item(self, keyed: tuple[str, ...], wanted: Any) -> _Place:
        keys = key_values(wanted, keyed)
        former = (matching(each, keys) for each in self.former if isinstance(each, list))
        return _Place(
            f"{self.path}[{shown(keys)}]",
            "",
            wanted,
            matching(self.seen or [], keys),
            tuple(each for each in former if each is not None),
            self.claims.item(keys),
            self.whole,
            self.exact,
        )

    def element(self, index: int) -> _Place:
        former = (each for each in self.former if isinstance(each, list) and len(each) == len(self.wanted))
        return _Place(
            f"{self.path}[{index}]",
            self.name,
            self.wanted[index],
            self.seen[index],
            tuple(each[index] for each in former),
            self.claims,
            True,
            self.exact,
        )


class _Walk:
    """The comparison of one object.

    `shared` says that we have sent it before, so that what we do not hold was taken by somebody;
    `ours` that it still is the object that we made, and not another of its name.
    """

    def __init__(self, ref: Ref, *, shared: bool, ours: bool) -> None:
        self.shape = Shape.of(ref)
        self.shared = shared
        self.ours = ours

    def differing(self, place: _Place) -> Iterator[Change]:
        """Leaves that are wanted and not seen; what is seen beyond them is mostly not asked about."""
        wanted, seen = place.wanted, place.seen
        if wanted == seen:  # the most of nearly every object; a definition's schema has thousands of places
            return
        if isinstance(wanted, dict) and (isinstance(seen, dict) or seen is None):
            for key in wanted:
                yield from self.differing(place.field(key))
            yield from self._beyond(place)
        elif isinstance(wanted, list) and (isinstance(seen, list) or seen is None):
            yield from self._list(place)
        elif wanted is not None and not self._same(place):
            yield self._change(place, place.path, seen, wanted, place.claims)

    def _change(self, place: _Place, path: str, seen: Any, wanted: Any, claims: Claims) -> Change:
        """A change at or beneath a place, with those who hold what is there."""
        updated = all(holder.operation == "Update" for holder in claims.holders)
        drifted = bool(claims.holders) and updated and self.ours and bool(place.former)
        return Change(path, seen, wanted, claims.holders, drifted)

    def _beyond(self, place: _Place) -> Iterator[Change]:
        """Keys that are seen and not wanted, where an apply would take them away."""
        for key, value in (place.seen or {}).items():
            if key not in place.wanted and self._goes(place, key):
                path = joined(place.path, key)
                yield self._change(place, path, value, None, place.claims.field(key))

    def _goes(self, place: _Place, key: str) -> bool:
        if place.exact and not self.shape.custom:
            return True
        if place.whole:
            taken = self.shared and place.claims.ours is None
            return taken or any(isinstance(each, dict) and key in each for each in place.former)
        return False

    def _list(self, place: _Place) -> Iterator[Change]:
        wanted, seen = place.wanted, place.seen or []
        keyed = self._keys(place.name, wanted)
        if keyed:
            for each in wanted:
                item = place.item(keyed, each)
                if item.seen is None:
                    yield Change(item.path, None, each)
                else:
                    yield from self.differing(item)
        elif place.name in SETS:
            yield from (Change(f"{place.path}[{each}]", None, each) for each in wanted if each not in seen)
        elif len(wanted) != len(seen):
            yield self._change(place, place.path, place.seen, wanted, place.claims)
        else:
            for index in range(len(wanted)):
                yield from self.differing(place.element(index))

    def _keys(self, name: str, wanted: Sequence[Any]) -> tuple[str, ...]:
        """The fields that tell the elements of a merged list apart; none when it is replaced whole."""
        keys = self.shape.keys(name)
        if not keys or not all(isinstance(item, dict) and keys[0] in item for item in wanted):
            return ()
        return keys

    def _same(self, place: _Place) -> bool:
        wanted, seen = place.wanted, place.seen
        if seen is None:
            # The server drops false, 0 and empty text where they are the default. It remembers that
            # we asked, though: only then is the absence what was asked for.
            return wanted in (False, 0, "") and (place.claims.ours is not None or not place.claims.known)
        # What was withheld when the cluster was recorded is taken to be as asked.
        return self.shape.equal(place.name, place.path, wanted, seen) or may_be(place.name, seen, wanted)


def _given_up(path: str, held: Mapping[str, Any], wanted: Any, seen: Any) -> Iterator[Change]:
    """Places that an earlier apply of ours holds and that are in `seen` but not in `wanted`."""
    for key, below in names(held):
        place = joined(path, key)
        if not isinstance(seen, dict) or seen.get(key) is None or is_servers(place):
            continue
        if not isinstance(wanted, dict) or wanted.get(key) is None:
            yield Change(place, seen[key], None)
        else:
            yield from _given_up(place, below, wanted[key], seen[key])
    if not isinstance(wanted, list) or not isinstance(seen, list):
        return
    for keys, below in items(held):
        place = f"{path}[{shown(keys)}]"
        other, mine = matching(seen, keys), matching(wanted, keys)
        if other is not None and mine is None:
            yield Change(place, other, None)
        elif other is not None:
            yield from _given_up(place, below, mine, other)
    for member in members(held):
        if member in seen and member not in wanted:
            yield Change(f"{path}[{member}]", member, None)
