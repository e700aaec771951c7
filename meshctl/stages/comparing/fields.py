"""The leaves in which two objects differ, whichever tool wrote them and in which order."""

from __future__ import annotations

import json
from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.model.comparison import Leaf
from meshctl.stages.comparing.secrets import is_telling, masked_pair, withheld_pair
from meshctl.stages.planning.shapes import SETS, Shape, joined, key_values, plain, shown
from meshctl.stages.settings.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.objects import Object

_UNORDERED = SETS | {
    "accessModes", "apiGroups", "drop", "enum", "nonResourceURLs", "policyTypes", "required",
    "resourceNames", "resources", "rules", "shortNames", "subjects", "verbs",
}  # fmt: skip
"""Lists whose order says nothing."""
_ORDER_COUNTS = frozenset({"initContainers"})
"""Lists that are merged by name, and whose order counts all the same."""
_EMPTY = frozenset({"annotations", "labels"})
"""Maps that are as good as absent when they are empty."""


def differences(left: Object, right: Object) -> tuple[Leaf, ...]:
    """The leaves in which two forms of an object differ, in the order of the left one.

    Not compared are status, what the API server writes into metadata, the order of lists that are merged by
    a key or have no order, how a figure is written (`1` and `1000m`), and how a text that is JSON, or a
    ConfigMap's that is YAML, is laid out: such a text is compared as what it says.
    """
    walk = _Walk(right)
    found = list(walk.walk("", "", plain(left), plain(right)))
    if left.ref.api_version != right.ref.api_version:
        found.insert(0, Leaf("apiVersion", left.ref.api_version, right.ref.api_version))
    return tuple(found)


