"""What a user must be allowed to do, and the RBAC rules that allow it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ANY = "*"
"""Stands for every verb, group or resource, as in an RBAC rule."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """May do `verb` on `resource` of API group `group`.

    Attributes:
        namespace: where; empty: everywhere.
        group: API group; empty: the core group.
        resource: plural, with its subresource where it is one: `pods/portforward`.
        verb: as the API server names it.
        name: of the one object it is for; empty: all.
        why: what it is for, as a comment beside its rule.
    """

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""
    why: str = field(default="", compare=False)

    def covers(self, other: Right) -> bool:
        """Whether who has this one needs no `other`."""
        return (
            self.namespace in ("", other.namespace)
            and self.group in (ANY, other.group)
            and self.resource in (ANY, other.resource)
            and self.verb in (ANY, other.verb)
            and self.name in ("", other.name)
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that is sent or bound: who does it must hold all that the role holds, or a right instead.

    Attributes:
        role: the role as a person reads it, `ClusterRole istiod`.
        held: all that the role holds.
        instead: the right that makes holding it needless: `escalate` or `bind`.
    """

    role: str
    held: tuple[Right, ...]
    instead: Right


@dataclass(frozen=True)
class Needs:
    """What some work needs: rights of its own, and what it hands on."""

    rights: tuple[Right, ...] = ()
    grants: tuple[Grant, ...] = ()

    def __or__(self, other: Needs) -> Needs:
        """Both together."""
        return Needs((*self.rights, *other.rights), (*self.grants, *other.grants))

    def flat(self, *, escalating: bool = False) -> tuple[Right, ...]:
        """As rights alone: for what is handed on those that are held, or the ones that stand instead."""
        if escalating:
            handed = [each.instead for each in self.grants]
        else:
            handed = [right for each in self.grants for right in each.held or (each.instead,)]
        return tuple(sorted({*self.rights, *handed}))


@dataclass(frozen=True, slots=True, order=True)
class PolicyRule:
    """One rule of a Role or ClusterRole; `names` empty stands for all objects."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str = field(default="", compare=False)

    def content(self) -> dict[str, Any]:
        """As Kubernetes writes it."""
        named = {"resourceNames": [*self.names]} if self.names else {}
        return {
            "apiGroups": [*self.groups],
            "resources": [*self.resources],
            **named,
            "verbs": [*self.verbs],
        }


_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "escalate", "bind")


def policy(rights: Iterable[Right]) -> Mapping[str, tuple[PolicyRule, ...]]:
    """The fewest plain rules that allow just these, by namespace; the empty one is for a ClusterRole.

    A right that another one covers is left out. What is for the same purpose, on the same resource,
    stands together, and so do resources of a group that allow the same.
    """
    verbs: dict[tuple[str, str, str, str, str], set[str]] = defaultdict(set)
    for right in _uncovered(rights):
        verbs[right.namespace, right.why, right.group, right.resource, right.name].add(right.verb)
    names: dict[tuple[str, str, str, str, tuple[str, ...], bool], set[str]] = defaultdict(set)
    for (namespace, why, group, resource, name), said in verbs.items():
        names[namespace, why, group, resource, _ordered(said), bool(name)].add(name)
    resources: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], set[str]] = defaultdict(set)
    for (namespace, why, group, resource, said_verbs, _), found in names.items():
        named = tuple(sorted(found - {""}, key=_numbered))
        resources[namespace, why, group, named, said_verbs].add(resource)
    rules: dict[str, list[PolicyRule]] = defaultdict(list)
    for (namespace, why, group, named, said_verbs), kinds in resources.items():
        rules[namespace].append(PolicyRule((group,), tuple(sorted(kinds)), named, said_verbs, why))
    return {
        namespace: tuple(sorted(found, key=lambda rule: (rule.why, rule)))
        for namespace, found in sorted(rules.items())
    }


def _uncovered(rights: Iterable[Right]) -> list[Right]:
    """Rights that no other one covers; of equal ones the first."""
    told = dict.fromkeys(rights)
    return [each for each in told if not any(wider in told for wider in _wider(each))]


def _wider(right: Right) -> Iterator[Right]:
    """Every other right that would cover this one."""
    places = product(
        {right.namespace, ""}, {right.group, ANY}, {right.resource, ANY}, {right.verb, ANY}, {right.name, ""}
    )
    return (wider for place in places if (wider := Right(*place)) != right)


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    """Reading verbs first, as Kubernetes' own roles write them."""
    return tuple(
        sorted(verbs, key=lambda verb: (_VERBS.index(verb) if verb in _VERBS else len(_VERBS), verb))
    )


def _numbered(name: str) -> tuple[str, int, str]:
    """Orders `v2` before `v10`."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0), name
