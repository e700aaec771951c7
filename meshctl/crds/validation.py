"""Objects of Istio's API held against its definitions, without a cluster.

What an API server with these definitions would say of a new object: its structure, its CEL rules and its
metadata. Nothing is asked about other objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.crds import KINDS, kinds, schema_of
from meshctl.crds.admission import refusals
from meshctl.crds.cel import Unread, judged
from meshctl.crds.generate import openapi
from meshctl.crds.metadata import metadata_problems
from meshctl.crds.structural import Problem, problems
from meshctl.errors import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEAD = ("apiVersion", "kind", "metadata")
_NEARLY = 0.9
"""How alike two groups are when one is the other with a slip; `networking.gke.io` is at 0.8."""
_OTHERS = ("install.istio.io",)
"""Groups of Istio's whose objects no API server holds."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in an object, in its order, and the rules of which nothing can be said."""

    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()


def is_ours(api_version: str, kind: str) -> bool:
    """Whether an object belongs to Istio's API, or would if its group were spelt right."""
    group = api_version.partition("/")[0]
    if group in _OTHERS:
        return False
    return group in _groups() or group.endswith(".istio.io") or _is_nearly_ours(group, kind)


def examined(content: Mapping[str, Any], minor: str) -> Examined:
    """Everything that is wrong with an object for which `is_ours` holds.

    Args:
        content: JSON, with text for `apiVersion` and `kind`.
        minor: of the Istio that will read it.

    Raises:
        UnsupportedError: there are no definitions for this minor.
    """
    unknown = tuple(_unknown_kind(content["apiVersion"], content["kind"], minor))
    found = [*unknown, *metadata_problems(content)]
    if unknown:
        return Examined(tuple(found))
    schema = _openapi(content["kind"], content["apiVersion"], minor)
    body = {name: value for name, value in content.items() if name not in _HEAD}
    found += [each for each in problems(schema, body) if not _is_dropped(each)]
    verdict = judged(schema, {name: value for name, value in body.items() if name != "status"}, found)
    return Examined((*found, *verdict.problems), verdict.unread)


def reviewed(content: Mapping[str, Any], minor: str) -> Examined:
    """As `examined`, with what istiod's webhook would refuse besides."""
    result = examined(content, minor)
    if any(each.path in (("kind",), ("apiVersion",)) for each in result.problems):
        return result
    return Examined((*result.problems, *refusals(content)), result.unread)


def _is_dropped(problem: Problem) -> bool:
    """Whether it is about a status, which the API server takes from nobody but istiod: it drops it unread."""
    return problem.path[0] == "status" and problem.code != "unknown-field"


@cache
def _openapi(kind: str, api_version: str, minor: str) -> Mapping[str, Any]:
    return openapi(schema_of(kind, api_version, minor))


@cache
def _groups() -> frozenset[str]:
    return frozenset(kind.group for kind in KINDS)


def _is_nearly_ours(group: str, kind: str) -> bool:
    """Whether a group is one of Istio's but for a slip, and the kind one of Istio's."""
    from difflib import SequenceMatcher  # only ever wanted for a group that is not Istio's

    if kind not in {each.name for each in KINDS}:
        return False
    return any(SequenceMatcher(None, group, each).ratio() >= _NEARLY for each in _groups())


def _unknown_kind(api_version: str, kind: str, minor: str) -> Iterator[Problem]:
    """Why Istio has no such kind in this version, and what is near."""
    group = api_version.partition("/")[0]
    known = {each.name: each for each in kinds(minor)}
    if kind not in known:
        here = [each.name for each in known.values() if each.group == group]
        near = nearest(kind, here) or nearest(kind, known)
        guess = f"; did you mean {near!r}?" if near else ""
        hint = (
            f"kinds of {group} are {listed(here)}"
            if here
            else f"Istio's groups are {listed(sorted(_groups()))}"
        )
        yield Problem(("kind",), "unknown-kind", f"Istio {minor} has no kind {kind!r}{guess}", hint)
        return
    served = [f"{known[kind].group}/{version.name}" for version in known[kind].versions]
    if api_version not in served:
        what = f"{kind} is not in {api_version!r}"
        yield Problem(("apiVersion",), "unknown-api-version", what, f"use one of {listed(served)}")