class _Walk:
    """The comparison of one pair."""

    def __init__(self, obj: Object) -> None:
        self.shape = Shape.of(obj.ref)
        self.is_secret = (obj.ref.group, obj.ref.kind) == ("", "Secret")
        self.is_config = (obj.ref.group, obj.ref.kind) == ("", "ConfigMap")

    def walk(self, path: str, name: str, left: Any, right: Any) -> Iterator[Leaf]:
        if _nothing(name, left) and _nothing(name, right):
            return
        if name == "protocol" and (left, right) in ((None, "TCP"), ("TCP", None)):
            return  # of a port: what every server fills in
        if isinstance(left, dict) and isinstance(right, dict):
            yield from self._maps(path, left, right)
        elif isinstance(left, list) and isinstance(right, list):
            yield from self._lists(path, name, left, right)
        elif self._inside(path, left) is not None and self._inside(path, right) is not None:
            for leaf in self.walk("", "", self._inside(path, left), self._inside(path, right)):
                yield Leaf(f"{path}:{leaf.path}" if leaf.path else path, leaf.left, leaf.right)
        elif not self.shape.equal(name, path, left, right):
            yield self._leaf(path, name, left, right)

    def _maps(self, path: str, left: dict[str, Any], right: dict[str, Any]) -> Iterator[Leaf]:
        telling = "value" in left and "value" in right and is_telling(str(left.get("name", "")))
        for key in dict.fromkeys((*left, *right)):
            told = "token" if telling and key == "value" else key
            yield from self.walk(joined(path, key), told, left.get(key), right.get(key))

    def _lists(self, path: str, name: str, left: list[Any], right: list[Any]) -> Iterator[Leaf]:
        keyed = self._keys(name, left, right)
        if keyed:
            yield from self._keyed(path, name, keyed, left, right)
        elif name in _UNORDERED:
            only_left, only_right = _without_common(left, right)
            yield from self._aligned(path, name, only_left, only_right)
        else:
            yield from self._aligned(path, name, list(enumerate(left)), list(enumerate(right)))

    def _keys(self, name: str, left: list[Any], right: list[Any]) -> tuple[str, ...]:
        """The fields by which the elements of both sides are told apart; none where there are none."""
        known = self.shape.keys(name)
        by_name = () if known and name != "ports" else (("name",),)
        return next((keys for keys in (*by_name, known) if keys and _tells(keys, left, right)), ())

    def _keyed(
        self, path: str, name: str, keys: tuple[str, ...], left: list[Any], right: list[Any]
    ) -> Iterator[Leaf]:
        ours = {shown(key_values(each, keys)): each for each in left}
        theirs = {shown(key_values(each, keys)): each for each in right}
        for key in dict.fromkeys((*ours, *theirs)):
            yield from self.walk(f"{path}[{key}]", "", ours.get(key), theirs.get(key))
        if name in _ORDER_COUNTS or not self.shape.keys(name):
            both = ours.keys() & theirs.keys()
            orders = ([key for key in side if key in both] for side in (ours, theirs))
            before, after = orders
            if before != after and name not in _UNORDERED:
                yield Leaf(f"{path}[order]", before, after)

    def _aligned(
        self, path: str, name: str, left: Sequence[tuple[int, Any]], right: Sequence[tuple[int, Any]]
    ) -> Iterator[Leaf]:
        """Elements in their order, as few of them changed as can be; each with its place in its list."""
        ours, theirs = ([_canonical(each) for _, each in side] for side in (left, right))
        for what, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
            if what == "equal":
                continue
            both = min(b - a, d - c)
            for (place, one), (_, other) in zip(left[a : a + both], right[c : c + both], strict=True):
                yield from self.walk(f"{path}[{place}]", name, one, other)
            for place, one in left[a + both : b]:
                yield self._leaf(f"{path}[{place}]", name, one, None)
            for place, other in right[c + both : d]:
                yield self._leaf(f"{path}[{place}]", name, None, other)

    def _inside(self, path: str, value: Any) -> Any:
        """What a text says that is a document itself; None when it is none."""
        if not isinstance(value, str):
            return None
        if value.lstrip()[:1] == "{":
            try:
                told = json.loads(value)
            except ValueError:
                told = None
            if isinstance(told, dict):
                return told
        if not self.is_config or not path.startswith("data.") or ":" not in value:
            return None
        try:
            told = document(value, "").data
        except ConfigError:
            return None
        return told if isinstance(told, dict) and told else None

    def _leaf(self, path: str, name: str, left: Any, right: Any) -> Leaf:
        if self.is_secret and path.startswith(("data", "stringData")):
            return Leaf(path, *withheld_pair(left, right))
        return Leaf(path, *masked_pair(name, left, right))


def _nothing(name: str, value: Any) -> bool:
    """Whether a value is as good as absent."""
    return value is None or value == [] or (name in _EMPTY and value == {})


def _tells(keys: tuple[str, ...], *sides: list[Any]) -> bool:
    """Whether these fields tell the elements of each side apart."""
    for side in sides:
        if not all(isinstance(each, dict) and isinstance(each.get(keys[0]), str | int) for each in side):
            return False
        told = [_canonical(key_values(each, keys)) for each in side]
        if len(set(told)) != len(told):
            return False
    return True


def _without_common(left: list[Any], right: list[Any]) -> tuple[list[tuple[int, Any]], list[tuple[int, Any]]]:
    """The elements that the other side lacks, in a settled order, each with its place."""
    common = Counter(map(_canonical, left)) & Counter(map(_canonical, right))

    def rest(side: list[Any]) -> list[tuple[int, Any]]:
        spare = common.copy()
        found = []
        for place, each in enumerate(side):
            told = _canonical(each)
            if spare[told]:
                spare[told] -= 1
            else:
                found.append((place, each))
        return sorted(found, key=lambda each: _canonical(each[1]))

    return rest(left), rest(right)


def _canonical(value: Any) -> str:
    """Equal text for equal data; lists without an order are put into one."""
    return json.dumps(_settled("", value), sort_keys=True)


def _settled(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(key, below) for key, below in value.items()}
    if isinstance(value, list):
        found = [_settled("", each) for each in value]
        return (
            sorted(found, key=lambda each: json.dumps(each, sort_keys=True)) if name in _UNORDERED else found
        )
    return value
