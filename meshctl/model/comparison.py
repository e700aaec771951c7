"""How two sides differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshctl.errors import Where
    from meshctl.model.objects import Object, Ref


@dataclass(frozen=True, slots=True)
class Leaf:
    """A place with two values; None where a side has nothing there. What is secret reads so already.

    The path is dotted, `[key]` is an element of a list, and what follows a colon is within a text that is
    itself a document: `data.mesh:defaultConfig.image`.
    """

    path: str
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class ObjectDifference:
    """An object that both sides have, with the leaves in which they differ.

    `left` and `right` name it on either side: they are not the same where it was renamed, or is of
    another API version.
    """

    left: Ref
    right: Ref
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True)
class Comparison:
    """Two sets of objects.

    Attributes:
        changed: objects that both have and that differ, sorted.
        only_left: what the right one lacks, sorted.
        only_right: what the left one lacks, sorted.
        equal: how many are the same.
        notes: what to know beside it, such as an object that one side has twice.
    """

    changed: tuple[ObjectDifference, ...] = ()
    only_left: tuple[Ref, ...] = ()
    only_right: tuple[Ref, ...] = ()
    equal: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.changed or self.only_left or self.only_right)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it is called, and its objects."""

    name: str
    objects: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that two sets of values give differently, and where each says it; None: it does not."""

    path: str
    left: Any
    right: Any
    left_from: Where | None
    right_from: Where | None
