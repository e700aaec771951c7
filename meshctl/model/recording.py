"""A cluster as it was seen at one moment, kept so that it can be planned against where it is not reached."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.objects import Kind, Object, Ref

_PLAIN = re.compile(r"[\w./-]+(=[\w.-]*)?")
"""A label that is there, or has a value; selectors of other forms are for an API server."""
FEW = frozenset({"Node"})
"""Kinds of which a list keeps its first object: whether there is any is what is asked, of thousands."""


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """A list that was asked for, as `ports.Cluster.list` takes it."""

    api_version: str
    kind: str
    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def covers(self, other: Question) -> bool:
        """Whether all that answers another question is in the answer to this one."""
        if (self.api_version, self.kind) != (other.api_version, other.kind):
            return False
        if self.namespace not in ("", other.namespace) or self.fields != other.fields:
            return False
        return {*_terms(other.labels), *_keys(other.labels)}.issuperset(_terms(self.labels))

    def fits(self, obj: Object) -> bool:
        """Whether an object of this kind is in this namespace and has these labels.

        Raises:
            ValueError: the labels are said in a way that only an API server reads.
        """
        if self.namespace not in ("", obj.ref.namespace):
            return False
        for term in _terms(self.labels):
            key, equals, value = term.partition("=")
            if not _PLAIN.fullmatch(term):
                raise ValueError(term)
            if key not in obj.labels or (equals and obj.labels[key] != value):
                return False
        return True


def _terms(labels: str) -> tuple[str, ...]:
    return tuple(labels.split(",")) if labels else ()


def _keys(labels: str) -> Iterator[str]:
    """The labels that are there wherever these are."""
    return (term.partition("=")[0] for term in _terms(labels) if _PLAIN.fullmatch(term))


@dataclass(frozen=True)
class Recording:
    """What one cluster answered.

    Attributes:
        cluster: name of the cluster within the mesh.
        server: address of its API server.
        authority: certificates that the API server's own is verified by, PEM; see `ports.Cluster.authority`.
        taken: when, RFC 3339, UTC.
        version: the API server's version.
        kinds: every kind it served.
        names: every object there was, sorted, of the kinds in `counted`.
        counted: kinds whose objects are all in `names`, as group and kind.
        objects: the objects whose content was asked for.
        absent: objects that were asked for and were not there.
        lists: lists that were asked for, by the names of what was in them.
        picked: lists of which only the names were asked for.
    """

    cluster: str
    server: str
    authority: str | None
    taken: str
    version: str
    kinds: tuple[Kind, ...] = ()
    names: tuple[Ref, ...] = ()
    counted: frozenset[tuple[str, str]] = frozenset()
    objects: Mapping[Ref, Object] = field(default_factory=dict, repr=False)
    absent: frozenset[Ref] = frozenset()
    lists: Mapping[Question, tuple[Ref, ...]] = field(default_factory=dict, repr=False)
    picked: Mapping[Question, tuple[Ref, ...]] = field(default_factory=dict, repr=False)
