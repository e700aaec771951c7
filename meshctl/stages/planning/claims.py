"""Who holds which field of a live object, read from its `managedFields`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from meshctl.model.plan import Holder
from meshctl.ports import MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.objects import Object

Fields: TypeAlias = "Mapping[str, Any]"
"""A node of `fieldsV1`: steps `f:<name>`, `k:<json keys>`, `v:<json value>` to further nodes.

A node without steps holds all beneath it: a leaf, or a list or map that is replaced as a whole.
"""


@dataclass(frozen=True)
class Claims:
    """The managers that hold a place in an object, each with what it holds beneath it.

    Attributes:
        known: False where the object came without `managedFields`, so that nothing can be said.
        ours: what we hold here by server-side apply; None when nothing.
        others: everybody else, each with what they hold here.
    """

    known: bool
    ours: Fields | None
    others: tuple[tuple[Holder, Fields], ...]

    @classmethod
    def of(cls, live: Object) -> Claims:
        """The claims on a whole object."""
        entries = live.at("metadata.managedFields", [])
        ours: Fields | None = None
        others = []
        for entry in entries:
            fields = entry.get("fieldsV1") or {}
            if not fields:  # the server lists managers that have lost all; `{}` would mean they hold all
                continue
            # Only server-side applies are ours: our patches are entries of their own.
            if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
                ours = fields
            else:
                others.append((_holder(entry), fields))
        return cls(bool(entries), ours, tuple(others))

    def field(self, name: str) -> Claims:
        """The claims on a field of this place."""
        return self._down(lambda node: _named(node, name))

    def item(self, keys: Mapping[str, Any]) -> Claims:
        """The claims on the element of a keyed list that has these keys."""
        return self._down(lambda node: _keyed(node, keys))

    @cached_property
    def holders(self) -> tuple[Holder, ...]:
        """Other managers that hold this place."""
        return tuple(sorted({holder for holder, _ in self.others}))

    def _down(self, step: Any) -> Claims:
        ours = None if self.ours is None else step(self.ours)
        stepped = ((manager, step(node)) for manager, node in self.others)
        return Claims(self.known, ours, tuple((who, node) for who, node in stepped if node is not None))


def last_writer(live: Object) -> Holder | None:
    """Who of the others has last changed an object itself; None where nothing tells."""
    holders = [_holder(entry) for entry in live.at("metadata.managedFields", [])]
    others = [each for each in holders if each.subresource != "status" and each.manager != MANAGER]
    return max(others, key=lambda each: each.time, default=None)


def _holder(entry: Mapping[str, Any]) -> Holder:
    names = ("manager", "operation", "subresource", "time")
    return Holder(*(str(entry.get(name) or "") for name in names))


def _named(node: Fields, name: str) -> Fields | None:
    return node if not node else node.get(f"f:{name}")


def _keyed(node: Fields, keys: Mapping[str, Any]) -> Fields | None:
    if not node:
        return node
    return next((below for found, below in items(node) if found == keys), None)


def items(node: Fields) -> Iterator[tuple[dict[str, Any], Fields]]:
    """The elements of a keyed list beneath a node: `({"name": "web"}, what is held of it)`."""
    for step, below in node.items():
        if step.startswith("k:"):
            yield json.loads(step[2:]), below


def members(node: Fields) -> Iterator[Any]:
    """The elements of a set beneath a node."""
    for step in node:
        if step.startswith("v:"):
            yield json.loads(step[2:])


def names(node: Fields) -> Iterator[tuple[str, Fields]]:
    """The fields beneath a node: `("replicas", what is held of it)`."""
    for step, below in node.items():
        if step.startswith("f:"):
            yield step[2:], below
